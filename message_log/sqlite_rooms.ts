/** The rooms in a SQLite database: where each begins and goes on, and which ids they have given out. */

import type { StatementSync } from "node:sqlite";
import { bornOf } from "./born.ts";
import { NO_ROOM } from "./sqlite_pages.ts";
import type { SqliteDatabase } from "./sqlite_database.ts";
import { isSqliteError } from "./sqlite_errors.ts";
import { parseState, stateJson, withoutEnded } from "./room_state.ts";

/** For this many milliseconds it is known which numbers their ids have. */
const MAX_CLAIMED = 64;
/** The main room, which is always there. */
const MAIN = "";

const STATEMENTS = {
  born: "SELECT born FROM log",
  started: "SELECT started FROM log",
  start: "UPDATE log SET started = ?",
  find: "SELECT id, name, born, last, ms, state, oldest FROM rooms WHERE name = ?",
  all: "SELECT id, name, ms FROM rooms",
  entries: `SELECT name, state,
              (SELECT max(seq) FROM messages WHERE room = rooms.id)
                - (SELECT min(seq) FROM messages WHERE room = rooms.id) + 1
                - (SELECT count(*) FROM messages INDEXED BY messages_removal
                   WHERE room = rooms.id AND removal IS NOT NULL) AS messages
            FROM rooms`,
  interrupted: `SELECT name FROM rooms
                WHERE oldest > (SELECT min(seq) FROM messages WHERE room = rooms.id)
                OR EXISTS (SELECT 1 FROM cleared WHERE room = rooms.id AND seq <= last)`,
  hasRows: `SELECT 1 FROM messages WHERE room = ?1
            AND seq > (SELECT last FROM rooms WHERE id = ?1) LIMIT 1`,
  count: `SELECT count(*) AS rooms FROM rooms WHERE name <> '' AND
          EXISTS (SELECT 1 FROM messages WHERE room = rooms.id AND removal IS NULL)`,
  add: "INSERT INTO rooms (name, born, last, ms) VALUES (?, ?, 0, ?) RETURNING id",
  stateOf: "SELECT state FROM rooms WHERE id = ?",
  setOldest: "UPDATE rooms SET oldest = ? WHERE id = ?",
  setState: "UPDATE rooms SET state = ? WHERE id = ?",
  // A log that was closed may come late: another may have gone on.
  empty: "UPDATE rooms SET last = max(last, ?), ms = max(ms, ?) WHERE id = ?",
  drop: "DELETE FROM rooms WHERE id = ?",
  dropRows: "DELETE FROM messages WHERE room = ?",
  dropRuns: "DELETE FROM runs WHERE room = ?",
  dropCleared: "DELETE FROM cleared WHERE room = ?",
  setBorn: "UPDATE log SET born = max(born, ?)",
};

/** A room in the database: one that has messages or a state, or had and is open; the main room always. */
export interface RoomRow {
  readonly id: number;
  readonly name: string;
  /** The cursor before the first message is `<born>-0`. */
  readonly born: number;
  /**
   * Where the room goes on if there is nothing after it: the last id's parts. What is not after it has
   * been deleted with the room.
   */
  readonly last: number;
  readonly ms: number;
  /** Its {@linkcode RoomState} as JSON, if it is not the usual one. */
  readonly state: string | null;
  /** What has a lower number had been given up when something was removed last. */
  readonly oldest: number;
}

/** The numbers of entries in a room. */
export interface Claim {
  readonly room: string;
  readonly first: number;
  readonly last: number;
}

/** What the database has of a room's messages, and whether it has a state. */
export interface RoomCount {
  readonly name: string;
  readonly messages: number;
  readonly hasState: boolean;
}

/** What a {@linkcode SqliteRooms} works with. */
export interface SqliteRoomsOptions {
  readonly database: SqliteDatabase;
  readonly now: () => number;
  /** How many rooms may have messages. */
  readonly maxRooms: number;
  /** Whether a room's log is open. */
  isOpen(name: string): boolean;
}

/** The table of rooms. */
export class SqliteRooms {
  /** When this run of the program began: what the clock showed, or an earlier run's if it was later. */
  readonly runBegan: number;
  /** The ids of rooms for which that is noted. */
  readonly runs = new Set<number>();
  readonly #options: SqliteRoomsOptions;
  readonly #statements: Record<keyof typeof STATEMENTS, StatementSync>;
  /** The numbers in the ids of the last milliseconds. */
  readonly #claimed = new Map<number, Claim[]>();

