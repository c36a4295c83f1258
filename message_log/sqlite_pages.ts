/**
 * The pages of a log in a SQLite database, as they are read. A row is a message, a message that has been
 * removed (its place, without its text), or the removal of some; `removal` tells which.
 */

import type { StatementSync } from "node:sqlite";
import { parseId } from "../chat_message.ts";
import type { LogEntry, LogPage, Range } from "./message_log.ts";

/**
 * Pages of a log end at multiples of this many entries, wherever they start, so
 * that readers with different cursors soon share pages.
 */
const PAGE_SIZE = 64;
/**
 * A page has no more than this many bytes, unless its only message is longer: a
 * reader that takes nothing may keep a page of its own from being freed.
 */
const PAGE_BYTES = 16 * 1024;

/** The statements to read with; the first parameter is the room's id. */
export const PAGE_STATEMENTS = {
  forward: `SELECT seq, ms, json, removal, octet_length(json) AS bytes FROM messages
            WHERE room = ? AND seq >= ? AND seq < ? ORDER BY seq LIMIT ${PAGE_SIZE}`,
  backward: `SELECT seq FROM messages WHERE room = ? AND seq >= ? AND seq < ? AND removal IS NULL
             ORDER BY seq DESC LIMIT ?`,
  nthLast: `SELECT min(seq) FROM (
              SELECT seq FROM messages WHERE room = ? AND seq >= ? AND removal IS NULL
              ORDER BY seq DESC LIMIT ?
            )`,
  hasMessage: `SELECT 1 FROM messages WHERE room = ? AND seq >= ? AND seq < ? AND removal IS NULL
               LIMIT 1`,
  countDead: `SELECT count(*) FROM messages INDEXED BY messages_removal
              WHERE room = ? AND seq >= ? AND seq < ? AND removal IS NOT NULL`,
  msOf: "SELECT ms FROM messages WHERE room = ? AND seq = ?",
  runOf: "SELECT ms FROM runs WHERE room = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
  runAfter: "SELECT ms FROM runs WHERE room = ? AND seq >= ? ORDER BY seq LIMIT 1",
};

/** The id of no room: nothing is found under it. */
export const NO_ROOM = 0;
/** The mark in a row, also where somebody has edited the file. */
export const MARK = "CASE WHEN json_valid(json) THEN json ->> 'by' END";
/** `removal` of a message that has been removed; of a removal it is what that removes, of a message null. */
export const REMOVED = "";
/** `removal` of what removes all that is before it. */
export const ALL = "all";

/** What there is of a log. */
export interface LogSpan {
  /** The room's id in the database. */
  readonly id: number;
  /** The cursor before the first entry is `<born>-0`. */
  readonly born: number;
  /** The sequence number of the oldest entry that is kept; one past the last if there is none. */
  readonly oldest: number;
  /** That of the newest entry, and its milliseconds. */
  readonly last: number;
  readonly lastMs: number;
  /** How many of the kept entries are no messages: removals, and what they have removed. */
  readonly dead: number;
  /** The sequence number of the last entry that removed all before it; 0 if none is there. */
  readonly cleared: number;
}

/** A row, as an entry is made of it. */
export interface Row {
  readonly seq: number;
  readonly ms: number;
  readonly json: string;
  readonly removal: string | null;
}

/** The first column of the first row that a statement finds, undefined if it finds none. */
export function firstNumber(
  statement: StatementSync,
  ...parameters: (number | string)[]
): number | undefined {
  const row = statement.get(...parameters);
  const value = row && Object.values(row)[0];
  return typeof value === "number" ? value : undefined;
}

export function toEntry({ seq, ms, json, removal }: Row): LogEntry {
  const id = `${ms}-${seq}`;
  return removal === null ? { id, json } : { id, json, removes: removal };
}

/** Reads the pages of any log. */
export class SqlitePages {
  readonly #statements: Record<keyof typeof PAGE_STATEMENTS, StatementSync>;

  constructor(statements: Record<keyof typeof PAGE_STATEMENTS, StatementSync>) {
    this.#statements = statements;
  }

