/** What there is of a log, and how long it is kept: which entries are given up, and their rows deleted. */

import type { StatementSync } from "node:sqlite";
import type { RoomState } from "./message_log.ts";
import type { SqliteCleared } from "./sqlite_cleared.ts";
import type { SqliteErasure } from "./sqlite_erasure.ts";
import {
  ALL,
  firstNumber,
  type LogSpan,
  type PAGE_STATEMENTS,
  type Row,
  type SqlitePages,
} from "./sqlite_pages.ts";
import type { RoomRow, SqliteRooms } from "./sqlite_rooms.ts";
import { parseState } from "./room_state.ts";

/** Rows that are no longer kept are deleted this many at a time, or fewer that have this many bytes. */
const TRIM_SIZE = 250;
const TRIM_BYTES = 128 * 1024;
/** This many entries that are no messages are kept for nothing. */
const FREE_DEAD = 20_000;

/** The statements to keep with; the first parameter is the room's id. */
export const SPAN_STATEMENTS = {
  nextAfter: "SELECT seq, ms FROM messages WHERE room = ? AND seq >= ? ORDER BY seq LIMIT 1",
  firstSeq: "SELECT min(seq) FROM messages WHERE room = ?",
  lastSeq: "SELECT max(seq) FROM messages WHERE room = ?",
  lastClear: `SELECT max(seq) FROM messages INDEXED BY messages_removal
              WHERE room = ? AND removal = '${ALL}'`,
  sizes: `SELECT seq, octet_length(json) AS bytes FROM messages
          WHERE room = ? AND seq >= ? AND seq < ? ORDER BY seq LIMIT ${TRIM_SIZE}`,
  trim: "DELETE FROM messages WHERE room = ? AND seq < ?",
};

type Mutable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

/** What there is of a log, in memory. */
export interface Span extends Mutable<LogSpan> {
  /** The sequence number of the oldest row in the database; one past the last if there is none. */
  first: number;
  /** Of what has no higher number nothing is to be remembered: the room was deleted, or had become empty. */
  deleted: number;
  /** Whether something still is. */
  isRemembered: boolean;
  state: RoomState;
}

/** What a {@linkcode SqliteRetention} works with. */
export interface SqliteRetentionOptions {
  readonly statements: Record<
    keyof typeof SPAN_STATEMENTS | keyof typeof PAGE_STATEMENTS,
    StatementSync
  >;
  readonly pages: SqlitePages;
  readonly rooms: SqliteRooms;
  readonly cleared: SqliteCleared;
  readonly erasure: SqliteErasure;
  /** How many messages a room keeps. */
  readonly keep: number;
}

/** Keeps of every log what is to be kept. */
export class SqliteRetention {
  readonly #options: SqliteRetentionOptions;

  constructor(options: SqliteRetentionOptions) {
    this.#options = options;
  }

  /** What there is of a room's log in the database. */
  open({ id, born, ms, oldest: removedFrom, last: end, state }: RoomRow): Span {
    const { statements, cleared } = this.#options;
    const { lastSeq, firstSeq, lastClear, msOf, countDead } = statements;
    const last = firstNumber(lastSeq, id) ?? end;
    const first = firstNumber(firstSeq, id) ?? last + 1;
    const oldest = Math.max(first, removedFrom);
    const span: Span = {
      id,
      born,
      first,
      oldest,
      last,
      lastMs: firstNumber(msOf, id, last) ?? (last === 0 ? born : ms),
      dead: firstNumber(countDead, id, oldest, last + 1)!,
      cleared: firstNumber(lastClear, id) ?? 0,
      deleted: end,
      isRemembered: cleared.hasUpTo(id, end),
      state: parseState(state),
    };
    this.giveUp(span);
    return span;
  }

  /** Gives up the oldest entries, until there are no more messages than are kept. */
  giveUp(span: Span): void {
    const { oldest, last, dead } = span;
    const { keep, pages } = this.#options;
    const over = last - oldest + 1 - keep - Math.min(dead, FREE_DEAD);
    if (over <= 0) return;
    const deadFrom = (seq: number) => dead - pages.countDead(span, oldest, seq);
    const isEnough = (seq: number) => last - seq + 1 - Math.min(deadFrom(seq), FREE_DEAD) <= keep;
    // Mostly these are messages, all of them.
    let low = oldest + over;
    let high = isEnough(low) ? low : low + Math.min(dead, FREE_DEAD);
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (isEnough(middle)) high = middle;
      else low = middle + 1;
    }
    this.#moveOldest(span, low);
  }

  /** Gives up the entries of before a time; returns whether there were any. */
  expire(span: Span, minMs: number): boolean {
    let [low, high] = [span.oldest, span.last + 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const row = this.#options.statements.nextAfter.get(span.id, middle) as Row | undefined;
      if (!row || row.ms >= minMs) high = middle;
      else low = row.seq + 1;
    }
    if (low === span.oldest) return false;
    this.#moveOldest(span, low);
    return true;
  }

  /** Deletes some of the rows that are no longer kept, then some of what is remembered of deleted ones. */
  trim(span: Span): void {
    if (span.first < span.oldest) this.#trimRows(span);
    else if (span.isRemembered) {
      span.isRemembered = this.#options.cleared.forgetUpTo(span.id, span.deleted);
    }
  }

  #trimRows(span: Span): void {
    const { id, first, last, lastMs } = span;
    const { statements, rooms, cleared, erasure } = this.#options;
    const end = this.#endOfTrim(span);
    if (first < span.cleared) {
      erasure.note();
      cleared.add(id, Math.max(first, span.deleted), end, span.cleared);
    }
    statements.trim.run(id, end);
    span.first = end;
    if (end > last) rooms.empty(id, last, lastMs);
  }

  #endOfTrim({ id, first, oldest }: Span): number {
    let rows = 0;
    let size = 0;
    for (const { seq, bytes } of this.#options.statements.sizes.iterate(id, first, oldest)) {
      size += bytes as number;
      if (++rows === TRIM_SIZE || size >= TRIM_BYTES) return seq as number + 1;
    }
    return oldest;
  }

  #moveOldest(span: Span, oldest: number): void {
    span.dead -= this.#options.pages.countDead(span, span.oldest, oldest);
    span.oldest = oldest;
  }
}

/** Whether there is something to trim. */
export function isTrimDue({ first, oldest, isRemembered }: Span): boolean {
  return first < oldest || isRemembered;
}

/** How many messages there are. */
export function countMessages({ oldest, last, dead }: LogSpan): number {
  return Math.max(last - oldest + 1 - dead, 0);
}
