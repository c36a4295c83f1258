/**
 * The SQLite database that the logs of all rooms are kept in: the file, the one
 * transaction of a turn, and the trimming of what is no longer kept. What the
 * rows mean is the logs' affair. A second server is refused while the program runs;
 * others may read the file, as a backup does.
 *
 * The file is in WAL mode with `synchronous` at NORMAL: a message that was
 * answered survives the end of the program, however it ends; only a power cut
 * can take the last ones. What is deleted is overwritten, and its room in the file is
 * used again; where that is much, the file shrinks, unless an earlier version has made it.
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { UnfinishedRemovalError } from "./message_log.ts";
import { SqliteErasure } from "./sqlite_erasure.ts";
import { isSqliteError, toLogError } from "./sqlite_errors.ts";
import { checkName, FileLock } from "./sqlite_lock.ts";
import { checkOwner, ForeignFileError, markAsOurs, migrate, readPragma } from "./sqlite_schema.ts";

/** The pause between two steps of trimming, so that posts get their turns. */
const TRIM_PAUSE_MS = 25;
/** Pages of the file that one step of trimming gives back. */
const VACUUM_PAGES = 200;
/** A file keeps this part of itself free, for the messages to come. */
const FREE_PART = 1 / 4;
/** What could not be erased is tried again after this time. */
const ERASE_AGAIN_MS = 1000;
/** How long another program may take to let go of the file when it is opened. */
const BUSY_TIMEOUT_MS = 1000;

/** SQLite's number for `PRAGMA auto_vacuum = INCREMENTAL`. */
const INCREMENTAL = 2;
/** The path of a database that is in no file. */
const IN_MEMORY = ":memory:";

/** What SQLite's errors mean to the person who starts the program. */
const OPEN_ERRORS: readonly (readonly [error: string, problem: string])[] = [
  ["database is locked", "is in use by another program; end that one, or use another file"],
  ["readonly database", "can't be written; give this user write permission, or use another file"],
  ["disk image is malformed", "is damaged; restore it from a copy, or use another file"],
  ["disk is full", "does not fit on the disk; make room, or use another file"],
  [
    "disk I/O error",
    "can't be read or written; check the disk and the permissions of its folder, or use another file",
  ],
  ["file is not a database", "is not a database; use another file"],
  [
    "locking protocol",
    "is on a file system without what SQLite's WAL needs, as a network's is; keep it on a disk of this machine",
  ],
  [
    "",
    "can't be opened; create its folder and give this user permission to read and write there, or use another file",
  ],
];

/** A log's part in the transaction of a turn. */
export interface Participant {
  /** The room's name. */
  readonly room: string;
  /** Writes what waits. The function that it returns is called once that is durable. */
  write(): () => void;
  /** Called instead if nothing of it was stored. */
  fail(error: unknown): void;
  /**
   * Deletes some of what is no longer kept. The function that it returns is called once that is
   * durable; whether there is more to delete.
   */
  trim(): () => boolean;
}

/** The database, in a file or in memory. */
export class SqliteDatabase implements Disposable {
  readonly erasure: SqliteErasure;
  readonly #db: DatabaseSync;
  readonly #lock: FileLock | undefined;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #writing = new Set<Participant>();
  readonly #trimming = new Map<Participant, ReturnType<typeof setTimeout>>();
  #shrinking: ReturnType<typeof setTimeout> | undefined;
  #erasing: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /** @param lock On the file; without one it is in memory. */
  private constructor(db: DatabaseSync, path: string, lock: FileLock | undefined, now: number) {
    this.#db = db;
    this.#lock = lock;
    db.exec("PRAGMA auto_vacuum = INCREMENTAL");
    const { journal_mode: mode } = db.prepare("PRAGMA journal_mode = WAL").get()!;
    // As SQLite says it where it finds that by itself.
    if (lock && mode !== "wal") throw new Error(`locking protocol: ${mode}`);
    db.exec(`
      PRAGMA synchronous = NORMAL;
      PRAGMA secure_delete = ON;
    `);
    migrate(db, now);
    // From now on nobody waits for another program: the event loop would.
    db.exec("PRAGMA busy_timeout = 0");
    this.#begin = db.prepare("BEGIN IMMEDIATE");
    this.#commit = db.prepare("COMMIT");
    this.#rollback = db.prepare("ROLLBACK");
    this.erasure = new SqliteErasure(db, lock && path);
  }

  /**
   * Opens the database at `path`, creating it if it does not exist, or a new
   * one in memory for `:memory:`.
   *
   * @throws {Error} If the file is not such a database, is in use or can't be
   * opened or written; the message names the file and the setting.
   */
  static open(path: string, now: number): SqliteDatabase {
    let db: DatabaseSync | undefined;
    let lock: FileLock | undefined;
    try {
      if (path !== IN_MEMORY) {
        createFile(path);
        checkName(path);
      }
      db = new DatabaseSync(path);
      db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      checkOwner(db);
      if (path !== IN_MEMORY) lock = FileLock.take(path);
      return new SqliteDatabase(db, path, lock, now);
    } catch (error) {
      db?.close();
      lock?.[Symbol.dispose]();
      if (error instanceof ForeignFileError) throw new Error(error.message);
      const text = error instanceof Error ? error.message : "";
      const [, problem] = OPEN_ERRORS.find(([part]) => text.includes(part))!;
      throw new Error(`the message log ${path} ${problem} with --message-log`, { cause: error });
    }
  }

