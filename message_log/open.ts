/** Opens the log that a setting names. */

import type { MessageLog } from "./message_log.ts";
import { SqliteLog, type SqliteLogOptions } from "./sqlite_log.ts";

/**
 * Opens the log that a URL names: `sqlite:PATH` for a file, which is created if
 * it does not exist, or `memory:` for one that ends with the program.
 *
 * @throws {Error} If it can't be opened; the message says why and what to change.
 */
// deno-lint-ignore require-await
export async function openMessageLog(url: string, options: SqliteLogOptions): Promise<MessageLog> {
  return SqliteLog.open(url === "memory:" ? ":memory:" : url.slice("sqlite:".length), options);
}
