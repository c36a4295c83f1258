/**
 * The logs of all rooms in one SQLite database: which are open, and how old their messages may become.
 * What the logs share is made once.
 */

import type { StatementSync } from "node:sqlite";
import {
  LogUnavailableError,
  type MessageStore,
  type Retention,
  type RoomEntry,
  StoreAwayError,
} from "./message_log.ts";
import { CLEARED_STATEMENTS, SqliteCleared } from "./sqlite_cleared.ts";
import { SqliteDatabase } from "./sqlite_database.ts";
import { isSqliteError, toLogError } from "./sqlite_errors.ts";
import { LOG_STATEMENTS, type LogParts, SqliteLog } from "./sqlite_log.ts";
import { PAGE_STATEMENTS, SqlitePages } from "./sqlite_pages.ts";
import { REMOVAL_STATEMENTS, SqliteRemoval } from "./sqlite_removal.ts";
import { SqliteRevokedSessions } from "./sqlite_revoked.ts";
import { type RoomRow, SqliteRooms } from "./sqlite_rooms.ts";
import { SPAN_STATEMENTS, SqliteRetention } from "./sqlite_span.ts";
import { DAY_MS, EXPIRY_INTERVAL_MS, keptSince } from "./retention.ts";
import { stateJson } from "./room_state.ts";

/** Options for {@linkcode SqliteStore.open}. */
export interface SqliteStoreOptions extends Retention {
  /** The clock, in milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
}

/** A {@linkcode MessageStore} in SQLite. */
export class SqliteStore implements MessageStore {
  readonly secret: Uint8Array<ArrayBuffer>;
  readonly revoked: SqliteRevokedSessions;
  readonly #database: SqliteDatabase;
  readonly #options: SqliteStoreOptions;
  readonly #now: () => number;
  readonly #rooms: SqliteRooms;
  readonly #parts: LogParts;
  readonly #open = new Map<string, SqliteLog>();
  readonly #expiry: ReturnType<typeof setInterval> | undefined;
  /** When the file was last gone through for what had become too old. */
  #lastErasure = -Infinity;

  private constructor(database: SqliteDatabase, options: SqliteStoreOptions) {
    this.#database = database;
    this.#options = options;
    this.#now = options.now ?? (() => Date.now());
    const { secret } = database.prepare({ secret: "SELECT secret FROM log" });
    this.secret = secret.get()!.secret as Uint8Array<ArrayBuffer>;
    this.revoked = new SqliteRevokedSessions(database, this.#now);
    this.#rooms = new SqliteRooms({
      database,
      now: this.#now,
      maxRooms: options.maxRooms ?? Infinity,
      isOpen: (name) => this.#open.has(name),
    });
    this.#parts = newParts(database, this.#rooms, this.#now, options.keep);
    this.#forEachRoom((room) => this.#rooms.drop(room));
    this.#resumeRemovals();
    if (!options.keepDays) return;
    this.#expire();
    this.#expiry = setInterval(() => this.#expire(), EXPIRY_INTERVAL_MS);
  }

  /**
   * Opens the database at `path`, creating it if it does not exist, or a new one in
   * memory for `:memory:`.
   *
   * @throws {Error} See {@linkcode SqliteDatabase.open}.
   */
  static open(path: string, options: SqliteStoreOptions): SqliteStore {
    const { now = Date.now } = options;
    return new SqliteStore(SqliteDatabase.open(path, now()), options);
  }

  get id(): string {
    return this.#rooms.find("").born.toString(36);
  }

  openLog(room: string): SqliteLog {
    this.#checkOpen();
    try {
      this.#database.stopTrimming(room);
      const log = new SqliteLog(room, this.#parts, () => this.#open.delete(room));
      this.#open.set(room, log);
      log.expire(this.#minMs);
      return log;
    } catch (error) {
      throw toLogError(error);
    }
  }

  // deno-lint-ignore require-await
  async rooms(): Promise<RoomEntry[]> {
    this.#checkOpen();
    try {
      return this.#rooms.counts().flatMap(({ name, messages: count, hasState }) => {
        const log = this.#open.get(name);
        const messages = log?.messages ?? Math.min(count, this.#options.keep);
        const isModerated = log ? stateJson(log.state) !== null : hasState;
        return messages > 0 || isModerated ? [{ name, messages }] : [];
      });
    } catch (error) {
      throw toLogError(error);
    }
  }

  // deno-lint-ignore require-await
  async probe(): Promise<void> {
    this.#checkOpen();
    try {
      this.#database.probe();
    } catch (error) {
      throw toLogError(error);
    }
  }

  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#expiry);
    this.#database[Symbol.dispose]();
  }

  /** Has what an earlier run did not come to done in the background: text that it removed is left. */
  #resumeRemovals(): void {
    for (const name of this.#rooms.interrupted()) this.openLog(name).close();
    this.#database.eraseSoon();
  }

  /** Has every room's log, open or not, give up what has become too old. */
  #expire(): void {
    this.#forEachRoom(({ name }) => {
      const log = this.#open.get(name);
      if (log) log.expire(this.#minMs);
      else this.openLog(name).close();
    });
    this.#eraseExpired();
  }

  /** Once a day: rows that were deleted may have left copies of their text. */
  #eraseExpired(): void {
    if (this.#now() - this.#lastErasure < DAY_MS) return;
    try {
      this.#database.erasure.note();
      this.#database.eraseSoon();
      this.#lastErasure = this.#now();
    } catch (error) {
      // A full disk, most likely.
      if (!isSqliteError(error)) throw error;
    }
  }

  #checkOpen(): void {
    if (this.#database.isClosed) throw new StoreAwayError("The message log is closed");
  }

  /** What was written before it has become too old. */
  get #minMs(): number {
    return keptSince(this.#options.keepDays ?? 0, this.#now());
  }

  /** Where the disk fails for one room, the others have their turn all the same. */
  #forEachRoom(act: (room: Pick<RoomRow, "name" | "id" | "ms">) => void): void {
    for (const room of this.#rooms.all()) {
      try {
        act(room);
      } catch (error) {
        if (!(error instanceof LogUnavailableError) && !isSqliteError(error)) throw error;
      }
    }
  }
}

/** What all logs work with. The statements are prepared once. */
function newParts(
  database: SqliteDatabase,
  rooms: SqliteRooms,
  now: () => number,
  keep: number,
): LogParts {
  const { erasure } = database;
  const statements: Record<
    | keyof typeof PAGE_STATEMENTS
    | keyof typeof SPAN_STATEMENTS
    | keyof typeof REMOVAL_STATEMENTS
    | keyof typeof CLEARED_STATEMENTS
    | keyof typeof LOG_STATEMENTS,
    StatementSync
  > = database.prepare({
    ...PAGE_STATEMENTS,
    ...SPAN_STATEMENTS,
    ...REMOVAL_STATEMENTS,
    ...CLEARED_STATEMENTS,
    ...LOG_STATEMENTS,
  });
  const pages = new SqlitePages(statements);
  const cleared = new SqliteCleared(statements, erasure);
  return {
    database,
    rooms,
    now,
    statements,
    pages,
    cleared,
    removal: new SqliteRemoval({ statements, pages, rooms, cleared, erasure }),
    retention: new SqliteRetention({ statements, pages, rooms, cleared, erasure, keep }),
  };
}
