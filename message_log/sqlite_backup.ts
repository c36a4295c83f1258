/**
 * A copy of the database that a server keeps messages in, taken while it runs or not. It is of one moment:
 * what is written meanwhile is in the WAL, and not in the copy. The server waits with nothing but the
 * erasure of what a moderator removes, since the copy is read from where the text is.
 */

import { backup, DatabaseSync } from "node:sqlite";
import { basename, dirname, join } from "node:path";
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

/** What SQLite has next to a file while it writes it. */
const FILE_ENDS = ["", "-journal", "-wal", "-shm"];
/** How the name of a file ends that is not whole yet, and of what SQLite has next to it. */
const PART_END = new RegExp(`^[0-9a-f]+\\.part(?:${FILE_ENDS.join("|")})$`);

/** What was copied. */
export interface Backup {
  readonly messages: number;
  readonly bytes: number;
}

/**
 * Copies the database at `path` to a new file that only its user can read. The file has its name once
 * it is whole and has been checked; nothing is left of one that does not come to this.
 *
 * @param signal Ends it; it is heard once the pages have been copied.
 * @throws {Error} If that is not possible; the message says why and what to change.
 */
export async function backUp(path: string, target: string, signal?: AbortSignal): Promise<Backup> {
  checkSource(path);
  const part = newPart(target);
  try {
    await copy(path, part);
    // Only now can a signal be heard.
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal?.throwIfAborted();
    const made = check(part);
    rename(part, target);
    return made;
  } catch (error) {
    for (const end of FILE_ENDS) remove(part + end);
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
    if (exists(target)) throw thereAlready(target);
    removeParts(target);
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

/** Deletes what killed backups to the same file have left. */
function removeParts(target: string): void {
  const [folder, start] = [dirname(target), `${basename(target)}.`];
  for (const { name } of [...Deno.readDirSync(folder)]) {
    const isPart = name.startsWith(start) && PART_END.test(name.slice(start.length));
    if (isPart) remove(join(folder, name));
  }
}

/** Gives a file a name that no other has. */
function rename(part: string, target: string): void {
  try {
    Deno.openSync(target, { write: true, createNew: true, mode: 0o600 }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw thereAlready(target);
  }
  try {
    Deno.renameSync(part, target);
  } catch (error) {
    remove(target);
    throw error;
  }
  if (Deno.build.os === "windows") return;
  // So that the name survives a power cut.
  using folder = Deno.openSync(dirname(target));
  try {
    folder.syncSync();
  } catch {
    // A file system that has this for files only: the copy is there all the same.
  }
}

function thereAlready(target: string): Error {
  return new Error(`${target} is there already; name a file that is not`);
}

function checkSource(path: string): void {
  try {
    if (exists(path)) return;
  } catch (error) {
    if (!(error instanceof Error && error.constructor.name in Deno.errors)) throw error;
    throw new Error(`${path} can't be read; run it as the user that the server runs as`, {
      cause: error,
    });
  }
  throw new Error(`there is no message log ${path}; name the server's with --message-log`);
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
