/** The sessions that have ended before their time, in a SQLite database. */

import type { StatementSync } from "node:sqlite";
import { LogUnavailableError, type RevokedSessions } from "./message_log.ts";
import type { SqliteDatabase } from "./sqlite_database.ts";
import { toLogError } from "./sqlite_errors.ts";

const STATEMENTS = {
  all: "SELECT id, until FROM revoked WHERE until > ?",
  add:
    "INSERT INTO revoked (id, until) VALUES (?, ?) ON CONFLICT DO UPDATE SET until = excluded.until",
  drop: "DELETE FROM revoked WHERE until <= ?",
};

/** {@linkcode RevokedSessions} in SQLite: all that count are in memory as well. */
export class SqliteRevokedSessions implements RevokedSessions {
  readonly #database: SqliteDatabase;
  readonly #statements: Record<keyof typeof STATEMENTS, StatementSync>;
  readonly #now: () => number;
  /** Until when, in seconds since 1970, by id. */
  readonly #until: Map<string, number>;

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
    if (this.#database.isClosed) throw new LogUnavailableError("The message log is closed");
    const nowS = this.#now() / 1000;
    try {
      this.#statements.add.run(id, Math.ceil(untilS));
      this.#statements.drop.run(Math.floor(nowS));
    } catch (error) {
      throw toLogError(error);
    }
    this.#until.set(id, untilS);
    for (const [other, until] of this.#until) if (until <= nowS) this.#until.delete(other);
  }
}
