/** The sessions that have ended before their time, at whichever instance: all that count are in memory. */

import { Listeners } from "../listeners.ts";
import { MAX_REVOKED, type RevokedSessions } from "../message_log.ts";
import type { RedisConnection } from "./connection.ts";
import { KEYS } from "./keys.ts";
import type { RedisLink } from "./link.ts";
import { SCRIPTS } from "./scripts.ts";

/** {@linkcode RevokedSessions} in Redis. */
export class RedisRevokedSessions implements RevokedSessions {
  readonly #link: Pick<RedisLink, "run">;
  readonly #now: () => number;
  readonly #listeners = new Listeners<string>();
  /** Until when, in seconds since 1970, by id. */
  #until = new Map<string, number>();

  constructor(link: Pick<RedisLink, "run">, now: () => number) {
    this.#link = link;
    this.#now = now;
  }

  has(id: string): boolean {
    return (this.#until.get(id) ?? 0) > this.#nowS;
  }

  async add(id: string, untilS: number): Promise<void> {
    const end = Math.ceil(untilS);
    await this.#link.run(SCRIPTS.revoke, [KEYS.revoked, KEYS.changes], [
      id,
      `${end}`,
      `${Math.floor(this.#nowS)}`,
      `${MAX_REVOKED}`,
    ]);
    this.learn(id, end);
  }

  subscribe(onRevoked: (id: string) => void): Disposable {
    return this.#listeners.add(onRevoked);
  }

  /** Takes note of one that has ended, here or elsewhere. */
  learn(id: string, untilS: number): void {
    if (this.#until.has(id)) return;
    this.#until.set(id, untilS);
    if (this.#until.size > MAX_REVOKED) this.#forgetFirst();
    this.#listeners.call(id);
  }

  /** Takes note of all that Redis has. */
  async load(connection: RedisConnection): Promise<void> {
    const reply = await connection.send(
      ["ZRANGE", KEYS.revoked, `(${Math.floor(this.#nowS)}`, "+inf", "BYSCORE", "WITHSCORES"],
    ) as string[];
    for (const [id, until] of this.#until) {
      if (until <= this.#nowS) this.#until.delete(id);
    }
    for (let index = 0; index < reply.length; index += 2) {
      this.learn(reply[index], Number(reply[index + 1]));
    }
  }

  /** Forgets those that would have ended first. */
  #forgetFirst(): void {
    const byEnd = [...this.#until].sort(([, a], [, b]) => a - b);
    this.#until = new Map(byEnd.slice(-MAX_REVOKED * 9 / 10));
  }

  get #nowS(): number {
    return this.#now() / 1000;
  }
}
