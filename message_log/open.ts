/** Opens what a setting names to keep messages in. */

import type { MessageStore } from "./message_log.ts";
import { SqliteStore, type SqliteStoreOptions } from "./sqlite_store.ts";

/**
 * Opens the logs that a URL names: `sqlite:PATH` for a file, which is created if
 * it does not exist, or `memory:` for logs that end with the program.
 *
 * @throws {Error} If they can't be opened; the message says why and what to change.
 */
// deno-lint-ignore require-await
export async function openMessageStore(
  url: string,
  options: SqliteStoreOptions,
): Promise<MessageStore> {
  return SqliteStore.open(url === "memory:" ? ":memory:" : url.slice("sqlite:".length), options);
}
