/**
 * A room: one log, and those who read it. And the rooms, which open by their names: each is
 * there as long as somebody uses it.
 */

import { ChatHub } from "./chat_hub.ts";
import { Listeners } from "./message_log/listeners.ts";
import type {
  Batch,
  MessageLog,
  MessageStore,
  RoomEntry,
  Start,
} from "./message_log/message_log.ts";
import type { ReaderObserver } from "./reader/reader_observer.ts";
import { FanOutTurns } from "./reader/fan_out_turns.ts";
import { Reader, type ReaderOptions, STREAM_BUFFER } from "./reader/reader.ts";
import { PageBudget, Replay, toFrames, toJson } from "./reader/replay.ts";

/** The name of the main room, which is always there; once open, it stays so. */
export const MAIN_ROOM = "";
/** A room that nobody uses is closed after once to twice this time. */
const IDLE_MS = 60_000;
/** With more than this open, or twice what is in use, those that nobody uses are closed at once. */
const MAX_OPEN = 1000;

/** Counts what becomes of readers and messages. */
export interface RoomObserver extends ReaderObserver {
  /** A log has emitted a batch; `now` is what the clock shows that ids go by, where it is elsewhere. */
  emitted(batch: Batch, now: number | undefined): void;
}

/** Options for {@linkcode Room}. */
export interface RoomOptions {
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
  /** What rooms share. @default {of its own} */
  readonly turns?: FanOutTurns;
  readonly budget?: PageBudget;
  readonly observer?: RoomObserver;
}

/** What keeps a room open, until it is disposed of. */
export interface RoomUse extends Disposable {
  readonly room: Room;
}

/** A room; disposing of it ends every stream and closes its log. */
export class Room implements AsyncDisposable {
  readonly log: MessageLog;
  readonly hub: ChatHub;
  readonly heartbeatMs: number;
  /** The log's pages as JSON. */
  readonly history: Replay;
  readonly #replay: Replay;
  readonly #followers = new Listeners<Batch>();
  readonly #subscription: Disposable;
  #users = 0;

  constructor(log: MessageLog, { heartbeatMs, turns, budget, observer }: RoomOptions) {
    this.log = log;
    this.heartbeatMs = heartbeatMs;
    this.history = new Replay(log, toJson, budget);
    this.#replay = new Replay(log, toFrames, budget);
    this.hub = new ChatHub({ log, heartbeatMs, turns, observer });
    this.#subscription = log.subscribe((batch) => this.#followers.call(batch));
  }

