/**
 * The unused space inside the pages of a database's file. SQLite overwrites what it deletes
 * (`secure_delete`), but when it arranges the rows of a page anew it leaves copies of some in the gap
 * between the cell pointers and the cells (File Format, section 1.6), and deletes only the rows. Nothing but
 * VACUUM would rid a file of those copies, which Deno does not allow and which takes seconds for a large one.
 *
 * To write into the file is safe since all that SQLite has in memory or in the WAL comes into the file first
 * and is forgotten, in the same turn of the event loop; since a transaction keeps every other program from
 * writing meanwhile; and since SQLite neither reads a gap nor has checksums of pages. A page that does not look
 * like one with cells, all of them after the gap, is left as it is.
 *
 * Who reads the file, as a backup does, holds what it reads in the file and the WAL: it is waited for.
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { UnfinishedRemovalError } from "./message_log.ts";
import { readPragma } from "./sqlite_schema.ts";

/** This many bytes are looked through in one turn of the event loop. */
const SLICE_BYTES = 256 * 1024;
/** Who reads the file is waited for, so often and each time this long: 5 seconds in all. */
const MAX_WAITS = 250;
const WAIT_MS = 20;
/** The database's header, before that of its first page. */
const FILE_HEADER_BYTES = 100;
/** The kinds of b-tree pages, and the length of their headers. */
const HEADER_BYTES = new Map([[2, 12], [5, 12], [10, 8], [13, 8]]);
/** The page from this offset on is for locks, and no other page. */
const LOCK_BYTE_OFFSET = 2 ** 30;
/** The first byte of other pages is part of a page's number, and 0 up to this one. */
const MAX_PAGES = 2 ** 24;

/** Where the unused bytes of a file are: from an offset to another. */
type Gap = readonly [start: number, end: number];

/** The gaps of a database that nobody else writes to. */
export class SqliteGaps implements Disposable {
  readonly #db: DatabaseSync;
  readonly #file: Deno.FsFile;
  readonly #checkpoint: StatementSync;
  readonly #pageSize: number;
  /** Every so many pages there is one that tells what the next are, from the second on. */
  readonly #mapInterval: number;

  /** The database must be open, and stay so until this is disposed of: to close the file ends its locks. */
  constructor(db: DatabaseSync, path: string) {
    this.#db = db;
    this.#file = Deno.openSync(path, { read: true, write: true });
    this.#checkpoint = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
    this.#pageSize = readPragma(db, "page_size");
    const isMapped = readPragma(db, "auto_vacuum") !== 0;
    this.#mapInterval = isMapped ? Math.floor(this.#pageSize / 5) + 1 : Infinity;
  }

  /**
   * Overwrites them with zeros. It goes from the end of the file to its beginning, as pages do that
   * SQLite moves to shrink the file. A step is short, and the network has its turn before each: Deno reads
   * elsewhere what is read with await. (It does one setImmediate after the other before it looks there.)
   *
   * @throws {UnfinishedRemovalError} If somebody reads the file all the time.
   */
  async *wipe(): AsyncGenerator<void> {
    yield* this.#settle();
    // To ask for its size takes a permission that the program has given up.
    const size = Math.min(this.#file.seekSync(0, Deno.SeekMode.End), MAX_PAGES * this.#pageSize);
    for (let end = size; end > 0; end -= SLICE_BYTES) {
      const start = Math.max(end - SLICE_BYTES, 0);
      if (this.#find(start, await this.#read(start, end)).length > 0) {
        // Nothing that SQLite has in memory may be written over it later.
        yield* this.#settle(() => {
          for (const [from, to] of this.#find(start, this.#readSync(start, end))) {
            this.#file.seekSync(from, Deno.SeekMode.Start);
            this.#file.writeSync(new Uint8Array(to - from));
          }
        });
      }
      yield;
    }
    this.#file.syncDataSync();
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  /** Has all that SQLite knows in the file, and nowhere else; then makes a change of the file. */
  async *#settle(change = () => {}): AsyncGenerator<void> {
    for (let waits = 0; !this.#trySettle(change); waits++) {
      if (waits === MAX_WAITS) {
        throw new UnfinishedRemovalError("Another program reads the message log's file");
      }
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      yield;
    }
  }

  /** The same in this turn of the event loop; returns whether nobody else reads or has written. */
  #trySettle(change: () => void): boolean {
    const version = readPragma(this.#db, "data_version");
    if (this.#checkpoint.get()!.busy !== 0) return false;
    this.#db.exec("PRAGMA shrink_memory; BEGIN IMMEDIATE");
    try {
      if (readPragma(this.#db, "data_version") !== version) return false;
      change();
      return true;
    } finally {
      this.#db.exec("ROLLBACK");
    }
  }

  /** A part of the file; shorter only at its end. */
  async #read(start: number, end: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - start);
    await this.#file.seek(start, Deno.SeekMode.Start);
    let length = 0;
    while (length < bytes.length) {
      const count = await this.#file.read(bytes.subarray(length)) ?? 0;
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  }

  /** The same, in this turn of the event loop. */
  #readSync(start: number, end: number): Uint8Array {
    const bytes = new Uint8Array(end - start);
    this.#file.seekSync(start, Deno.SeekMode.Start);
    let length = 0;
    while (length < bytes.length) {
      const count = this.#file.readSync(bytes.subarray(length)) ?? 0;
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  }

  /** The gaps with something in them, of the pages in a part of the file. */
  #find(start: number, bytes: Uint8Array): Gap[] {
    const gaps: Gap[] = [];
    for (let at = 0; at + this.#pageSize <= bytes.length; at += this.#pageSize) {
      const number = (start + at) / this.#pageSize + 1;
      if ((number - 2) % this.#mapInterval === 0 || start + at === LOCK_BYTE_OFFSET) continue;
      const gap = gapOf(bytes.subarray(at, at + this.#pageSize), number);
      if (gap) gaps.push([start + at + gap[0], start + at + gap[1]]);
    }
    return gaps;
  }
}

/** The gap of a page, if the page has one with something in it. */
function gapOf(page: Uint8Array, number: number): Gap | undefined {
  const header = number === 1 ? FILE_HEADER_BYTES : 0;
  const headerBytes = HEADER_BYTES.get(page[header]);
  if (headerBytes === undefined) return undefined;
  const numberAt = (at: number) => page[at] << 8 | page[at + 1];
  const pointers = header + headerBytes;
  const start = pointers + 2 * numberAt(header + 3);
  const end = numberAt(header + 5) || 65_536;
  if (start > end || end > page.length) return undefined;
  for (let at = pointers; at < start; at += 2) {
    if (numberAt(at) < end || numberAt(at) >= page.length) return undefined;
  }
  for (let at = start; at < end; at++) if (page[at] !== 0) return [start, end];
}
