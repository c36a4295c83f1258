/**
 * The log of a room in a SQLite database: its sequence numbers, and what is written. The number
 * in an id counts the log's entries, so how many a reader missed is known even when they are gone.
 */

import type { StatementSync } from "node:sqlite";
import { messageJson, type Post } from "../chat_message.ts";
import { Listeners } from "./listeners.ts";
import {
  type Appended,
  type Batch,
  isSameText,
  KeyConflictError,
  type LogEntry,
  type LogPage,
  type MessageLog,
  type Range,
  type Refuse,
  type Removal,
  RemovedError,
  RoomLimitError,
  type RoomState,
  StoreAwayError,
  toUnfinished,
} from "./message_log.ts";
import { stateJson, withoutEnded } from "./room_state.ts";
import type { SqliteCleared } from "./sqlite_cleared.ts";
import type { Participant, SqliteDatabase } from "./sqlite_database.ts";
import { isSqliteError, toLogError } from "./sqlite_errors.ts";
import {
  firstNumber,
  NO_ROOM,
  type PAGE_STATEMENTS,
  REMOVED,
  type Row,
  type SqlitePages,
  toEntry,
} from "./sqlite_pages.ts";
import { type SqliteRemoval, STEP_SIZE } from "./sqlite_removal.ts";
import type { SqliteRooms } from "./sqlite_rooms.ts";
import { countMessages, isTrimDue, type Span, type SqliteRetention } from "./sqlite_span.ts";
import { Jobs, newTurn, Refused, type Turn } from "./sqlite_turn.ts";

/** The statements to write messages with; the first parameter is the room's id. */
export const LOG_STATEMENTS = {
  insert: "INSERT INTO messages (room, seq, ms, key, json, address) VALUES (?, ?, ?, ?, ?, ?)",
  byKey: "SELECT seq, ms, json, removal FROM messages WHERE room = ? AND key = ?",
  dropKey: "UPDATE messages SET key = NULL WHERE room = ? AND seq = ?",
  addRun: "INSERT OR REPLACE INTO runs (room, seq, ms) VALUES (?, ?, ?)",
  latestRun: "SELECT max(ms) FROM runs WHERE room = ?",
};

/** What all logs of a database work with. */
export interface LogParts {
  readonly database: SqliteDatabase;
  readonly rooms: SqliteRooms;
  readonly statements: Record<
    keyof typeof LOG_STATEMENTS | keyof typeof PAGE_STATEMENTS,
    StatementSync
  >;
  readonly pages: SqlitePages;
  readonly retention: SqliteRetention;
  readonly removal: SqliteRemoval;
  readonly cleared: SqliteCleared;
  readonly now: () => number;
}

/** A {@linkcode MessageLog} in SQLite. */
export class SqliteLog implements MessageLog, Participant {
  readonly room: string;
  readonly #parts: LogParts;
  readonly #onClose: () => void;
  readonly #listeners = new Listeners<Batch>();
  readonly #jobs = new Jobs();
  #span: Span;
  /** The next id's milliseconds are no less: those of this run are known by when it began. */
  #minMs: number;
  #isClosed = false;

