/**
 * The log of a room in a SQLite database: the sequence numbers of its messages, and
 * the queries. The number in an id counts the log's messages, so how many a reader
 * missed is known even when they are gone.
 */

import type { StatementSync } from "node:sqlite";
import { type ChatMessage, messageJson, momentOf, parseId, type Post } from "../chat_message.ts";
import {
  type Appended,
  KeyConflictError,
  type LogEntry,
  type LogPage,
  LogUnavailableError,
  type MessageLog,
  type Range,
  RoomLimitError,
} from "./message_log.ts";
import {
  isSqliteError,
  type Participant,
  type SqliteDatabase,
  toLogError,
} from "./sqlite_database.ts";

/**
 * Pages of a log end at multiples of this many messages, wherever they start, so
 * that readers with different cursors soon share pages.
 */
const PAGE_SIZE = 64;
/**
 * A page has no more than this many bytes, unless its only message is longer: a
 * reader that takes nothing may keep a page of its own from being freed.
 */
const PAGE_BYTES = 16 * 1024;
/** Messages that are no longer kept are deleted this many at a time. */
const TRIM_SIZE = 500;

/** A room in the database: one that has messages, or had and is open; the main room always. */
export interface RoomRow {
  readonly id: number;
  /** The cursor before the first message is `<born>-0`. */
  readonly born: number;
  /** Where the room goes on if it has no messages: the last id's parts. */
  readonly last: number;
  readonly ms: number;
}

/** The numbers of messages in a room. */
export interface Claim {
  readonly room: string;
  readonly first: number;
  readonly last: number;
}

/** The rooms in the database, as a log sees them. */
export interface RoomTable {
  /** Where a room begins that is not in the database. */
  begin(name: string): RoomRow;
  /** What the clock showed when this run of the program began. */
  readonly runBegan: number;
  find(name: string): RoomRow | undefined;
  /**
   * Adds a room, in the transaction of its first message; returns its id.
   *
   * @throws {RoomLimitError} If there are too many.
   */
  add(name: string, born: number): number;
  /**
   * The milliseconds for the ids of messages that are about to be written: no less than `minMs`, and
   * such that no other room has the same ids.
   */
  claim(claim: Claim, minMs: number): number;
  /** Takes note of where a room goes on that has no messages any more. */
  empty(id: number, last: number, ms: number): void;
  /** Forgets a room, unless it has messages or its log is open again. */
  drop(room: { readonly name: string; readonly id: number; readonly ms: number }): void;
  /** The ids of rooms for which it is noted when this run of the program began. */
  readonly runs: Set<number>;
}

/** What a {@linkcode SqliteLog} works with. */
export interface SqliteLogOptions {
  readonly database: SqliteDatabase;
  readonly rooms: RoomTable;
  readonly statements: Record<keyof typeof LOG_STATEMENTS, StatementSync>;
  /** How many messages are kept. */
  readonly keep: number;
  readonly now: () => number;
  /** Called once the log is closed. */
  readonly onClose: () => void;
}

/** The statements of every log; the first parameter is the room's id. */
export const LOG_STATEMENTS = {
  insert: "INSERT INTO messages (room, seq, ms, key, json) VALUES (?, ?, ?, ?, ?)",
  byKey: "SELECT seq, ms, json FROM messages WHERE room = ? AND key = ?",
  dropKey: "UPDATE messages SET key = NULL WHERE room = ? AND seq = ?",
  forward: `SELECT seq, ms, json, octet_length(json) AS bytes FROM messages
            WHERE room = ? AND seq >= ? AND seq < ? ORDER BY seq LIMIT ${PAGE_SIZE}`,
  backward: `SELECT seq FROM messages WHERE room = ? AND seq >= ? AND seq < ?
             ORDER BY seq DESC LIMIT ?`,
  msOf: "SELECT ms FROM messages WHERE room = ? AND seq = ?",
  nextAfter: "SELECT seq, ms FROM messages WHERE room = ? AND seq >= ? ORDER BY seq LIMIT 1",
  firstSeq: "SELECT min(seq) FROM messages WHERE room = ?",
  lastSeq: "SELECT max(seq) FROM messages WHERE room = ?",
  addRun: "INSERT OR REPLACE INTO runs (room, seq, ms) VALUES (?, ?, ?)",
  runOf: "SELECT ms FROM runs WHERE room = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
  runAfter: "SELECT ms FROM runs WHERE room = ? AND seq >= ? ORDER BY seq LIMIT 1",
  latestRun: "SELECT max(ms) FROM runs WHERE room = ?",
  trim: "DELETE FROM messages WHERE room = ? AND seq < ?",
};