  constructor(options: SqliteRoomsOptions) {
    this.#options = options;
    this.#statements = options.database.prepare(STATEMENTS);
    this.runBegan = Math.max(options.now(), this.#statements.started.get()!.started as number);
    try {
      this.#statements.start.run(this.runBegan);
    } catch (error) {
      // A full disk, most likely. What is there can be read.
      if (!isSqliteError(error)) throw error;
    }
  }

  /** A room, or where one begins that is not in the database. */
  find(name: string): RoomRow {
    return this.#statements.find.get(name) as RoomRow | undefined ?? this.#begin(name);
  }

  all(): Pick<RoomRow, "id" | "name" | "ms">[] {
    return this.#statements.all.all() as unknown as RoomRow[];
  }

  counts(): RoomCount[] {
    return this.#statements.entries.all().map(({ name, state, messages }) => ({
      name: name as string,
      messages: messages as number | null ?? 0,
      hasState: this.#hasState(state as string | null),
    }));
  }

  /** The names of those of which something is left that was removed or deleted. */
  interrupted(): string[] {
    return this.#statements.interrupted.all().map(({ name }) => name as string);
  }

  /** Whether as many rooms as may be have messages. */
  get isFull(): boolean {
    return this.#statements.count.get()!.rooms as number >= this.#options.maxRooms;
  }

  /**
   * The milliseconds for the ids of entries that are about to be written: no less than `minMs`, and
   * such that no other room has the same ids.
   */
  claim(claim: Claim, minMs: number): number {
    const isOthers = ({ room, first, last }: Claim) =>
      room !== claim.room && first <= claim.last && claim.first <= last;
    let ms = minMs;
    while (this.#claimed.get(ms)?.some(isOthers)) ms++;
    const claimed = this.#claimed.get(ms) ?? [];
    this.#claimed.set(ms, claimed);
    claimed.push(claim);
    if (this.#claimed.size > MAX_CLAIMED) this.#claimed.delete(this.#claimed.keys().next().value!);
    return ms;
  }

  /** Adds a room, in the transaction of its first message or state; returns its id. */
  add({ name, born, ms }: Pick<RoomRow, "name" | "born" | "ms">): number {
    return this.#statements.add.get(name, born, ms)!.id as number;
  }

  setOldest(id: number, oldest: number): void {
    this.#statements.setOldest.run(oldest, id);
  }

  setState(id: number, state: string | null): void {
    this.#statements.setState.run(state, id);
  }

  /** Takes note of where a room goes on that has no entries any more, or was deleted. */
  empty(id: number, last: number, ms: number): void {
    this.#statements.empty.run(last, ms, id);
  }

  /** Forgets a room, unless it has entries or a state, or its log is open again. */
  drop({ name, id, ms }: Pick<RoomRow, "name" | "id" | "ms">): void {
    const { database, now, isOpen } = this.#options;
    if (name === MAIN || isOpen(name) || database.isClosed) return;
    const { hasRows, stateOf, dropRows, dropRuns, dropCleared, setBorn, drop } = this.#statements;
    const row = stateOf.get(id);
    // A log that was closed may come late: the room has been forgotten.
    if (!row || hasRows.get(id) || this.#hasState(row.state as string | null)) return;
    database.transact(() => {
      const rows = Number(dropRows.run(id).changes) + Number(dropCleared.run(id).changes);
      // SQLite may have left copies of them, and of the name.
      if (rows > 0) database.erasure.note();
      dropRuns.run(id);
      // Should it begin again, its ids go on after those that it had.
      setBorn.run(Math.max(now(), ms + 1));
      drop.run(id);
    });
    this.runs.delete(id);
    database.eraseSoon();
  }

  #begin(name: string): RoomRow {
    const ms = this.#statements.born.get()!.born as number;
    return { id: NO_ROOM, name, born: bornOf(name, ms), last: 0, ms, state: null, oldest: 0 };
  }

  #hasState(json: string | null): boolean {
    return stateJson(withoutEnded(parseState(json), this.#options.now())) !== null;
  }
}
