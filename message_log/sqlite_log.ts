/**
 * The log in a SQLite database, in a file or in memory. The database is ours
 * alone while the program runs: a second program that opens the file is refused.
 *
 * The file is in WAL mode with `synchronous` at NORMAL: a message that was
 * answered survives the end of the program however it ends; only a power cut
 * may take the last ones.
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type ChatMessage, momentOf, parseId, type Post } from "../chat_message.ts";
import {
  type Appended,
  KeyConflictError,
  type LogEntry,
  type LogPage,
  LogUnavailableError,
  type MessageLog,
} from "./message_log.ts";
import type { MessageLogOptions } from "./open.ts";

/** Marks the file as ours in its header: "CHAT" in ASCII. */
const APPLICATION_ID = 0x43484154;
const SCHEMA_VERSION = 1;
/** How long an earlier run may take to let go of the file. */
const BUSY_TIMEOUT_MS = 1000;
/**
 * Pages end at multiples of this many messages wherever they begin, so that
 * readers with different cursors soon share pages. 64 of the longest messages
 * are a megabyte.
 */
const PAGE_SIZE = 64;
/** Messages that are no longer kept are deleted this many at a time. */
const TRIM_SIZE = 1000;
const TRIM_PAUSE_MS = 50;

/** What SQLite's errors mean to the person who starts the program. */
const OPEN_ERRORS: readonly (readonly [error: string, problem: string])[] = [
  ["database is locked", "is in use by another server; stop that one, or give another file"],
  ["readonly database", "can't be written; allow it to this user, or give another file"],
  ["disk image is malformed", "is damaged; restore it from a copy, or give another file"],
  ["disk is full", "does not fit on the disk; make room, or give another file"],
  ["disk I/O error", "can't be read or written; check the disk, or give another file"],
  [
    "unable to open database file",
    "can't be opened; make its folder, allow this user to write there, or give another file",
  ],
  ["file is not a database", "is not a database; give another file"],
];

/** Options for {@linkcode SqliteLog.open}. */
export interface SqliteLogOptions extends MessageLogOptions {
  /** The clock, in milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
}

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

/**
 * A {@linkcode MessageLog} in SQLite. The sequence number in an id is the
 * message's place in the log, so the number of messages that a reader missed is
 * known even when they are gone.
 */
export class SqliteLog implements MessageLog {
  readonly #db: DatabaseSync;
  readonly #keep: number;
  readonly #now: () => number;
  readonly #statements: ReturnType<typeof prepare>;
  readonly #listeners = new Set<(batch: readonly LogEntry[]) => void>();
  /** The moment the log was made: the cursor before the first message is `<born>-0`. */
  readonly #born: number;
  /** Sequence numbers of the oldest message in the file and of the newest. */
  #first: number;
  #last: number;
  /** The newest id's milliseconds. */
  #lastMs: number;
  #waiting: Waiting[] = [];
  #trim: ReturnType<typeof setTimeout> | undefined;

  private constructor(db: DatabaseSync, { keep, now = Date.now }: SqliteLogOptions) {
    this.#db = db;
    this.#keep = keep;
    this.#now = now;
    this.#born = createSchema(db, now());
    this.#statements = prepare(db);
    const { first, last } = this.#statements.ends.get() as { first: number; last: number };
    this.#first = first;
    this.#last = last;
    this.#lastMs = this.#msOf(last) ?? this.#born;
    this.#trimSoon();
  }

  /**
   * Opens the database at `path`, or a new one in memory for `:memory:`.
   *
   * @throws {Error} If the file is not such a log, is in use or can't be opened
   * or written; the message names the file and the setting.
   */
  static open(path: string, options: SqliteLogOptions): SqliteLog {
    let db: DatabaseSync | undefined;
    try {
      db = new DatabaseSync(path);
      return new SqliteLog(db, options);
    } catch (error) {
      db?.close();
      const text = isSqliteError(error) ? error.message : "";
      const [, problem] = OPEN_ERRORS.find(([part]) => text.includes(part)) ?? [];
      if (!problem) throw error;
      throw new Error(`the message log ${path} ${problem} with --message-log`, { cause: error });
    }
  }

  /** How many messages are in the database, those to be deleted soon included. */
  get stored(): number {
    return this.#last - this.#first + 1;
  }