/** The id of no room: nothing is found under it. */
export const NO_ROOM = 0;

interface Row {
  readonly seq: number;
  readonly ms: number;
  readonly json: string;
}

interface Waiting {
  readonly post: Post;
  resolve(appended: Appended): void;
  reject(error: unknown): void;
}

/** A {@linkcode MessageLog} in SQLite. */
export class SqliteLog implements MessageLog, Participant {
  readonly room: string;
  readonly #database: SqliteDatabase;
  readonly #rooms: RoomTable;
  readonly #statements: Record<keyof typeof LOG_STATEMENTS, StatementSync>;
  readonly #keep: number;
  readonly #now: () => number;
  readonly #onClose: () => void;
  readonly #listeners = new Set<(batch: readonly LogEntry[]) => void>();
  /** The room's id in the database, {@linkcode NO_ROOM} before its first message. */
  #id: number;
  readonly #born: number;
  /** Sequence numbers of the oldest message in the database and of the newest. */
  #first: number;
  #last: number;
  /** Messages with a lower sequence number are too old. */
  #firstYoung = 0;
  /** The newest id's milliseconds. */
  #lastMs: number;
  /** The next id's are no less: those of this run are known by when it began. */
  #minMs: number;
  #waiting: Waiting[] = [];
  #isClosed = false;

