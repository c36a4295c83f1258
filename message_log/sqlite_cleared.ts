/**
 * What is remembered of messages that were removed all at once, when their rows are deleted: the keys,
 * so that no repeat brings one back, and from which addresses the marks came.
 */

import type { StatementSync } from "node:sqlite";
import type { SqliteErasure } from "./sqlite_erasure.ts";
import { firstNumber, MARK } from "./sqlite_pages.ts";

/** Of this many entries before a room's last clearing. */
const MAX_ENTRIES = 20_000;
/** What is forgotten goes this many at a time: more than come. */
const FORGET_SIZE = 1000;

/** The statements to write and read with; the first parameter is the room's id. */
export const CLEARED_STATEMENTS = {
  clearedAdd: `INSERT OR REPLACE INTO cleared (room, seq, key, mark, address)
               SELECT room, seq, key, ${MARK}, address FROM messages
               WHERE room = ? AND seq >= ? AND seq < ?
               AND (key IS NOT NULL OR address IS NOT NULL)`,
  clearedForget: `DELETE FROM cleared WHERE room = ?1 AND seq < ?2 AND seq <= (
                    SELECT max(seq) FROM (
                      SELECT seq FROM cleared WHERE room = ?1 ORDER BY seq LIMIT ${FORGET_SIZE}
                    )
                  )`,
  clearedUpTo: "SELECT 1 FROM cleared WHERE room = ? AND seq <= ? LIMIT 1",
  clearedHas: "SELECT 1 FROM cleared WHERE room = ? AND key = ?",
  clearedAddress: `SELECT address FROM cleared WHERE room = ? AND mark = ? AND address IS NOT NULL
                   ORDER BY seq DESC LIMIT 1`,
};

/** What is remembered in a database. */
export class SqliteCleared {
  readonly #statements: Record<keyof typeof CLEARED_STATEMENTS, StatementSync>;
  readonly #erasure: SqliteErasure;

  constructor(
    statements: Record<keyof typeof CLEARED_STATEMENTS, StatementSync>,
    erasure: SqliteErasure,
  ) {
    this.#statements = statements;
    this.#erasure = erasure;
  }

  /** Takes in the rows in [from, end) that the entry `cleared` has removed, and forgets old ones. */
  add(room: number, from: number, end: number, cleared: number): void {
    const { clearedAdd, clearedForget } = this.#statements;
    const min = cleared - MAX_ENTRIES;
    clearedAdd.run(room, Math.max(from, min), Math.min(end, cleared));
    clearedForget.run(room, min);
  }

  /** Whether anything is remembered of a room's messages up to a number. */
  hasUpTo(room: number, last: number): boolean {
    return firstNumber(this.#statements.clearedUpTo, room, last) !== undefined;
  }

  /** Forgets some of that; returns whether there is more. */
  forgetUpTo(room: number, last: number): boolean {
    this.#erasure.note();
    this.#statements.clearedForget.run(room, last + 1);
    return this.hasUpTo(room, last);
  }

  hasKey(room: number, key: string): boolean {
    return firstNumber(this.#statements.clearedHas, room, key) !== undefined;
  }

  /** The address of the last message with a mark. */
  addressOf(room: number, by: string): string | undefined {
    return this.#statements.clearedAddress.get(room, by)?.address as string | null ?? undefined;
  }
}
