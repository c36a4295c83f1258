/** What the errors of a database and its file mean to those who use a log. */

import { LogUnavailableError } from "./message_log.ts";

/** An error of the database as {@linkcode LogUnavailableError}; any other error as it is. */
export function toLogError(cause: unknown): unknown {
  if (!isSqliteError(cause)) return cause;
  return new LogUnavailableError("The message log can't be used just now", { cause });
}

export function isSqliteError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR";
}

/** Whether it is the disk that fails, in the database or in its file, and not the program. */
export function isDiskError(error: unknown): error is Error {
  return isSqliteError(error) ||
    error instanceof Error && "code" in error && /^E[A-Z0-9]+$/.test(String(error.code));
}