  constructor(
    room: string,
    { database, rooms, statements, keep, now, onClose }: SqliteLogOptions,
  ) {
    this.room = room;
    this.#database = database;
    this.#rooms = rooms;
    this.#statements = statements;
    this.#keep = keep;
    this.#now = now;
    this.#onClose = onClose;
    const { id, born, last, ms } = rooms.find(room) ?? rooms.begin(room);
    this.#id = id;
    this.#born = born;
    this.#last = this.#number("lastSeq") ?? last;
    this.#first = this.#number("firstSeq") ?? this.#last + 1;
    this.#lastMs = this.#number("msOf", this.#last) ?? (this.#last === 0 ? born : ms);
    this.#minMs = Math.max(
      now(),
      rooms.runBegan,
      ms,
      this.#lastMs,
      this.#number("latestRun") ?? 0,
    );
    if (id !== NO_ROOM && !rooms.runs.has(id)) this.#noteRun();
    this.#trimIfDue();
  }

  append(post: Post): Promise<Appended> {
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    if (this.#isUnavailable) reject(new LogUnavailableError("The message log is closed"));
    else {
      this.#waiting.push({ post, resolve, reject });
      this.#database.writeSoon(this);
    }
    return promise;
  }

  // deno-lint-ignore require-await
  async read(range: Range): Promise<LogPage> {
    if (this.#isUnavailable) throw new LogUnavailableError("The message log is closed");
    try {
      if ("before" in range) return this.#readBefore(range.before, range.count);
      const end = this.#last + 1;
      if ("latest" in range) {
        const from = Math.max(end - range.latest, this.#oldest);
        return this.#readRun(from, end, end);
      }
      const seq = range.since === undefined ? this.#oldest - 1 : this.#seqOf(range.since);
      const from = Math.max((seq ?? 0) + 1, this.#oldest);
      const page = this.#readRun(from, end, from - from % PAGE_SIZE + PAGE_SIZE);
      return { ...page, missed: seq === undefined ? null : page.missed + from - seq - 1 };
    } catch (error) {
      throw toLogError(error);
    }
  }

  subscribe(onBatch: (batch: readonly LogEntry[]) => void): Disposable {
    this.#listeners.add(onBatch);
    return { [Symbol.dispose]: () => void this.#listeners.delete(onBatch) };
  }

  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** Stores what waits, and closes the log. */
  close(): void {
    if (this.#isClosed) return;
    this.#listeners.clear();
    if (this.#waiting.length > 0) this.#database.writeNow();
    this.#isClosed = true;
    this.#onClose();
    this.#dropIfEmpty();
  }

  /** Gives up the messages of before a time. */
  expire(minMs: number): void {
    let [low, high] = [this.#oldest, this.#last + 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const row = this.#statements.nextAfter.get(this.#id, middle) as Row | undefined;
      if (!row || row.ms >= minMs) high = middle;
      else low = row.seq + 1;
    }
    if (low > this.#oldest) {
      this.#firstYoung = low;
      this.#emit([]);
    }
    this.#trimIfDue();
  }

  /** Inserts the posts that wait; once they are durable: counters, answers, subscribers. */
  write(): () => void {
    const now = this.#now();
    const { room } = this;
    const claim = { room, first: this.#last + 1, last: this.#last + this.#waiting.length };
    const ms = this.#rooms.claim(claim, Math.max(now, this.#minMs));
    const moment = momentOf(new Date(now));
    const batch: LogEntry[] = [];
    const answers: (() => void)[] = [];
    let id = this.#id;
    for (const { post, resolve, reject } of this.#waiting) {
      const earlier = post.key === undefined ? undefined : this.#findKey(id, post.key);
      if (earlier) {
        const entry = toEntry(earlier);
        answers.push(
          isSameText(entry, post)
            ? () => resolve({ entry, repeated: true })
            : () => reject(new KeyConflictError("The key belongs to another message")),
        );
        continue;
      }
      const seq = this.#last + batch.length + 1;
      try {
        id ||= this.#rooms.add(room, this.#born);
      } catch (error) {
        if (!(error instanceof RoomLimitError)) throw error;
        answers.push(() => reject(error));
        continue;
      }
      const { nickname, message, by, key } = post;
      const entry = { id: `${ms}-${seq}`, json: "" };
      entry.json = messageJson({ id: entry.id, nickname, message, ...moment, by });
      this.#statements.insert.run(id, seq, ms, key ?? null, entry.json);
      batch.push(entry);
      answers.push(() => resolve({ entry, repeated: false }));
    }
    if (batch.length > 0 && !this.#rooms.runs.has(id)) {
      this.#statements.addRun.run(id, this.#last, this.#minMs);
    }
    return () => {
      this.#waiting = [];
      this.#id = id;
      if (batch.length > 0) {
        this.#rooms.runs.add(id);
        this.#last += batch.length;
        this.#lastMs = this.#minMs = ms;
      }
      for (const answer of answers) answer();
      if (batch.length > 0) this.#emit(batch);
      this.#trimIfDue();
    };
  }

  fail(error: unknown): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(error);
  }

  trim(): () => boolean {
    const end = Math.min(this.#oldest, this.#first + TRIM_SIZE);
    this.#statements.trim.run(this.#id, end);
    if (end > this.#last) this.#rooms.empty(this.#id, this.#last, this.#lastMs);
    return () => {
      this.#first = end;
      if (this.#isClosed) this.#dropIfEmpty();
      return end < this.#oldest;
    };
  }

  #trimIfDue(): void {
    if (this.#first < this.#oldest) this.#database.trimSoon(this);
  }

  /** The sequence number of the oldest message that is kept; one past the last if the log is empty. */
  get #oldest(): number {
    return Math.max(this.#first, this.#last - this.#keep + 1, this.#firstYoung);
  }

  /** Notes when this run of the program began, if possible; else the next message does. */
  #noteRun(): void {
    try {
      this.#statements.addRun.run(this.#id, this.#last, this.#minMs);
      this.#rooms.runs.add(this.#id);
    } catch (error) {
      // A full disk, most likely. What is there can be read.
      if (!isSqliteError(error)) throw error;
    }
  }

  get #isEmpty(): boolean {
    return this.#first > this.#last;
  }

  get #isUnavailable(): boolean {
    return this.#isClosed || this.#database.isClosed;
  }

  #dropIfEmpty(): void {
    if (!this.#isEmpty || this.#id === NO_ROOM) return;
    try {
      this.#rooms.drop({ name: this.room, id: this.#id, ms: this.#lastMs });
    } catch (error) {
      // A full disk, most likely. The next start drops it.
      if (!isSqliteError(error)) throw error;
    }
  }

  #emit(batch: readonly LogEntry[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(batch);
      } catch (error) {
        // A subscriber's own fault; the others and later posts must not pay for it.
        reportError(error);
      }
    }
  }

  /** The room's kept message with a key. One that is no longer kept gives its key up. */
  #findKey(id: number, key: string): Row | undefined {
    const row = this.#statements.byKey.get(id, key) as unknown as Row | undefined;
    if (!row || row.seq >= this.#oldest) return row;
    this.#statements.dropKey.run(id, row.seq);
  }

  /**
   * The first page of the messages in [from, end). It ends at `boundary`, when it
   * has enough, or where messages are missing from the file.
   */
  #readRun(from: number, end: number, boundary: number): LogPage & { readonly missed: number } {
    const entries: LogEntry[] = [];
    let first = from;
    let size = 0;
    const rows = this.#statements.forward.iterate(this.#id, from, end) as Iterable<unknown>;
    for (const row of rows) {
      const { seq, bytes } = row as Row & { readonly bytes: number };
      size += bytes;
      if (entries.length === 0) first = seq;
      else if (seq !== first + entries.length || seq >= boundary || size > PAGE_BYTES) break;
      entries.push(toEntry(row as Row));
    }
    const logEnd = `${this.#lastMs}-${this.#last}`;
    return {
      entries,
      missed: first - from,
      cursor: entries.at(-1)?.id ?? logEnd,
      end: logEnd,
      hasOlder: first > this.#oldest,
    };
  }

  /** The messages just before one: as many as wanted, or as there are without a gap. */
  #readBefore(id: string, count: number): LogPage {
    const seq = this.#seqOf(id);
    const before = seq ?? 0;
    const found = this.#statements.backward.all(this.#id, this.#oldest, before, count);
    const rows = found as { seq: number }[];
    const end = (rows[0]?.seq ?? this.#oldest - 1) + 1;
    let from = end;
    for (const { seq } of rows) {
      if (seq !== from - 1) break;
      from = seq;
    }
    const page = this.#readRun(from, end, end);
    const missed = seq === undefined ? null : Math.max(before - end, 0);
    if (from === end) return { ...page, missed, end: page.cursor };
    return { ...page, missed, end: `${this.#number("msOf", end - 1)}-${end - 1}` };
  }

  /**
   * The sequence number in a cursor, if the cursor is of this log: that of a message
   * that is there, of one that was, or 0 for the cursor before the first. A file that
   * was put back from an older copy does not know what was written after the copy.
   */
  #seqOf(cursor: string): number | undefined {
    const { ms, seq } = parseId(cursor) ?? { ms: 0, seq: Infinity };
    if (seq > this.#last) return undefined;
    const known = seq === 0 ? this.#born : this.#number("msOf", seq);
    if (known !== undefined) return ms === known ? seq : undefined;
    // No longer kept: it must be from the time of the server's run that wrote this number.
    const min = this.#number("runOf", seq) ?? Infinity;
    const max = this.#number("runAfter", seq) ?? this.#lastMs;
    return min <= ms && ms <= max ? seq : undefined;
  }

  /** The first column of the first row of this room, undefined if there is none. */
  #number(statement: keyof typeof LOG_STATEMENTS, ...parameters: number[]): number | undefined {
    const row = this.#statements[statement].get(this.#id, ...parameters);
    const value = row && Object.values(row)[0];
    return typeof value === "number" ? value : undefined;
  }
}

function toEntry({ seq, ms, json }: Row): LogEntry {
  return { id: `${ms}-${seq}`, json };
}

function isSameText({ json }: LogEntry, post: Post): boolean {
  try {
    const { nickname, message }: ChatMessage = JSON.parse(json);
    return nickname === post.nickname && message === post.message;
  } catch (error) {
    // Somebody edited the file.
    if (!(error instanceof SyntaxError)) throw error;
    return false;
  }
}
