/**
 * Waits for what is appended, to all streams that an instance follows at once: the logs of the rooms that
 * are open in it, and what instances tell each other.
 */

import { DEADLINE_MS, type RedisConnection } from "./connection.ts";
import { stayConnected } from "./link.ts";

/** Entries of a stream are read this many at a time. */
const COUNT = 256;
/** A wait is no longer: a connection that is dead and does not say so is found by it. */
const BLOCK_MS = 1000;

/** An entry of a stream: its id; its fields, each with its value after it. */
export type RawEntry = readonly [id: string, fields: readonly string[]];

/** A stream that is followed. */
export interface Followed {
  readonly key: string;
  /** The id of the last entry it has taken. */
  readonly cursor: string;
  /** Called when there is a connection, before entries are read: some may have been lost. */
  resume?(connection: RedisConnection): Promise<void>;
  /** Takes the entries after the cursor, and moves that. */
  take(entries: readonly RawEntry[]): void | Promise<void>;
  /** Called when there is no connection any more. */
  pause?(): void;
}

/** Options for {@linkcode RedisTail}. */
export interface RedisTailOptions {
  /** Names a stream of this instance's own. */
  readonly wakeKey: string;
  /** Appends to that stream. */
  wake(): void;
  /** Resolves when the logs can be read. */
  whenReadable(): Promise<void>;
}

/** Follows streams, with a connection of its own: waiting holds up what else is sent over it. */
export class RedisTail {
  readonly #closing = new AbortController();
  readonly #followed = new Map<string, Followed>();
  readonly #options: RedisTailOptions;
  readonly #loop: Promise<void>;
  #connection: RedisConnection | undefined;
  #isWaiting = false;

  constructor(url: string, options: RedisTailOptions) {
    this.#options = options;
    this.#followed.set(options.wakeKey, newWaker(options.wakeKey));
    this.#loop = stayConnected(url, (connection) => this.#follow(connection), {
      signal: this.#closing.signal,
    });
  }

  /** Whether there is a connection that entries come by. */
  get isFollowing(): boolean {
    return this.#connection !== undefined;
  }

  /** Follows another stream, from its cursor on, until that is disposed of. */
  follow(stream: Followed): Disposable {
    this.#followed.set(stream.key, stream);
    if (this.#isWaiting) this.#options.wake();
    this.#isWaiting = false;
    return {
      [Symbol.dispose]: () => {
        if (this.#followed.get(stream.key) === stream) this.#followed.delete(stream.key);
      },
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
  }

  async #follow(connection: RedisConnection): Promise<void> {
    try {
      // Who is told of a loss reads the log at once.
      await this.#options.whenReadable();
      await Promise.all(Array.from(this.#followed.values(), (each) => each.resume?.(connection)));
      this.#connection = connection;
      while (!this.#closing.signal.aborted) await this.#readNext(connection);
    } finally {
      this.#connection = undefined;
      this.#isWaiting = false;
      for (const each of this.#followed.values()) each.pause?.();
    }
  }

  async #readNext(connection: RedisConnection): Promise<void> {
    const streams = [...this.#followed.values()];
    this.#isWaiting = true;
    const reply = await connection.send([
      ...["XREAD", "COUNT", `${COUNT}`, "BLOCK", `${BLOCK_MS}`, "STREAMS"],
      ...streams.map(({ key }) => key),
      ...streams.map(({ cursor }) => cursor),
    ], BLOCK_MS + DEADLINE_MS) as [string, RawEntry[]][] | null;
    this.#isWaiting = false;
    for (const [key, entries] of reply ?? []) {
      const taking = this.#followed.get(key)?.take(entries);
      if (taking) await taking;
    }
  }
}

/** A stream that only ends the wait. */
function newWaker(key: string): Followed {
  let cursor = "0";
  return {
    key,
    get cursor() {
      return cursor;
    },
    take(entries) {
      cursor = entries.at(-1)![0];
    },
  };
}
