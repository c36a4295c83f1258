/**
 * A log in a SQLite database: the sequence numbers of its messages, and the
 * queries. The number in an id counts the log's messages, so how many a reader
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
} from "./message_log.ts";
import { type Participant, SqliteStore, toLogError } from "./sqlite_store.ts";

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

/** Options for {@linkcode SqliteLog.open}. */
export interface SqliteLogOptions {
  /** How many messages are kept. */
  readonly keep: number;
  /** The clock, in milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
}

const STATEMENTS = {
  insert: "INSERT INTO messages (seq, ms, key, json) VALUES (?, ?, ?, ?)",
  byKey: "SELECT seq, ms, json FROM messages WHERE key = ?",
  dropKey: "UPDATE messages SET key = NULL WHERE seq = ?",
  forward:
    `SELECT seq, ms, json, octet_length(json) AS bytes FROM messages WHERE seq >= ? AND seq < ?
            ORDER BY seq LIMIT ${PAGE_SIZE}`,
  backward: "SELECT seq FROM messages WHERE seq >= ? AND seq < ? ORDER BY seq DESC LIMIT ?",
  msOf: "SELECT ms FROM messages WHERE seq = ?",
  // Two queries: one for both would read the whole table.
  ends: `SELECT coalesce((SELECT min(seq) FROM messages), 1) AS first,
                coalesce((SELECT max(seq) FROM messages), 0) AS last`,
  // The cursor before the first message is `<born>-0`.
  born: "SELECT born FROM log",
  addRun: "INSERT OR REPLACE INTO runs (seq, ms) VALUES (?, ?)",
  runOf: "SELECT ms FROM runs WHERE seq < ? ORDER BY seq DESC LIMIT 1",
  runAfter: "SELECT ms FROM runs WHERE seq >= ? ORDER BY seq LIMIT 1",
  latestRun: "SELECT max(ms) FROM runs",
  trim: "DELETE FROM messages WHERE seq < ?",
};

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
  readonly #store: SqliteStore;
  readonly #keep: number;
  readonly #now: () => number;
  readonly #statements: Record<keyof typeof STATEMENTS, StatementSync>;
  readonly #listeners = new Set<(batch: readonly LogEntry[]) => void>();
  /** Sequence numbers of the oldest message in the database and of the newest. */
  #first: number;
  #last: number;
  /** The newest id's milliseconds. */
  #lastMs: number;
  /** The next id's are no less: those of this run are known by when it began. */
  #minMs: number;
  #waiting: Waiting[] = [];

