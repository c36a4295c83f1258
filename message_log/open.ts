/** Opens the log that a setting names. */

import type { MessageLog } from "./message_log.ts";
import { SqliteLog } from "./sqlite_log.ts";

/** Options for {@linkcode openMessageLog}. */
export interface MessageLogOptions {
  /** How many messages are kept. */
  readonly keep: number;
}

/**
 * Opens the log that a URL names: `sqlite:PATH` for a file, which is made if it
 * is not there, or `memory:` for one that ends with the program.
 *
 * @throws {Error} If it can't be opened; the message says why and what to change.
 */
export function openMessageLog(url: string, options: MessageLogOptions): MessageLog {
  return SqliteLog.open(url === "memory:" ? ":memory:" : url.slice("sqlite:".length), options);
}