  /** Prepares statements by name. */
  prepare<Name extends string>(sql: Record<Name, string>): Record<Name, StatementSync> {
    const statements = Object.entries<string>(sql).map(([name, text]) =>
      [name, this.#db.prepare(text)] as const
    );
    return Object.fromEntries(statements) as Record<Name, StatementSync>;
  }

  /**
   * Lets a log take part in the transaction of this turn of the event loop,
   * which begins once everything else in the turn has run.
   */
  writeSoon(log: Participant): void {
    if (this.#writing.size === 0) setImmediate(() => this.writeNow());
    this.#writing.add(log);
  }

  /** Has a log trimmed in small steps, off the path of any post. */
  trimSoon(log: Participant): void {
    if (this.#isClosed || this.#trimming.has(log)) return;
    const timer = setTimeout(() => {
      this.#trimming.delete(log);
      let isMore: boolean;
      try {
        isMore = this.transact(() => log.trim())();
      } catch (error) {
        // A full disk, most likely. The next post tries again.
        if (!isSqliteError(error)) throw error;
        return;
      }
      if (isMore) return this.trimSoon(log);
      this.#shrinkSoon();
      this.eraseSoon();
    }, TRIM_PAUSE_MS);
    this.#trimming.set(log, timer);
  }

  /** Ends the trimming of a room's log that another takes the place of. */
  stopTrimming(room: string): void {
    for (const [log, timer] of this.#trimming) {
      if (log.room !== room) continue;
      clearTimeout(timer);
      this.#trimming.delete(log);
    }
  }

  /**
   * Has what was removed overwritten, if that is due.
   *
   * @throws {UnfinishedRemovalError} If that is not possible now: it is tried again in the background.
   */
  async erase(): Promise<void> {
    if (!this.erasure.isDue) return;
    try {
      await this.erasure.finish();
    } catch (error) {
      // A full disk, or somebody who reads the file.
      if (error instanceof UnfinishedRemovalError) this.eraseSoon(ERASE_AGAIN_MS);
      throw error;
    }
  }

  /** The same in the background. */
  eraseSoon(pauseMs = TRIM_PAUSE_MS): void {
    if (this.#isClosed || !this.erasure.isDue) return;
    this.#erasing ??= setTimeout(() => {
      this.#erasing = undefined;
      this.erase().catch((error) => {
        if (!(error instanceof UnfinishedRemovalError)) throw error;
      });
    }, pauseMs);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Writes something to the file that is there already. */
  probe(): void {
    this.transact(() => markAsOurs(this.#db));
  }

  /** Stores what waits, and closes the database. Closing again changes nothing. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of this.#trimming.values()) clearTimeout(timer);
    clearTimeout(this.#shrinking);
    clearTimeout(this.#erasing);
    this.writeNow();
    this.#db.close();
    this.erasure[Symbol.dispose]();
    this.#lock?.[Symbol.dispose]();
  }

  /** One transaction for all logs; each hears of it once it is over. */
  writeNow(): void {
    const logs = [...this.#writing];
    if (logs.length === 0) return;
    this.#writing.clear();
    let settlements: (() => void)[];
    try {
      settlements = this.transact(() => logs.map((log) => log.write()));
    } catch (error) {
      for (const log of logs) log.fail(toLogError(error));
      return;
    }
    for (const settle of settlements) settle();
  }

  /** Makes a change durable as a whole, or not at all. */
  transact<Result>(change: () => Result): Result {
    try {
      this.#begin.run();
      const result = change();
      this.#commit.run();
      return result;
    } catch (error) {
      this.#undo();
      throw error;
    }
  }

  /** Gives back what is free in the file beyond what it should keep, in small steps. */
  #shrinkSoon(): void {
    // Only VACUUM could let a file do so that was made without, and Deno does not allow it.
    if (this.#shrinking || readPragma(this.#db, "auto_vacuum") !== INCREMENTAL) return;
    this.#shrinking = setTimeout(() => {
      this.#shrinking = undefined;
      try {
        const free = readPragma(this.#db, "freelist_count");
        const spare = free - readPragma(this.#db, "page_count") * FREE_PART;
        if (spare < VACUUM_PAGES) return;
        // Each step gives one page back: exec() would take but one.
        this.#db.prepare(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`).all();
        this.#shrinkSoon();
      } catch (error) {
        // A full disk, most likely. The next trimming tries again.
        if (!isSqliteError(error)) throw error;
      }
    }, TRIM_PAUSE_MS);
  }

  /** SQLite may have rolled back already; isTransaction tells. */
  #undo(): void {
    try {
      if (this.#db.isTransaction) this.#rollback.run();
    } catch (error) {
      // The disk can't even be read. The transaction stays open, so that posts fail until it can.
      if (!isSqliteError(error)) throw error;
    }
  }
}

/** Creates a file that only this user can read. SQLite's own would be open to all. */
function createFile(path: string): void {
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
  } catch (error) {
    // It exists. If it can't be created, SQLite says so when it opens it.
    if (!(error instanceof Error && error.constructor.name in Deno.errors)) throw error;
  }
}