  private constructor(store: SqliteStore, { keep, now = Date.now }: SqliteLogOptions) {
    this.#store = store;
    this.#keep = keep;
    this.#now = now;
    this.#statements = store.prepare(STATEMENTS);
    const { first, last } = this.#statements.ends.get() as { first: number; last: number };
    this.#first = first;
    this.#last = last;
    this.#lastMs = this.#number(this.#statements.msOf, last) ??
      this.#number(this.#statements.born)!;
    this.#minMs = Math.max(now(), this.#lastMs, this.#number(this.#statements.latestRun)!);
    this.#statements.addRun.run(last, this.#minMs);
    if (this.#first < this.#oldest) store.trimSoon(this);
  }

  /**
   * Opens the log in the database at `path`, or a new one in memory for
   * `:memory:`.
   *
   * @throws {Error} See {@linkcode SqliteStore.open}.
   */
  static open(path: string, options: SqliteLogOptions): SqliteLog {
    const { now = Date.now } = options;
    return new SqliteLog(SqliteStore.open(path, now()), options);
  }

  get id(): string {
    return this.#number(this.#statements.born)!.toString(36);
  }

  append(post: Post): Promise<Appended> {
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    if (this.#store.isClosed) reject(new LogUnavailableError("The message log is closed"));
    else {
      this.#waiting.push({ post, resolve, reject });
      this.#store.writeSoon(this);
    }
    return promise;
  }

  // deno-lint-ignore require-await
  async read(range: Range): Promise<LogPage> {
    if (this.#store.isClosed) throw new LogUnavailableError("The message log is closed");
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
    this.#listeners.clear();
    this.#store[Symbol.dispose]();
  }

  /** Inserts the posts that wait; once they are durable: counters, answers, subscribers. */
  write(): () => void {
    const now = this.#now();
    const ms = Math.max(now, this.#minMs);
    const moment = momentOf(new Date(now));
    const batch: LogEntry[] = [];
    const answers: (() => void)[] = [];
    for (const { post, resolve, reject } of this.#waiting) {
      const earlier = post.key === undefined ? undefined : this.#findKey(post.key);
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
      const id = `${ms}-${seq}`;
      const { nickname, message } = post;
      const json = messageJson({ id, nickname, message, ...moment });
      this.#statements.insert.run(seq, ms, post.key ?? null, json);
      const entry = { id, json };
      batch.push(entry);
      answers.push(() => resolve({ entry, repeated: false }));
    }
    return () => {
      this.#waiting = [];
      if (batch.length > 0) {
        this.#last += batch.length;
        this.#lastMs = this.#minMs = ms;
      }
      for (const answer of answers) answer();
      if (batch.length > 0) this.#emit(batch);
      if (this.#first < this.#oldest) this.#store.trimSoon(this);
    };
  }

  fail(error: unknown): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(error);
  }

  trim(): boolean {
    const end = Math.min(this.#oldest, this.#first + TRIM_SIZE);
    this.#statements.trim.run(end);
    this.#first = end;
    return end < this.#oldest;
  }

  /** The sequence number of the oldest message that is kept; one past the last if the log is empty. */
  get #oldest(): number {
    return Math.max(this.#first, this.#last - this.#keep + 1);
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

  /** The kept message with a key. One that is no longer kept gives its key up. */
  #findKey(key: string): Row | undefined {
    const row = this.#statements.byKey.get(key) as unknown as Row | undefined;
    if (!row || row.seq >= this.#oldest) return row;
    this.#statements.dropKey.run(row.seq);
  }

  /**
   * The first page of the messages in [from, end). It ends at `boundary`, when it
   * has enough, or where messages are missing from the file.
   */
  #readRun(from: number, end: number, boundary: number): LogPage & { readonly missed: number } {
    const entries: LogEntry[] = [];
    let first = from;
    let size = 0;
    for (const row of this.#statements.forward.iterate(from, end) as Iterable<unknown>) {
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
    const before = this.#seqOf(id) ?? 0;
    const rows = this.#statements.backward.all(this.#oldest, before, count) as { seq: number }[];
    const end = (rows[0]?.seq ?? this.#oldest - 1) + 1;
    let from = end;
    for (const { seq } of rows) {
      if (seq !== from - 1) break;
      from = seq;
    }
    const page = this.#readRun(from, end, end);
    const missed = Math.max(before - end, 0);
    if (from === end) return { ...page, missed, end: page.cursor };
    return { ...page, missed, end: `${this.#number(this.#statements.msOf, end - 1)}-${end - 1}` };
  }

  /**
   * The sequence number in a cursor, if the cursor is of this log: that of a message
   * that is there, of one that was, or 0 for the cursor before the first. A file that
   * was put back from an older copy does not know what was written after the copy.
   */
  #seqOf(cursor: string): number | undefined {
    const { born, msOf, runOf, runAfter } = this.#statements;
    const { ms, seq } = parseId(cursor) ?? { ms: 0, seq: Infinity };
    if (seq > this.#last) return undefined;
    const known = seq === 0 ? this.#number(born) : this.#number(msOf, seq);
    if (known !== undefined) return ms === known ? seq : undefined;
    // No longer kept: it must be from the time of the server's run that wrote this number.
    const min = this.#number(runOf, seq) ?? Infinity;
    const max = this.#number(runAfter, seq) ?? this.#lastMs;
    return min <= ms && ms <= max ? seq : undefined;
  }

  /** The first column of the first row, undefined if there is none. */
  #number(statement: StatementSync, ...parameters: number[]): number | undefined {
    const row = statement.get(...parameters);
    return row && Number(Object.values(row)[0]);
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
