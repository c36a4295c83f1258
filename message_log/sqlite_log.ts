/**
 * The log of a room in a SQLite database: its sequence numbers, and what is written. The number
 * in an id counts the log's entries, so how many a reader missed is known even when they are gone.
 */

import type { StatementSync } from "node:sqlite";
import { type ChatMessage, messageJson, momentOf, type Post } from "../chat_message.ts";
import {
  type Appended,
  KeyConflictError,
  type LogEntry,
  type LogPage,
  LogUnavailableError,
  type MessageLog,
  type Range,
  type Refuse,
  type Removal,
  RemovedError,
  RoomLimitError,
  type RoomState,
  UnfinishedRemovalError,
} from "./message_log.ts";
import type { Participant, SqliteDatabase } from "./sqlite_database.ts";
import { isSqliteError, toLogError } from "./sqlite_errors.ts";
import {
  ALL,
  firstNumber,
  type LogSpan,
  type PAGE_STATEMENTS,
  type Row,
  SqlitePages,
  toEntry,
} from "./sqlite_pages.ts";
import { parseState, stateJson, withoutEnded } from "./sqlite_state.ts";

/** Rows that are no longer kept are deleted this many at a time. */
const TRIM_SIZE = 500;
/** Rows that one step looks through for a mark, all of which it may remove. */
const STEP_SIZE = 250;
/** This many entries that are no messages are kept for nothing. */
const FREE_DEAD = 20_000;

/** A room in the database: one that has messages or a state, or had and is open; the main room always. */
export interface RoomRow {
  readonly id: number;
  /** The cursor before the first message is `<born>-0`. */
  readonly born: number;
  /** Where the room goes on if it has no messages: the last id's parts. */
  readonly last: number;
  readonly ms: number;
  /** Its {@linkcode RoomState} as JSON, if it is not the usual one. */
  readonly state: string | null;
  /** What has a lower number had been given up when something was removed last. */
  readonly oldest: number;
}

/** The numbers of entries in a room. */
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
  /** Whether as many rooms as may be have messages. */
  readonly isFull: boolean;
  /** Adds a room, in the transaction of its first message or state; returns its id. */
  add(room: Pick<RoomRow, "born" | "ms"> & { readonly name: string }): number;
  setOldest(id: number, oldest: number): void;
  setState(id: number, state: string | null): void;
  /**
   * The milliseconds for the ids of entries that are about to be written: no less than `minMs`, and
   * such that no other room has the same ids.
   */
  claim(claim: Claim, minMs: number): number;
  /** Takes note of where a room goes on that has no entries any more. */
  empty(id: number, last: number, ms: number): void;
  /** Forgets a room, unless it has entries or a state, or its log is open again. */
  drop(room: { readonly name: string; readonly id: number; readonly ms: number }): void;
  /** The ids of rooms for which it is noted when this run of the program began. */
  readonly runs: Set<number>;
}

/** What a {@linkcode SqliteLog} works with. */
export interface SqliteLogOptions {
  readonly database: SqliteDatabase;
  readonly rooms: RoomTable;
  readonly statements: Record<
    keyof typeof LOG_STATEMENTS | keyof typeof PAGE_STATEMENTS,
    StatementSync
  >;
  /** How many messages are kept. */
  readonly keep: number;
  readonly now: () => number;
  /** Called once the log is closed. */
  readonly onClose: () => void;
}

/** The mark in a row, also where somebody has edited the file. */
const MARK = "CASE WHEN json_valid(json) THEN json ->> 'by' END";