  /** The first page of a range. */
  read(span: LogSpan, range: Range): LogPage {
    if ("before" in range) return this.#readBefore(span, range.before, range.count);
    const end = span.last + 1;
    if ("latest" in range) {
      return this.#readRun(span, this.#latestFrom(span, range.latest), end, end);
    }
    const seq = range.since === undefined ? span.oldest - 1 : this.seqOf(span, range.since);
    const from = Math.max((seq ?? 0) + 1, span.oldest);
    const page = this.#readRun(span, from, end, from - from % PAGE_SIZE + PAGE_SIZE);
    if (seq === undefined) return { ...page, missed: null };
    // What was removed as a whole is not missing.
    return { ...page, missed: page.missed + (span.cleared === span.oldest ? 0 : from - seq - 1) };
  }

  /**
   * The sequence number in a cursor, if the cursor is of this log: that of an entry that
   * is there, of one that was, or 0 for the cursor before the first. A file that
   * was put back from an older copy does not know what was written after the copy.
   */
  seqOf({ id, born, last, lastMs }: LogSpan, cursor: string): number | undefined {
    const { ms, seq } = parseId(cursor) ?? { ms: 0, seq: Infinity };
    if (seq > last) return undefined;
    const { msOf, runOf, runAfter } = this.#statements;
    const known = seq === 0 ? born : firstNumber(msOf, id, seq);
    if (known !== undefined) return ms === known ? seq : undefined;
    // No longer kept: it must be from the time of the server's run that wrote this number.
    const min = firstNumber(runOf, id, seq) ?? Infinity;
    const max = firstNumber(runAfter, id, seq) ?? lastMs;
    return min <= ms && ms <= max ? seq : undefined;
  }

  /** How many of the kept entries in [from, end) are no messages. */
  countDead({ id, dead }: LogSpan, from: number, end: number): number {
    if (dead === 0 || from >= end) return 0;
    return firstNumber(this.#statements.countDead, id, from, end)!;
  }

  /** Where the last messages begin; at the log's end where there is none. */
  #latestFrom({ id, oldest, last, dead }: LogSpan, count: number): number {
    if (count === 0) return last + 1;
    if (dead === 0) return Math.max(last + 1 - count, oldest);
    return firstNumber(this.#statements.nthLast, id, oldest, count) ?? last + 1;
  }

  /**
   * The first page of the entries in [from, end). It ends at `boundary`, when it
   * has enough, or where entries are missing from the file.
   */
  #readRun(
    span: LogSpan,
    from: number,
    end: number,
    boundary: number,
  ): LogPage & { readonly missed: number } {
    const { forward, hasMessage } = this.#statements;
    const entries: LogEntry[] = [];
    const logEnd = `${span.lastMs}-${span.last}`;
    let cursor = logEnd;
    let first = from;
    let next: number | undefined;
    let size = 0;
    for (const found of forward.iterate(span.id, from, end) as Iterable<unknown>) {
      const row = found as Row & { readonly bytes: number };
      size += row.bytes;
      if (next === undefined) first = row.seq;
      else if (row.seq !== next || row.seq >= boundary || size > PAGE_BYTES) break;
      if (row.removal !== REMOVED) entries.push(toEntry(row));
      cursor = `${row.ms}-${row.seq}`;
      next = row.seq + 1;
    }
    const hasOlder = first > span.oldest &&
      (span.dead === 0 || hasMessage.get(span.id, span.oldest, first) !== undefined);
    return { entries, missed: first - from, cursor, end: logEnd, hasOlder };
  }

  /** The messages just before one: as many as wanted, or as there are without a gap. */
  #readBefore(span: LogSpan, cursor: string, count: number): LogPage {
    const { id, oldest } = span;
    const seq = this.seqOf(span, cursor);
    const before = seq ?? 0;
    const rows = this.#statements.backward.all(id, oldest, before, count) as { seq: number }[];
    const end = (rows[0]?.seq ?? oldest - 1) + 1;
    let from = end;
    for (const { seq } of rows) {
      const between = from - seq - 1;
      if (between > 0 && between !== this.countDead(span, seq + 1, from)) break;
      from = seq;
    }
    const page = this.#readRun(span, from, end, end);
    const dead = this.countDead(span, end, before);
    const missed = seq === undefined ? null : Math.max(before - end - dead, 0);
    if (from === end) return { ...page, missed, end: page.cursor };
    return {
      ...page,
      missed,
      end: `${firstNumber(this.#statements.msOf, id, end - 1)}-${end - 1}`,
    };
  }
}
