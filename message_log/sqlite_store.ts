/**
 * The logs of all rooms in one SQLite database: which rooms have messages, and how
 * old messages may become. The statements are prepared once for all logs.
 */

import type { StatementSync } from "node:sqlite";
import {
  LogUnavailableError,
  type MessageStore,
  type Retention,
  type RoomEntry,
} from "./message_log.ts";
import { SqliteDatabase } from "./sqlite_database.ts";
import { isSqliteError, toLogError } from "./sqlite_errors.ts";
import {
  type Claim,
  LOG_STATEMENTS,
  NO_ROOM,
  type RoomRow,
  type RoomTable,
  SqliteLog,
  type SqliteLogOptions,
} from "./sqlite_log.ts";
import { PAGE_STATEMENTS } from "./sqlite_pages.ts";
import { SqliteRevokedSessions } from "./sqlite_revoked.ts";
import { parseState, stateJson, withoutEnded } from "./sqlite_state.ts";

/** Rooms are searched for messages that have become too old this often. */
const EXPIRY_INTERVAL_MS = 60_000;
const DAY_MS = 24 * 60 * 60_000;
/** For this many milliseconds it is known which numbers their ids have. */
const MAX_CLAIMED = 64;
/** The main room, which is always there. */
const MAIN = "";

/** Options for {@linkcode SqliteStore.open}. */
export interface SqliteStoreOptions extends Retention {
  /** The clock, in milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
}

const STATEMENTS = {
  secret: "SELECT secret FROM log",
  born: "SELECT born FROM log",
  findRoom: "SELECT id, born, last, ms, state, oldest FROM rooms WHERE name = ?",
  allRooms: "SELECT id, name, ms FROM rooms",
  roomEntries: `SELECT name, state,
                  (SELECT max(seq) FROM messages WHERE room = rooms.id)
                    - (SELECT min(seq) FROM messages WHERE room = rooms.id) + 1
                    - (SELECT count(*) FROM messages INDEXED BY messages_removal
                       WHERE room = rooms.id AND removal IS NOT NULL) AS messages
                FROM rooms`,
  interrupted: `SELECT name FROM rooms
                WHERE oldest > (SELECT min(seq) FROM messages WHERE room = rooms.id)`,
  hasRows: "SELECT 1 FROM messages WHERE room = ? LIMIT 1",
  countRooms: `SELECT count(*) AS rooms FROM rooms WHERE name <> '' AND
               EXISTS (SELECT 1 FROM messages WHERE room = rooms.id AND removal IS NULL)`,
  addRoom: "INSERT INTO rooms (name, born, last, ms) VALUES (?, ?, 0, ?) RETURNING id",
  stateOf: "SELECT state FROM rooms WHERE id = ?",
  setOldest: "UPDATE rooms SET oldest = ? WHERE id = ?",
  setState: "UPDATE rooms SET state = ? WHERE id = ?",
  // A log that was closed may come late: another may have gone on.
  emptyRoom: "UPDATE rooms SET last = max(last, ?), ms = max(ms, ?) WHERE id = ?",
  dropRoom: "DELETE FROM rooms WHERE id = ?",
  dropRuns: "DELETE FROM runs WHERE room = ?",
  setBorn: "UPDATE log SET born = max(born, ?)",
};

/** A {@linkcode MessageStore} in SQLite. */
export class SqliteStore implements MessageStore, RoomTable {
  readonly secret: Uint8Array<ArrayBuffer>;
  readonly revoked: SqliteRevokedSessions;
  readonly runs = new Set<number>();
  readonly runBegan: number;
  readonly #database: SqliteDatabase;
  readonly #options: SqliteStoreOptions;
  readonly #now: () => number;
  readonly #statements: Record<keyof typeof STATEMENTS, StatementSync>;
  readonly #logStatements: SqliteLogOptions["statements"];
  readonly #open = new Map<string, SqliteLog>();
  /** The numbers in the ids of the last milliseconds. */
  readonly #claimed = new Map<number, Claim[]>();
  readonly #expiry: ReturnType<typeof setInterval> | undefined;