  append(post: Post): Promise<Appended> {
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    // After all that this turn of the event loop still brings.
    if (this.#waiting.push({ post, resolve, reject }) === 1) setImmediate(() => this.#commit());
    return promise;
  }

  // deno-lint-ignore require-await
  async since(cursor?: string): Promise<LogPage> {
    const place = cursor === undefined
      ? this.#oldest - 1
      : this.#query(() => this.#placeOf(cursor));
    const from = Math.max((place ?? 0) + 1, this.#oldest);
    const end = from - from % PAGE_SIZE + PAGE_SIZE;
    const missed = place === undefined ? null : from - place - 1;
    return { ...this.#read(from, end), missed, more: end <= this.#last };
  }

  // deno-lint-ignore require-await
  async latest(count: number): Promise<LogPage> {
    const from = Math.max(this.#last - count + 1, this.#oldest);
    return { ...this.#read(from, this.#last + 1), missed: 0, more: false };
  }

  // deno-lint-ignore require-await
  async before(id: string, count: number): Promise<readonly LogEntry[]> {
    const end = this.#query(() => this.#placeOf(id)) ?? 0;
    return this.#read(Math.max(end - count, this.#oldest), end).entries;
  }

  subscribe(onBatch: (batch: readonly LogEntry[]) => void): Disposable {
    this.#listeners.add(onBatch);
    return { [Symbol.dispose]: () => void this.#listeners.delete(onBatch) };
  }

  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#trim);
    this.#commit();
    this.#listeners.clear();
    this.#db.close();
  }

  /** The sequence number of the oldest message that is kept; one over the last if there is none. */
  get #oldest(): number {
    return Math.max(this.#first, this.#last - this.#keep + 1);
  }

  /** Stores what waits in one transaction, answers it, then tells the subscribers. */
  #commit(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    const now = this.#now();
    const ms = Math.max(now, this.#lastMs);
    const moment = momentOf(new Date(now));
    const batch: LogEntry[] = [];
    const answers: (() => void)[] = [];
    try {
      this.#statements.begin.run();
      for (const { post, resolve, reject } of waiting) {
        const before = post.key === undefined ? undefined : this.#findKey(post.key);
        if (before) {
          const entry = toEntry(before);
          answers.push(() => {
            if (isSameText(entry, post)) resolve({ entry, repeated: true });
            else reject(new KeyConflictError("The key belongs to another message"));
          });
          continue;
        }
        const seq = this.#last + batch.length + 1;
        const id = `${ms}-${seq}`;
        const { nickname, message } = post;
        const json = JSON.stringify({ id, nickname, message, ...moment } satisfies ChatMessage);
        this.#statements.insert.run(seq, ms, post.key ?? null, json);
        const entry = { id, json };
        batch.push(entry);
        answers.push(() => resolve({ entry, repeated: false }));
      }
      this.#statements.commit.run();
    } catch (error) {
      // SQLite may have rolled back already; isTransaction tells.
      if (this.#db.isTransaction) this.#statements.rollback.run();
      for (const { reject } of waiting) reject(unavailable(error));
      return;
    }
    for (const answer of answers) answer();
    if (batch.length === 0) return;
    this.#last += batch.length;
    this.#lastMs = ms;
    this.#trimSoon();
    for (const listener of this.#listeners) listener(batch);
  }

  /** The kept message with a key. One that is no longer kept gives its key up. */
  #findKey(key: string): Row | undefined {
    const row = this.#statements.byKey.get(key) as unknown as Row | undefined;
    if (!row || row.seq >= this.#oldest) return row;
    this.#statements.dropKey.run(row.seq);
  }

  /** The messages from one sequence number to before another, and the cursor behind them. */
  #read(from: number, end: number): Pick<LogPage, "entries" | "cursor"> {
    const rows = this.#query(() => this.#statements.range.all(from, end)) as unknown as Row[];
    const entries = rows.map(toEntry);
    return { entries, cursor: entries.at(-1)?.id ?? `${this.#lastMs}-${this.#last}` };
  }

  /** Asks the database; what it can't answer is the log that can't be read. */
  #query<Result>(ask: () => Result): Result {
    try {
      return ask();
    } catch (error) {
      throw unavailable(error);
    }
  }

  /**
   * The sequence number in a cursor, if the cursor is of this log: of a message
   * that is there, of one that was, or of the place before the first.
   */
  #placeOf(cursor: string): number | undefined {
    const id = parseId(cursor);
    if (!id || id.seq > this.#last || id.ms < this.#born) return undefined;
    const ms = id.seq === 0 ? this.#born : this.#msOf(id.seq);
    const isKnown = ms === undefined ? id.ms <= this.#lastMs : id.ms === ms;
    return isKnown ? id.seq : undefined;
  }

  #msOf(seq: number): number | undefined {
    return (this.#statements.ms.get(seq) as { ms: number } | undefined)?.ms;
  }

  /** Deletes what is no longer kept, bit by bit, apart from any post. */
  #trimSoon(): void {
    if (this.#trim !== undefined || this.#first >= this.#oldest) return;
    this.#trim = setTimeout(() => {
      this.#trim = undefined;
      const end = Math.min(this.#oldest, this.#first + TRIM_SIZE);
      try {
        this.#statements.trim.run(end);
        this.#first = end;
      } catch (error) {
        // A full disk, most likely: the next commit tries again.
        if (!isSqliteError(error)) throw error;
        return;
      }
      this.#trimSoon();
    }, TRIM_PAUSE_MS);
  }
}

/** Makes the tables of a new log, or checks those of an old one; returns when it was made. */
function createSchema(db: DatabaseSync, now: number): number {
  db.exec(`
    PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS};
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    BEGIN EXCLUSIVE;
  `);
  const { application_id: owner } = db.prepare("PRAGMA application_id").get()!;
  const { user_version: version } = db.prepare("PRAGMA user_version").get()!;
  const { tables } = db.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()!;
  if (owner !== APPLICATION_ID && tables !== 0) {
    throw new Error(
      "the message log is a database of another program; give another file with --message-log",
    );
  }
  if (Number(version) > SCHEMA_VERSION) {
    throw new Error(
      `the message log was written by a newer version (schema ${version}, this one knows ` +
        `${SCHEMA_VERSION}); start that version, or give another file with --message-log`,
    );
  }
  if (version === 0) {
    db.exec(`
      PRAGMA application_id = ${APPLICATION_ID};
      PRAGMA user_version = ${SCHEMA_VERSION};
      CREATE TABLE log (born INTEGER NOT NULL) STRICT;
      CREATE TABLE messages (
        seq INTEGER PRIMARY KEY,
        ms INTEGER NOT NULL,
        key TEXT,
        json TEXT NOT NULL
      ) STRICT;
      CREATE UNIQUE INDEX messages_key ON messages (key) WHERE key IS NOT NULL;
    `);
    db.prepare("INSERT INTO log (born) VALUES (?)").run(now);
  }
  db.exec("COMMIT");
  return Number(db.prepare("SELECT born FROM log").get()!.born);
}

function prepare(db: DatabaseSync) {
  const statements = {
    begin: "BEGIN IMMEDIATE",
    commit: "COMMIT",
    rollback: "ROLLBACK",
    insert: "INSERT INTO messages (seq, ms, key, json) VALUES (?, ?, ?, ?)",
    byKey: "SELECT seq, ms, json FROM messages WHERE key = ?",
    dropKey: "UPDATE messages SET key = NULL WHERE seq = ?",
    range: "SELECT seq, ms, json FROM messages WHERE seq >= ? AND seq < ? ORDER BY seq",
    ms: "SELECT ms FROM messages WHERE seq = ?",
    ends: "SELECT coalesce(min(seq), 1) AS first, coalesce(max(seq), 0) AS last FROM messages",
    trim: "DELETE FROM messages WHERE seq < ?",
  };
  return Object.fromEntries(
    Object.entries(statements).map(([name, sql]) => [name, db.prepare(sql)]),
  ) as { [Name in keyof typeof statements]: StatementSync };
}

function toEntry({ seq, ms, json }: Row): LogEntry {
  return { id: `${ms}-${seq}`, json };
}

function isSameText({ json }: LogEntry, post: Post): boolean {
  const { nickname, message }: ChatMessage = JSON.parse(json);
  return nickname === post.nickname && message === post.message;
}

/** What an error of the database means to the rest; any other error stays what it is. */
function unavailable(cause: unknown): unknown {
  if (!isSqliteError(cause)) return cause;
  return new LogUnavailableError("The message log can't be used just now", { cause });
}

function isSqliteError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR";
}
