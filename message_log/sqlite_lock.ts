/** The lock on a database's file that a server holds: a second server would give ids that the first gives. */

import { ForeignFileError } from "./sqlite_schema.ts";

/** How long a previous run may take to end. */
const MAX_WAIT_MS = 1000;
const WAIT_MS = 20;

/**
 * A lock until it is disposed of, or the process ends. It is on a file of its own, which stays: the
 * database's has SQLite's locks, and what a lock does to other locks differs among systems.
 */
export class FileLock implements Disposable {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /**
   * Locks the database at `path`, which must be there.
   *
   * @throws {ForeignFileError} If a server has it.
   */
  static take(path: string): FileLock {
    // By the file's own name, whichever symlink leads to it.
    const file = openLock(`${Deno.realPathSync(path)}-lock`);
    const end = performance.now() + MAX_WAIT_MS;
    while (!file.tryLockSync(true)) {
      if (performance.now() >= end) {
        file.close();
        throw new ForeignFileError(
          `the message log ${path} is in use by another server; stop that one, or use another file ` +
            "with --message-log",
        );
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
    }
    return new FileLock(file);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function openLock(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { write: true, create: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && error.constructor.name in Deno.errors)) throw error;
    throw new ForeignFileError(
      `the message log's lock ${path} can't be opened; give this user permission to write it and ` +
        "its folder, or use another file with --message-log",
    );
  }
}

/**
 * Refuses a file that a server could have open by another name.
 *
 * @throws {ForeignFileError} If it has one.
 */
export function checkName(path: string): void {
  const { isFile, nlink } = Deno.statSync(path);
  // SQLite, too, takes the name for the file: each would have a WAL of its own.
  if (isFile && (nlink ?? 1) > 1) {
    throw new ForeignFileError(
      `the message log ${path} has a second name, a hard link; delete one of the two, or use ` +
        "another file with --message-log",
    );
  }
}