/** The statements to write with; the first parameter is the room's id, but for an UPDATE. */
export const LOG_STATEMENTS = {
  insert: "INSERT INTO messages (room, seq, ms, key, json, address) VALUES (?, ?, ?, ?, ?, ?)",
  insertRemoval: "INSERT INTO messages (room, seq, ms, json, removal) VALUES (?, ?, ?, ?, ?)",
  // The mark stays, for whom the address is asked.
  blank: `UPDATE messages SET json = json_object('by', ${MARK}), removal = ''
          WHERE room = ? AND seq = ? AND removal IS NULL`,
  findBy: `SELECT seq FROM messages
           WHERE room = ? AND seq >= ? AND seq < ? AND removal IS NULL AND ${MARK} = ? ORDER BY seq`,
  addressOf: `SELECT address FROM messages
              WHERE room = ? AND seq >= ? AND seq < ? AND ${MARK} = ? ORDER BY seq DESC LIMIT 1`,
  byKey: "SELECT seq, ms, json, removal FROM messages WHERE room = ? AND key = ?",
  dropKey: "UPDATE messages SET key = NULL WHERE room = ? AND seq = ?",
  nextAfter: "SELECT seq, ms FROM messages WHERE room = ? AND seq >= ? ORDER BY seq LIMIT 1",
  firstSeq: "SELECT min(seq) FROM messages WHERE room = ?",
  lastSeq: "SELECT max(seq) FROM messages WHERE room = ?",
  lastClear: `SELECT max(seq) FROM messages INDEXED BY messages_removal
              WHERE room = ? AND removal = '${ALL}'`,
  addRun: "INSERT OR REPLACE INTO runs (room, seq, ms) VALUES (?, ?, ?)",
  latestRun: "SELECT max(ms) FROM runs WHERE room = ?",
  trim: "DELETE FROM messages WHERE room = ? AND seq < ?",
};

/** The id of no room: nothing is found under it. */
export const NO_ROOM = 0;

type Mutable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

/** What there is of a log, in memory. */
interface Span extends Mutable<LogSpan> {
  /** The sequence number of the oldest row in the database; one past the last if there is none. */
  first: number;
  state: RoomState;
}

/** The transaction of a turn, as far as a log goes. */
interface Turn {
  /** What it makes of the log. */
  readonly span: Span;
  /** For the ids of its entries. */
  readonly ms: number;
  /** What the clock shows, in milliseconds and as messages have it. */
  readonly now: number;
  readonly moment: Pick<ChatMessage, "timestamp" | "time">;
  readonly batch: LogEntry[];
}

/** What waits for a transaction. */
interface Job {
  /** How many entries it appends at most. */
  readonly maxEntries: number;
  /** Does it; the function that it returns is called once that is durable. */
  run(turn: Turn): () => void;
  reject(error: unknown): void;
}

/** A job's own error: the rest of the transaction goes on. */
class Refused {
  constructor(readonly error: unknown) {}
}

/** A {@linkcode MessageLog} in SQLite. */
export class SqliteLog implements MessageLog, Participant {
  readonly room: string;
  readonly #database: SqliteDatabase;
  readonly #rooms: RoomTable;
  readonly #statements: SqliteLogOptions["statements"];
  readonly #pages: SqlitePages;
  readonly #keep: number;
  readonly #now: () => number;
  readonly #onClose: () => void;
  readonly #listeners = new Set<(batch: readonly LogEntry[]) => void>();
  #span: Span;
  /** The next id's milliseconds are no less: those of this run are known by when it began. */
  #minMs: number;
  #waiting: Job[] = [];
  #isClosed = false;