  constructor(room: string, parts: LogParts, onClose: () => void) {
    this.room = room;
    this.#parts = parts;
    this.#onClose = onClose;
    const { rooms, retention, statements, now } = parts;
    const row = rooms.find(room);
    this.#span = retention.open(row);
    this.#minMs = Math.max(
      now(),
      rooms.runBegan,
      row.ms,
      this.#span.lastMs,
      firstNumber(statements.latestRun, row.id) ?? 0,
    );
    if (row.id !== NO_ROOM && !rooms.runs.has(row.id)) this.#noteRun();
    this.#trimIfDue();
  }

  append(post: Post, refuse?: Refuse): Promise<Appended> {
    return this.#enqueue(1, (turn) => this.#append(turn, post, refuse));
  }

  // deno-lint-ignore require-await
  async read(range: Range): Promise<LogPage> {
    this.#checkAvailable();
    try {
      return this.#parts.pages.read(this.#span, range);
    } catch (error) {
      throw toLogError(error);
    }
  }

  async remove(what: Removal): Promise<number> {
    const { removal, database } = this.#parts;
    let count = 0;
    try {
      if (what === "all") {
        count = await this.#enqueue(1, (turn) => removal.clear(turn));
      } else if ("id" in what) {
        count = await this.#enqueue(1, (turn) => removal.removeOne(turn, what.id));
      } else {
        for (let from = this.#span.oldest; from <= this.#span.last;) {
          const step = await this.#enqueue(
            STEP_SIZE,
            (turn) => removal.removeBy(turn, what.by, from),
          );
          count += step.count;
          from = step.end;
          await pause();
        }
      }
      if (count > 0) await this.#trimNow();
    } catch (error) {
      throw count === 0 ? error : toUnfinished(error);
    }
    // Of an earlier one, too, that failed.
    await database.erase();
    return count;
  }

  async delete(): Promise<number> {
    const { removal, database } = this.#parts;
    const count = await this.#enqueue(1, (turn) => removal.delete(turn));
    try {
      await this.#trimNow();
    } catch (error) {
      throw toUnfinished(error);
    }
    await database.erase();
    return count;
  }

  get state(): RoomState {
    return withoutEnded(this.#span.state, this.#parts.now());
  }

  update(change: (state: RoomState) => RoomState): Promise<RoomState> {
    return this.#enqueue(0, (turn) => this.#update(turn, change));
  }

  async addressOf(by: string): Promise<string | undefined> {
    const steps = this.#parts.removal.findAddress(this.#span, by);
    while (true) {
      this.#checkAvailable();
      try {
        const { done, value } = steps.next();
        if (done) return value;
      } catch (error) {
        throw toLogError(error);
      }
      await pause();
    }
  }

  subscribe(onBatch: (batch: Batch) => void): Disposable {
    return this.#listeners.add(onBatch);
  }

  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** Stores what waits, and closes the log. */
  close(): void {
    if (this.#isClosed) return;
    this.#listeners.clear();
    if (!this.#jobs.isEmpty) this.#parts.database.writeNow();
    this.#isClosed = true;
    this.#onClose();
    this.#dropIfEmpty();
  }

  /** How many messages there are. */
  get messages(): number {
    return countMessages(this.#span);
  }

  /** Gives up the messages of before a time. */
  expire(minMs: number): void {
    if (this.#parts.retention.expire(this.#span, minMs)) this.#emit([]);
    this.#trimIfDue();
  }

  /** Does what waits; once it is durable: counters, answers, subscribers. */
  write(): () => void {
    const { rooms, retention, statements } = this.#parts;
    const now = this.#parts.now();
    const { last } = this.#span;
    const claim = { room: this.room, first: last + 1, last: last + this.#jobs.maxEntries };
    const turn = newTurn(this.#span, rooms.claim(claim, Math.max(now, this.#minMs)), now);
    const { span, ms, batch } = turn;
    const answer = this.#jobs.run(turn);
    retention.giveUp(span);
    if (batch.length > 0) {
      span.lastMs = ms;
      if (batch.some(({ removes }) => removes !== undefined)) rooms.setOldest(span.id, span.oldest);
      if (!rooms.runs.has(span.id)) statements.addRun.run(span.id, last, this.#minMs);
    }
    return () => {
      this.#span = span;
      if (batch.length > 0) {
        rooms.runs.add(span.id);
        this.#minMs = ms;
      }
      answer();
      if (batch.length > 0) this.#emit(batch);
      this.#trimIfDue();
    };
  }

  fail(error: unknown): void {
    this.#jobs.fail(error);
  }

  trim(): () => boolean {
    const span = { ...this.#span };
    this.#parts.retention.trim(span);
    return () => {
      this.#span = span;
      if (this.#isClosed) this.#dropIfEmpty();
      return isTrimDue(span);
    };
  }

  /** Has something done in the next transaction; resolves once that is durable. */
  #enqueue<Result>(
    maxEntries: number,
    run: (turn: Turn) => Result | Refused,
  ): Promise<Result> {
    if (this.#isUnavailable) {
      return Promise.reject(new StoreAwayError("The message log is closed"));
    }
    this.#parts.database.writeSoon(this);
    return this.#jobs.add(maxEntries, run);
  }

  #append(turn: Turn, post: Post, refuse?: Refuse): Appended | Refused {
    const { nickname, message, key, by, moderator, address } = post;
    const { span, ms, now, batch } = turn;
    const earlier = key === undefined ? undefined : this.#findKey(span, key);
    if (earlier === REMOVED || earlier?.removal === REMOVED) {
      return new Refused(new RemovedError("The message with this key has been removed"));
    }
    if (earlier) {
      const entry = toEntry(earlier);
      return isSameText(entry, post)
        ? { entry, repeated: true }
        : new Refused(new KeyConflictError("The key belongs to another message"));
    }
    const refusal = refuse?.(withoutEnded(span.state, now), now);
    if (refusal) return new Refused(refusal);
    if (this.room !== "" && countMessages(span) === 0 && this.#parts.rooms.isFull) {
      return new Refused(new RoomLimitError("As many rooms as may be have messages"));
    }
    this.#addRoom(turn);
    const seq = ++span.last;
    const id = `${ms}-${seq}`;
    const json = messageJson({ id, nickname, message, ...turn.moment, by, moderator });
    this.#parts.statements.insert.run(span.id, seq, ms, key ?? null, json, address ?? null);
    const entry = { id, json };
    batch.push(entry);
    return { entry, repeated: false };
  }

  #update(turn: Turn, change: (state: RoomState) => RoomState): RoomState | Refused {
    const { span, now } = turn;
    try {
      span.state = change(withoutEnded(span.state, now));
    } catch (error) {
      return new Refused(error);
    }
    const json = stateJson(span.state);
    if (json !== null) this.#addRoom(turn);
    if (span.id !== NO_ROOM) this.#parts.rooms.setState(span.id, json);
    return span.state;
  }

  /** Adds the room to the database if it is not there. */
  #addRoom({ span, ms }: Turn): void {
    span.id ||= this.#parts.rooms.add({ name: this.room, born: span.born, ms });
  }

  /** Deletes what is no longer kept or remembered, in short steps. */
  async #trimNow(): Promise<void> {
    while (isTrimDue(this.#span)) {
      await this.#enqueue(0, ({ span }) => this.#parts.retention.trim(span));
      await pause();
    }
  }

  #trimIfDue(): void {
    if (isTrimDue(this.#span)) this.#parts.database.trimSoon(this);
  }

  /** Notes when this run of the program began, if possible; else the next message does. */
  #noteRun(): void {
    const { rooms, statements } = this.#parts;
    const { id, last } = this.#span;
    try {
      statements.addRun.run(id, last, this.#minMs);
      rooms.runs.add(id);
    } catch (error) {
      // A full disk, most likely. What is there can be read.
      if (!isSqliteError(error)) throw error;
    }
  }

  get #isUnavailable(): boolean {
    return this.#isClosed || this.#parts.database.isClosed;
  }

  #checkAvailable(): void {
    if (this.#isUnavailable) throw new StoreAwayError("The message log is closed");
  }

  #dropIfEmpty(): void {
    const { id, first, last, lastMs, deleted } = this.#span;
    const isEmpty = first > last || first === last && last === deleted;
    if (!isEmpty || id === NO_ROOM) return;
    try {
      this.#parts.rooms.drop({ name: this.room, id, ms: lastMs });
    } catch (error) {
      // A full disk, most likely. The next start drops it.
      if (!isSqliteError(error)) throw error;
    }
  }

  #emit(entries: readonly LogEntry[]): void {
    this.#listeners.call({ entries, missed: 0 });
  }

  /** The room's message with a key. One that is no longer kept gives its key up, unless it was removed. */
  #findKey({ id, oldest, cleared, deleted }: Span, key: string): Row | typeof REMOVED | undefined {
    const { statements } = this.#parts;
    const row = statements.byKey.get(id, key) as Row | undefined;
    if (row && row.seq >= oldest) return row;
    // Its row is deleted after it was removed.
    if (row && deleted < row.seq && row.seq < cleared || this.#parts.cleared.hasKey(id, key)) {
      return REMOVED;
    }
    if (row) statements.dropKey.run(id, row.seq);
  }
}

/** Lets others have their turn. Deno does one setImmediate after the other before it looks at the network. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
