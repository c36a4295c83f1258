/** The sessions that have ended before their time, in a SQLite database. */

import type { StatementSync } from "node:sqlite";
import { Listeners } from "./listeners.ts";
import { MAX_REVOKED, type RevokedSessions, StoreAwayError } from "./message_log.ts";
import type { SqliteDatabase } from "./sqlite_database.ts";
import { toLogError } from "./sqlite_errors.ts";

const STATEMENTS = {
  all: "SELECT id, until FROM revoked WHERE until > ?",
  add:
    "INSERT INTO revoked (id, until) VALUES (?, ?) ON CONFLICT DO UPDATE SET until = excluded.until",
  // More than one comes at a time.
  dropFirst: `DELETE FROM revoked WHERE id IN (
                SELECT id FROM revoked WHERE until <= ? ORDER BY until LIMIT 2
              ) RETURNING id`,
};

/** {@linkcode RevokedSessions} in SQLite: all that count are in memory as well. */
export class SqliteRevokedSessions implements RevokedSessions {
  readonly #database: SqliteDatabase;
  readonly #statements: Record<keyof typeof STATEMENTS, StatementSync>;
  readonly #now: () => number;
  /** Until when, in seconds since 1970, by id. */
  readonly #until: Map<string, number>;
  readonly #listeners = new Listeners<string>();

  constructor(database: SqliteDatabase, now: () => number) {
    this.#database = database;
    this.#statements = database.prepare(STATEMENTS);
    this.#now = now;
    const rows = this.#statements.all.all(now() / 1000) as { id: string; until: number }[];
    this.#until = new Map(rows.map(({ id, until }) => [id, until]));
  }

  has(id: string): boolean {
    return (this.#until.get(id) ?? 0) > this.#now() / 1000;
  }

  // deno-lint-ignore require-await
  async add(id: string, untilS: number): Promise<void> {
    if (this.#database.isClosed) throw new StoreAwayError("The message log is closed");
    try {
      this.#statements.add.run(id, Math.ceil(untilS));
      this.#until.set(id, untilS);
      const isFull = this.#until.size > MAX_REVOKED;
      const endedS = isFull ? Number.MAX_SAFE_INTEGER : Math.floor(this.#now() / 1000);
      for (const first of this.#statements.dropFirst.all(endedS)) {
        this.#until.delete(first.id as string);
      }
    } catch (error) {
      throw toLogError(error);
    }
    this.#listeners.call(id);
  }

  subscribe(onRevoked: (id: string) => void): Disposable {
    return this.#listeners.add(onRevoked);
  }
}