  constructor(
    room: string,
    { database, rooms, statements, keep, now, onClose }: SqliteLogOptions,
  ) {
    this.room = room;
    this.#database = database;
    this.#rooms = rooms;
    this.#statements = statements;
    this.#pages = new SqlitePages(statements);
    this.#keep = keep;
    this.#now = now;
    this.#onClose = onClose;
    const row = rooms.find(room) ?? rooms.begin(room);
    const { id, born, ms } = row;
    const last = firstNumber(statements.lastSeq, id) ?? row.last;
    const first = firstNumber(statements.firstSeq, id) ?? last + 1;
    const oldest = Math.max(first, row.oldest);
    this.#span = {
      id,
      born,
      first,
      oldest,
      last,
      lastMs: firstNumber(statements.msOf, id, last) ?? (last === 0 ? born : ms),
      dead: firstNumber(statements.countDead, id, oldest, last + 1)!,
      cleared: firstNumber(statements.lastClear, id) ?? 0,
      state: parseState(row.state),
    };
    this.#giveUp(this.#span);
    this.#minMs = Math.max(
      now(),
      rooms.runBegan,
      ms,
      this.#span.lastMs,
      firstNumber(statements.latestRun, id) ?? 0,
    );
    if (id !== NO_ROOM && !rooms.runs.has(id)) this.#noteRun();
    this.#trimIfDue();
  }

  append(post: Post, refuse?: Refuse): Promise<Appended> {
    return this.#enqueue(1, (turn) => this.#append(turn, post, refuse));
  }

  // deno-lint-ignore require-await
  async read(range: Range): Promise<LogPage> {
    this.#checkAvailable();
    try {
      return this.#pages.read(this.#span, range);
    } catch (error) {
      throw toLogError(error);
    }
  }

  async remove(what: Removal): Promise<number> {
    const { erasure } = this.#database;
    let count = 0;
    try {
      if (what === "all") {
        count = await this.#enqueue(1, (turn) => this.#clear(turn));
      } else if ("id" in what) {
        count = await this.#enqueue(1, (turn) => {
          const seq = this.#pages.seqOf(turn.span, what.id);
          return seq === undefined || seq < turn.span.oldest ? 0 : this.#blank(turn, seq);
        });
      } else {
        for (let from = this.#span.oldest; from <= this.#span.last; from += STEP_SIZE) {
          count += await this.#enqueue(STEP_SIZE, (turn) => this.#removeBy(turn, what.by, from));
        }
      }
      while (count > 0 && this.#span.first < this.#span.oldest) {
        await this.#enqueue(0, ({ span }) => this.#trim(span));
      }
    } catch (error) {
      if (count === 0 || !(error instanceof LogUnavailableError)) throw error;
      throw new UnfinishedRemovalError("Not all could be removed", { cause: error });
    }
    // Of an earlier one, too, that failed.
    if (erasure.isDue) await erasure.finish();
    return count;
  }

  get state(): RoomState {
    return withoutEnded(this.#span.state, this.#now());
  }

  update(change: (state: RoomState) => RoomState): Promise<RoomState> {
    return this.#enqueue(0, (turn) => this.#update(turn, change));
  }

  async addressOf(by: string): Promise<string | undefined> {
    for (let end = this.#span.last + 1; end > this.#span.oldest; end -= STEP_SIZE) {
      this.#checkAvailable();
      try {
        const from = Math.max(end - STEP_SIZE, this.#span.oldest);
        const row = this.#statements.addressOf.get(this.#span.id, from, end, by);
        if (row) return row.address as string | null ?? undefined;
      } catch (error) {
        throw toLogError(error);
      }
      await new Promise((resolve) => setImmediate(resolve));
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

  /** How many messages there are. */
  get messages(): number {
    return countMessages(this.#span);
  }

  /** Gives up the messages of before a time. */
  expire(minMs: number): void {
    const span = this.#span;
    let [low, high] = [span.oldest, span.last + 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const row = this.#statements.nextAfter.get(span.id, middle) as Row | undefined;
      if (!row || row.ms >= minMs) high = middle;
      else low = row.seq + 1;
    }
    if (low > span.oldest) {
      this.#moveOldest(span, low);
      this.#emit([]);
    }
    this.#trimIfDue();
  }

  /** Does what waits; once it is durable: counters, answers, subscribers. */
  write(): () => void {
    const now = this.#now();
    const { last } = this.#span;
    const count = this.#waiting.reduce((sum, { maxEntries }) => sum + maxEntries, 0);
    const claim = { room: this.room, first: last + 1, last: last + count };
    const span = { ...this.#span };
    const turn: Turn = {
      span,
      ms: this.#rooms.claim(claim, Math.max(now, this.#minMs)),
      now,
      moment: momentOf(new Date(now)),
      batch: [],
    };
    const answers = this.#waiting.map((job) => job.run(turn));
    this.#giveUp(span);
    const { ms, batch } = turn;
    if (batch.length > 0) {
      span.lastMs = ms;
      if (batch.some(({ removes }) => removes !== undefined)) {
        this.#rooms.setOldest(span.id, span.oldest);
      }
      if (!this.#rooms.runs.has(span.id)) this.#statements.addRun.run(span.id, last, this.#minMs);
    }
    return () => {
      this.#waiting = [];
      this.#span = span;
      if (batch.length > 0) {
        this.#rooms.runs.add(span.id);
        this.#minMs = ms;
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
    const span = { ...this.#span };
    this.#trim(span);
    return () => {
      this.#span = span;
      if (this.#isClosed) this.#dropIfEmpty();
      return span.first < span.oldest;
    };
  }

  /** Has something done in the next transaction; resolves once that is durable. */
  #enqueue<Result>(maxEntries: number, run: (turn: Turn) => Result | Refused): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    if (this.#isUnavailable) reject(new LogUnavailableError("The message log is closed"));
    else {
      this.#waiting.push({
        maxEntries,
        run(turn) {
          const result = run(turn);
          return () => result instanceof Refused ? reject(result.error) : resolve(result);
        },
        reject,
      });
      this.#database.writeSoon(this);
    }
    return promise;
  }

  #append(turn: Turn, post: Post, refuse?: Refuse): Appended | Refused {
    const { nickname, message, key, by, moderator, address } = post;
    const { span, ms, now, batch } = turn;
    const earlier = key === undefined ? undefined : this.#findKey(span, key);
    if (earlier) {
      if (earlier.removal !== null) {
        return new Refused(new RemovedError("The message with this key has been removed"));
      }
      const entry = toEntry(earlier);
      return isSameText(entry, post)
        ? { entry, repeated: true }
        : new Refused(new KeyConflictError("The key belongs to another message"));
    }
    const refusal = refuse?.(withoutEnded(span.state, now), now);
    if (refusal) return new Refused(refusal);
    if (this.room !== "" && countMessages(span) === 0 && this.#rooms.isFull) {
      return new Refused(new RoomLimitError("As many rooms as may be have messages"));
    }
    this.#addRoom(turn);
    const seq = ++span.last;
    const id = `${ms}-${seq}`;
    const json = messageJson({ id, nickname, message, ...turn.moment, by, moderator });
    this.#statements.insert.run(span.id, seq, ms, key ?? null, json, address ?? null);
    const entry = { id, json };
    batch.push(entry);
    return { entry, repeated: false };
  }

  /** Removes the messages of a mark among the next rows; returns how many. */
  #removeBy(turn: Turn, by: string, from: number): number {
    const { id, oldest, last } = turn.span;
    const end = Math.min(from + STEP_SIZE, last + 1);
    const rows = this.#statements.findBy.all(id, Math.max(from, oldest), end, by);
    for (const { seq } of rows) this.#blank(turn, seq as number);
    return rows.length;
  }

  /** Removes the text of a message; returns how many there were with that number. */
  #blank(turn: Turn, seq: number): number {
    const { id } = turn.span;
    if (this.#statements.blank.run(id, seq).changes === 0) return 0;
    turn.span.dead++;
    this.#appendRemoval(turn, `${firstNumber(this.#statements.msOf, id, seq)}-${seq}`);
    return 1;
  }

  /** Removes all messages; returns how many. */
  #clear(turn: Turn): number {
    const { span } = turn;
    const count = countMessages(span);
    if (count === 0) return 0;
    this.#appendRemoval(turn, ALL);
    span.oldest = span.last;
    span.dead = 1;
    span.cleared = span.last;
    return count;
  }

  #appendRemoval({ span, ms, batch }: Turn, removes: string): void {
    const seq = ++span.last;
    const id = `${ms}-${seq}`;
    const json = JSON.stringify({ id, removes });
    this.#statements.insertRemoval.run(span.id, seq, ms, json, removes);
    this.#database.erasure.note();
    span.dead++;
    batch.push({ id, json, removes });
  }

  #update(turn: Turn, change: (state: RoomState) => RoomState): RoomState | Refused {
    const { span, now } = turn;
    try {
      span.state = change(withoutEnded(span.state, now));
    } catch (error) {
      return new Refused(error);
    }
    const json = stateJson(span.state);
    if (json !== null) this.#addRoom(turn);
    if (span.id !== NO_ROOM) this.#rooms.setState(span.id, json);
    return span.state;
  }

  /** Adds the room to the database if it is not there. */
  #addRoom({ span, ms }: Turn): void {
    span.id ||= this.#rooms.add({ name: this.room, born: span.born, ms });
  }

  /** Deletes some of the rows that are no longer kept. */
  #trim(span: Span): void {
    if (span.first < span.cleared) this.#database.erasure.note();
    span.first = Math.min(span.oldest, span.first + TRIM_SIZE);
    this.#statements.trim.run(span.id, span.first);
    if (span.first > span.last) this.#rooms.empty(span.id, span.last, span.lastMs);
  }

  #trimIfDue(): void {
    if (this.#span.first < this.#span.oldest) this.#database.trimSoon(this);
  }

  /** Gives up the oldest entries, until there are no more messages than are kept. */
  #giveUp(span: Span): void {
    const { oldest, last, dead } = span;
    const over = last - oldest + 1 - this.#keep - Math.min(dead, FREE_DEAD);
    if (over <= 0) return;
    const deadFrom = (seq: number) => dead - this.#pages.countDead(span, oldest, seq);
    const isEnough = (seq: number) =>
      last - seq + 1 - Math.min(deadFrom(seq), FREE_DEAD) <= this.#keep;
    // Mostly these are messages, all of them.
    let low = oldest + over;
    let high = isEnough(low) ? low : low + Math.min(dead, FREE_DEAD);
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (isEnough(middle)) high = middle;
      else low = middle + 1;
    }
    this.#moveOldest(span, low);
  }

  #moveOldest(span: Span, oldest: number): void {
    span.dead -= this.#pages.countDead(span, span.oldest, oldest);
    span.oldest = oldest;
  }

  /** Notes when this run of the program began, if possible; else the next message does. */
  #noteRun(): void {
    const { id, last } = this.#span;
    try {
      this.#statements.addRun.run(id, last, this.#minMs);
      this.#rooms.runs.add(id);
    } catch (error) {
      // A full disk, most likely. What is there can be read.
      if (!isSqliteError(error)) throw error;
    }
  }

  get #isUnavailable(): boolean {
    return this.#isClosed || this.#database.isClosed;
  }

  #checkAvailable(): void {
    if (this.#isUnavailable) throw new LogUnavailableError("The message log is closed");
  }

  #dropIfEmpty(): void {
    const { id, first, last, lastMs } = this.#span;
    if (first <= last || id === NO_ROOM) return;
    try {
      this.#rooms.drop({ name: this.room, id, ms: lastMs });
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
  #findKey({ id, oldest }: Span, key: string): Row | undefined {
    const row = this.#statements.byKey.get(id, key) as unknown as Row | undefined;
    if (!row || row.seq >= oldest) return row;
    this.#statements.dropKey.run(id, row.seq);
  }
}

function countMessages({ oldest, last, dead }: LogSpan): number {
  return Math.max(last - oldest + 1 - dead, 0);
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
