/**
 * The removal of messages. Of one that is removed by itself the row stays, without its text; of what is
 * removed all at once the rows are deleted.
 */

import type { StatementSync } from "node:sqlite";
import type { SqliteCleared } from "./sqlite_cleared.ts";
import type { SqliteErasure } from "./sqlite_erasure.ts";
import {
  ALL,
  firstNumber,
  MARK,
  NO_ROOM,
  type PAGE_STATEMENTS,
  type SqlitePages,
} from "./sqlite_pages.ts";
import { USUAL } from "./room_state.ts";
import type { SqliteRooms } from "./sqlite_rooms.ts";
import { countMessages, type Span } from "./sqlite_span.ts";
import type { Turn } from "./sqlite_turn.ts";

/** One step looks through this many rows for a mark, or through fewer that have this many bytes. */
export const STEP_SIZE = 100;
const STEP_BYTES = 64 * 1024;

/** The statements to remove with; the first parameter is the room's id, but for an UPDATE. */
export const REMOVAL_STATEMENTS = {
  insertRemoval: "INSERT INTO messages (room, seq, ms, json, removal) VALUES (?, ?, ?, ?, ?)",
  // The mark stays, for whom the address is asked.
  blank: `UPDATE messages SET json = json_object('by', ${MARK}), removal = ''
          WHERE room = ? AND seq = ? AND removal IS NULL`,
  marks: `SELECT seq, octet_length(json) AS bytes, removal, ${MARK} AS mark FROM messages
          WHERE room = ? AND seq >= ? ORDER BY seq LIMIT ${STEP_SIZE}`,
  addresses: `SELECT seq, octet_length(json) AS bytes, address, ${MARK} AS mark FROM messages
              WHERE room = ? AND seq < ? ORDER BY seq DESC LIMIT ${STEP_SIZE}`,
};

/** A row that is looked at for its mark. */
interface MarkedRow {
  readonly seq: number;
  readonly bytes: number;
  readonly mark: string | null;
}

/** What a {@linkcode SqliteRemoval} works with. */
export interface SqliteRemovalOptions {
  readonly statements: Record<
    keyof typeof REMOVAL_STATEMENTS | keyof typeof PAGE_STATEMENTS,
    StatementSync
  >;
  readonly pages: SqlitePages;
  readonly rooms: SqliteRooms;
  readonly cleared: SqliteCleared;
  readonly erasure: SqliteErasure;
}

/** Removes messages of any log, in steps that each are short. */
export class SqliteRemoval {
  readonly #options: SqliteRemovalOptions;

  constructor(options: SqliteRemovalOptions) {
    this.#options = options;
  }

  /** Removes the message with an id; returns how many there were. */
  removeOne(turn: Turn, id: string): number {
    const seq = this.#options.pages.seqOf(turn.span, id);
    return seq === undefined || seq < turn.span.oldest ? 0 : this.#blank(turn, seq);
  }

  /** Removes the messages of a mark among the next rows; returns how many, and where to go on. */
  removeBy(turn: Turn, by: string, from: number): { readonly count: number; readonly end: number } {
    const { id, oldest, last } = turn.span;
    const { marks } = this.#options.statements;
    const found: number[] = [];
    let end = last + 1;
    for (const row of step(marks.iterate(id, Math.max(from, oldest)))) {
      if (row.mark === by && row.removal === null) found.push(row.seq);
      end = row.seq + 1;
    }
    for (const seq of found) this.#blank(turn, seq);
    return { count: found.length, end };
  }

  /** Removes all messages; returns how many. */
  clear(turn: Turn): number {
    const count = countMessages(turn.span);
    if (count > 0) this.#removeAll(turn);
    return count;
  }

  /** Removes all messages and the state, and has nothing remembered; returns how many messages. */
  delete(turn: Turn): number {
    const { span, ms } = turn;
    if (span.id === NO_ROOM) return 0;
    const { rooms, cleared } = this.#options;
    const count = countMessages(span);
    this.#removeAll(turn);
    span.deleted = span.last;
    span.isRemembered = cleared.hasUpTo(span.id, span.last);
    span.state = USUAL;
    rooms.setState(span.id, null);
    rooms.empty(span.id, span.last, ms);
    return count;
  }

  /** The address of the last message with a mark. Each step is to be done in a turn of its own. */
  *findAddress({ id, last }: Span, by: string): Generator<void, string | undefined> {
    const { statements, cleared } = this.#options;
    for (let end = last + 1, isOver = false; !isOver;) {
      isOver = true;
      for (const row of step(statements.addresses.iterate(id, end))) {
        if (row.mark === by) return row.address as string | null ?? undefined;
        end = row.seq;
        isOver = false;
      }
      yield;
    }
    return cleared.addressOf(id, by);
  }

  /** Removes the text of a message; returns how many there were with that number. */
  #blank(turn: Turn, seq: number): number {
    const { id } = turn.span;
    const { blank, msOf } = this.#options.statements;
    if (blank.run(id, seq).changes === 0) return 0;
    turn.span.dead++;
    this.#append(turn, `${firstNumber(msOf, id, seq)}-${seq}`);
    return 1;
  }

  #removeAll(turn: Turn): void {
    const { span } = turn;
    this.#append(turn, ALL);
    span.oldest = span.last;
    span.dead = 1;
    span.cleared = span.last;
  }

  #append({ span, ms, batch }: Turn, removes: string): void {
    const seq = ++span.last;
    const id = `${ms}-${seq}`;
    const json = JSON.stringify({ id, removes });
    this.#options.statements.insertRemoval.run(span.id, seq, ms, json, removes);
    this.#options.erasure.note();
    span.dead++;
    batch.push({ id, json, removes });
  }
}

/** The rows of one step. */
function* step(rows: Iterable<unknown>): Generator<MarkedRow & Record<string, unknown>> {
  let bytes = 0;
  for (const row of rows) {
    const marked = row as MarkedRow & Record<string, unknown>;
    yield marked;
    bytes += marked.bytes;
    if (bytes >= STEP_BYTES) return;
  }
}
