/**
 * A copy of the database that a server keeps messages in, taken while it runs or not. It is of one moment:
 * what is written meanwhile is in the WAL, and not in the copy. The server waits with nothing but the
 * erasure of what a moderator removes, since the copy is read from where the text is.
 */

import { backup, DatabaseSync } from "node:sqlite";
import { basename, dirname } from "node:path";
import { isSqliteError } from "./sqlite_errors.ts";
import { checkOwner, ForeignFileError, readPragma } from "./sqlite_schema.ts";

/** How long the file may be locked, by a server that begins or one of an earlier version. */
const BUSY_TIMEOUT_MS = 5000;
/** All at once: each step begins with what has been written since, from the first page on. */
const PAGES_PER_STEP = 2 ** 31 - 1;
/** Before this version a removal left nothing. */
const VERSION_WITH_REMOVALS = 4;

/** What SQLite's errors mean to the person who makes a backup. */
const ERRORS:
  readonly (readonly [error: string, problem: (path: string, target: string) => string])[] = [
    [
      "database is locked",
      (path) => `the message log ${path} is locked by another program; end that one`,
    ],
    ["full", (_path, target) => `the copy does not fit on the disk of ${target}; make room there`],
    [
      "disk I/O error",
      (path, target) =>
        `${path} can't be read or ${target} can't be written; check their disks, and make room`,
    ],
    [
      "malformed",
      (path) => `the message log ${path} is damaged; keep the copies that there are`,
    ],
    ["not a database", (path) => `${path} is not a database; name another with --message-log`],
    [
      "",
      (path, target) =>
        `${path} can't be copied to ${target}; run it as the user that the server runs as`,
    ],
  ];

/** What was copied. */
export interface Backup {
  readonly messages: number;
  readonly bytes: number;
}

/**
 * Copies the database at `path` to a new file that only its user can read. The file has its name once
 * it is whole and has been checked.
 *
 * @throws {Error} If that is not possible; the message says why and what to change.
 */
export async function backUp(path: string, target: string): Promise<Backup> {
  if (exists(target)) throw new Error(`${target} is there already; name a file that is not`);
  if (!exists(path)) {
    throw new Error(`there is no message log ${path}; name the server's with --message-log`);
  }
  const part = newPart(target);
  try {
    await copy(path, part);
    const made = check(part);
    Deno.renameSync(part, target);
    return made;
  } catch (error) {
    for (const end of ["", "-journal", "-wal", "-shm"]) remove(part + end);
    if (error instanceof ForeignFileError) throw new Error(error.message);
    if (!isSqliteError(error)) throw error;
    const [, problem] = ERRORS.find(([text]) => error.message.includes(text))!;
    throw new Error(problem(path, target), { cause: error });
  }
}

async function copy(path: string, part: string): Promise<void> {
  // Not for reading only: who closes the file last takes its WAL away, which needs the right to write.
  using source = new DatabaseSync(path);
  source.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
  checkOwner(source);
  await backup(source, part, { rate: PAGES_PER_STEP });
}

/** Makes one file of a copy, and sees that all is in it. */
function check(part: string): Backup {
  using db = new DatabaseSync(part);
  db.exec("PRAGMA journal_mode = DELETE");
  const { quick_check: problem } = db.prepare("PRAGMA quick_check(1)").get()!;
  if (problem !== "ok") throw damaged(String(problem));
  const live = readPragma(db, "user_version") < VERSION_WITH_REMOVALS
    ? ""
    : "WHERE removal IS NULL";
  const { messages } = db.prepare(`SELECT count(*) AS messages FROM messages ${live}`).get()!;
  return {
    messages: messages as number,
    bytes: readPragma(db, "page_count") * readPragma(db, "page_size"),
  };
}

/** As SQLite says it where it finds that by itself. */
function damaged(problem: string): Error {
  return Object.assign(new Error(`malformed: ${problem}`), { code: "ERR_SQLITE_ERROR" });
}

/** Another file next to the target, which only its user can read. */
function newPart(target: string): string {
  try {
    return Deno.makeTempFileSync({
      dir: dirname(target),
      prefix: `${basename(target)}.`,
      suffix: ".part",
    });
  } catch (error) {
    if (!(error instanceof Error && error.constructor.name in Deno.errors)) throw error;
    throw new Error(
      `${target} can't be written; create its folder and give this user permission to write there`,
      { cause: error },
    );
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