  private constructor(database: SqliteDatabase, options: SqliteStoreOptions) {
    this.#database = database;
    this.#options = options;
    this.#now = options.now ?? (() => Date.now());
    this.runBegan = this.#now();
    this.#statements = database.prepare(STATEMENTS);
    this.#logStatements = database.prepare({ ...PAGE_STATEMENTS, ...LOG_STATEMENTS });
    this.revoked = new SqliteRevokedSessions(database, this.#now);
    this.secret = this.#statements.secret.get()!.secret as Uint8Array<ArrayBuffer>;
    this.#forEachRoom((room) => this.drop(room));
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
    return this.find(MAIN)!.born.toString(36);
  }

  openLog(room: string): SqliteLog {
    try {
      this.#database.stopTrimming(room);
      const log = new SqliteLog(room, {
        database: this.#database,
        rooms: this,
        statements: this.#logStatements,
        keep: this.#options.keep,
        now: this.#now,
        onClose: () => this.#open.delete(room),
      });
      this.#open.set(room, log);
      return log;
    } catch (error) {
      throw toLogError(error);
    }
  }

  find(name: string): RoomRow | undefined {
    return this.#statements.findRoom.get(name) as RoomRow | undefined;
  }

  /**
   * A room's first cursor, `<born>-0`, is its own: it is before the beginning of the log by a time that
   * depends on the name.
   */
  begin(name: string): RoomRow {
    const ms = this.#statements.born.get()!.born as number;
    return { id: NO_ROOM, born: ms - hashOf(name), last: 0, ms, state: null, oldest: 0 };
  }

  claim(claim: Claim, minMs: number): number {
    const isOthers = ({ room, first, last }: Claim) =>
      room !== claim.room && first <= claim.last && claim.first <= last;
    let ms = minMs;
    while (this.#claimed.get(ms)?.some(isOthers)) ms++;
    const claimed = this.#claimed.get(ms) ?? [];
    this.#claimed.set(ms, claimed);
    claimed.push(claim);
    if (this.#claimed.size > MAX_CLAIMED) this.#claimed.delete(this.#claimed.keys().next().value!);
    return ms;
  }

  get isFull(): boolean {
    const { maxRooms = Infinity } = this.#options;
    return this.#statements.countRooms.get()!.rooms as number >= maxRooms;
  }

  add({ name, born, ms }: { name: string; born: number; ms: number }): number {
    return this.#statements.addRoom.get(name, born, ms)!.id as number;
  }

  setOldest(id: number, oldest: number): void {
    this.#statements.setOldest.run(oldest, id);
  }

  setState(id: number, state: string | null): void {
    this.#statements.setState.run(state, id);
  }

  // deno-lint-ignore require-await
  async rooms(): Promise<RoomEntry[]> {
    if (this.#database.isClosed) throw new LogUnavailableError("The message log is closed");
    try {
      return this.#statements.roomEntries.all().flatMap(({ name, state, messages }) => {
        const room = name as string;
        const log = this.#open.get(room);
        const count = log?.messages ??
          Math.min(messages as number | null ?? 0, this.#options.keep);
        const hasState = log
          ? stateJson(log.state) !== null
          : this.#hasState(state as string | null);
        return count > 0 || hasState ? [{ name: room, messages: count }] : [];
      });
    } catch (error) {
      throw toLogError(error);
    }
  }

  empty(id: number, last: number, ms: number): void {
    this.#statements.emptyRoom.run(last, ms, id);
  }

  drop(
    { name, id, ms }: { readonly name: string; readonly id: number; readonly ms: number },
  ): void {
    if (name === MAIN || this.#open.has(name) || this.#database.isClosed) return;
    if (this.#statements.hasRows.get(id)) return;
    if (this.#hasState(this.#statements.stateOf.get(id)?.state as string | null)) return;
    this.runs.delete(id);
    // The room last: whatever a crash leaves of it is dropped at the next start.
    this.#statements.dropRuns.run(id);
    // Should it begin again, its ids go on after those that it had.
    this.#statements.setBorn.run(Math.max(this.#now(), ms + 1));
    this.#statements.dropRoom.run(id);
  }

  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#expiry);
    this.#database[Symbol.dispose]();
  }

  /** Has what an earlier run did not come to done in the background: text that it removed is left. */
  #resumeRemovals(): void {
    for (const { name } of this.#statements.interrupted.all()) this.openLog(name as string).close();
    this.#database.eraseSoon();
  }

  #hasState(json: string | null): boolean {
    return stateJson(withoutEnded(parseState(json), this.#now())) !== null;
  }

  /** Has every room's log, open or not, give up what has become too old. */
  #expire(): void {
    const minMs = this.#now() - this.#options.keepDays! * DAY_MS;
    this.#forEachRoom(({ name }) => {
      const open = this.#open.get(name);
      const log = open ?? this.openLog(name);
      log.expire(minMs);
      if (!open) log.close();
    });
  }

  /** Where the disk fails for one room, the others have their turn all the same. */
  #forEachRoom(act: (room: { name: string; id: number; ms: number }) => void): void {
    for (const room of this.#statements.allRooms.all()) {
      try {
        act(room as { name: string; id: number; ms: number });
      } catch (error) {
        if (!(error instanceof LogUnavailableError) && !isSqliteError(error)) throw error;
      }
    }
  }
}

/** A number of 32 bits for a text (FNV-1a). */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
