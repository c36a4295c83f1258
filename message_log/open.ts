/** Opens what a setting names to keep messages in. */

import type { MessageStore, Retention, StoreEvents } from "./message_log.ts";
import { SqliteStore } from "./sqlite_store.ts";

/** Options for {@linkcode openMessageStore}. */
export interface StoreOptions extends Retention, StoreEvents {
  /** The clock, in milliseconds since 1970. @default {Date.now, or Redis' own} */
  readonly now?: () => number;
  /** The settings that all instances of a chat must share, by their flags. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Opens the logs that a URL names: `sqlite:PATH` for a file, which is created if
 * it does not exist, `memory:` for logs that end with the program, or
 * `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss:` with TLS, for those of all instances.
 *
 * @throws {Error} If they can't be opened; the message says why and what to change.
 */
export async function openMessageStore(url: string, options: StoreOptions): Promise<MessageStore> {
  if (/^rediss?:/.test(url)) {
    // Other runs do not load the client.
    const { RedisStore } = await import("./redis/store.ts");
    return await RedisStore.open(url, options);
  }
  return SqliteStore.open(url === "memory:" ? ":memory:" : url.slice("sqlite:".length), options);
}
