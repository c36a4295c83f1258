/**
 * Overwriting the text that was removed wherever it is left in a database's file. That there is some
 * is noted in the file, in the transaction that removes it: a run that is stopped or killed before it
 * has come to the end leaves the rest to the next.
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { UnfinishedRemovalError } from "./message_log.ts";
import { isDiskError } from "./sqlite_errors.ts";
import { SqliteGaps } from "./sqlite_gaps.ts";

/** The removed text in a database that is ours alone; without a path, it is in memory only. */
export class SqliteErasure implements Disposable {
  readonly #gaps: SqliteGaps | undefined;
  readonly #setDue: StatementSync;
  #isDue: boolean;
  /** How often something was removed. */
  #removals = 0;
  /** The one that goes through the file, and the one that comes after it. */
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #isClosed = false;

  constructor(db: DatabaseSync, path: string | undefined) {
    if (path !== undefined) this.#gaps = new SqliteGaps(db, path);
    this.#setDue = db.prepare("UPDATE log SET erasure_due = ?");
    this.#isDue = db.prepare("SELECT erasure_due FROM log").get()!.erasure_due !== 0;
  }

  /** Whether something may be left in the file. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** Notes that something is removed, in the transaction that does it. */
  note(): void {
    this.#setDue.run(1);
    this.#isDue = true;
    this.#removals++;
  }

  /**
   * Leaves nothing of what has been removed in the file and its WAL. One that is under way may have
   * passed it: all who come meanwhile share the next one.
   *
   * @throws {UnfinishedRemovalError} If that is not possible now.
   */
  finish(): Promise<void> {
    return this.#next ??= this.#finishAfter(this.#running);
  }

  /** Ends it where it is. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#gaps?.[Symbol.dispose]();
  }

  async #finishAfter(earlier: Promise<void> | undefined): Promise<void> {
    // Its failure is for those who wait for it.
    await Promise.allSettled([earlier]);
    this.#running = this.#next;
    this.#next = undefined;
    const removals = this.#removals;
    const steps = this.#gaps?.wipe();
    try {
      while (!this.#isClosed) {
        if ((await steps?.next())?.done ?? true) break;
      }
      if (this.#isClosed) throw new UnfinishedRemovalError("The message log is closed");
      if (removals !== this.#removals) return;
      this.#setDue.run(0);
      this.#isDue = false;
    } catch (error) {
      // The file is closed while it is read.
      if (!isDiskError(error) && !this.#isClosed) throw error;
      throw new UnfinishedRemovalError("The message log's file can't be overwritten", {
        cause: error,
      });
    }
  }
}