  /** A stream of frames for one reader, for as long as it is not cancelled. */
  read(start: Start, options?: ReaderOptions): ReadableStream<Uint8Array> {
    return new ReadableStream(new Reader(this.hub, this.#replay, start, options), STREAM_BUFFER);
  }

  /** Calls back with each batch of the log while the room is open. */
  follow(onBatch: (batch: Batch) => void): Disposable {
    return this.#followers.add(onBatch);
  }

  /** Keeps the room open for something, until that disposes of it. */
  use(): RoomUse {
    this.#users++;
    let isOver = false;
    return {
      room: this,
      [Symbol.dispose]: () => {
        if (!isOver) this.#users--;
        isOver = true;
      },
    };
  }

  /** Its readers use it, and whatever keeps it open. */
  get isInUse(): boolean {
    return this.#users > 0 || this.hub.readers > 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hub.close();
    this.#subscription[Symbol.dispose]();
    this.#replay[Symbol.dispose]();
    this.history[Symbol.dispose]();
    await this.log[Symbol.asyncDispose]();
  }
}

/** A room as {@linkcode Rooms.list} has it. */
export interface RoomListing extends Pick<RoomEntry, "name" | "messages"> {
  /** How many streams are open, at other instances of the chat too. */
  readonly readers: number;
}

/** Options for {@linkcode Rooms.open}. */
export interface RoomsOptions {
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
  /** A room that nobody uses is closed after once to twice this time. @default {60_000} */
  readonly idleMs?: number;
  readonly observer?: RoomObserver;
}

/**
 * The rooms that are open.
 *
 * - **One of each.** Whoever enters a room that is open, opening or closing gets the one
 *   room of that name; it is never open twice.
 * - **Released.** A room that nobody has used for a while is closed, and then takes no
 *   memory. One timer looks after all of them, as long as there are any.
 * - **Shared.** The turns of the event loop and the memory for encoded pages.
 */
export class Rooms implements AsyncDisposable {
  readonly #store: MessageStore;
  readonly #idleMs: number;
  readonly #options: RoomOptions;
  readonly #open = new Map<string, Room>();
  /** What a room that is opening or closing is to be waited for. */
  readonly #changing = new Map<string, Promise<unknown>>();
  /** Rooms that were not in use when it was last looked. */
  #idle = new Set<Room>();
  #maxOpen = MAX_OPEN;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isClosed = false;

  constructor(store: MessageStore, { heartbeatMs, idleMs = IDLE_MS, observer }: RoomsOptions) {
    this.#store = store;
    this.#idleMs = idleMs;
    this.#options = { heartbeatMs, turns: new FanOutTurns(), budget: new PageBudget(), observer };
  }

  /** How many rooms are open. */
  get size(): number {
    return this.#open.size;
  }

  /** How many streams are open here, in all rooms together. */
  get readers(): number {
    let readers = 0;
    for (const { hub } of this.#open.values()) readers += hub.readers;
    return readers;
  }

  /**
   * Lets somebody use the room of a name.
   *
   * @throws {LogUnavailableError} If its log can't be opened now.
   */
  async enter(name: string): Promise<RoomUse> {
    for (;;) {
      const room = this.#open.get(name);
      if (room) return room.use();
      await (this.#changing.get(name) ?? this.#change(name, () => this.#openRoom(name)));
    }
  }

  /**
   * The rooms that have messages, a state or readers, the main room first.
   *
   * @throws {LogUnavailableError} If they can't be read now.
   */
  async list(): Promise<RoomListing[]> {
    const entries = await this.#store.rooms();
    const listed = new Set(entries.map(({ name }) => name));
    for (const [name, { hub }] of this.#open) {
      if (hub.readers > 0 && !listed.has(name)) entries.push({ name, messages: 0 });
    }
    return entries.map(({ name, messages, readersElsewhere = 0 }) => {
      const readers = (this.#open.get(name)?.hub.readers ?? 0) + readersElsewhere;
      return { name, readers, messages };
    }).sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Ends every stream; those who come later are sent away. */
  close(): void {
    this.#isClosed = true;
    for (const { hub } of this.#open.values()) hub.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await Promise.allSettled(this.#changing.values());
    clearInterval(this.#timer);
    await Promise.all(Array.from(this.#open.values(), (room) => room[Symbol.asyncDispose]()));
    this.#open.clear();
  }

  async #openRoom(name: string): Promise<void> {
    if (this.#open.size >= this.#maxOpen) {
      this.#closeIdle({ all: true });
      this.#maxOpen = Math.max(MAX_OPEN, 2 * this.#open.size);
    }
    const room = new Room(await this.#store.openLog(name), this.#options);
    const { observer } = this.#options;
    if (observer) room.follow((batch) => observer.emitted(batch, this.#store.now));
    if (this.#isClosed) room.hub.close();
    this.#open.set(name, room);
    if (name !== MAIN_ROOM) this.#timer ??= setInterval(() => this.#closeIdle(), this.#idleMs);
  }

  #change(name: string, change: () => Promise<void>): Promise<void> {
    const changing = change().finally(() => this.#changing.delete(name));
    this.#changing.set(name, changing);
    return changing;
  }

  /** Closes the rooms that are not in use: all of them, or those that were not the last time either. */
  #closeIdle({ all = false } = {}): void {
    const wasIdle = this.#idle;
    this.#idle = new Set();
    for (const [name, room] of this.#open) {
      // One that has only just opened is waited for.
      if (name === MAIN_ROOM || room.isInUse || this.#changing.has(name)) continue;
      if (!all && !wasIdle.has(room)) {
        this.#idle.add(room);
        continue;
      }
      this.#open.delete(name);
      this.#change(name, () => room[Symbol.asyncDispose]());
    }
    if ([...this.#open.keys()].some((name) => name !== MAIN_ROOM)) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
