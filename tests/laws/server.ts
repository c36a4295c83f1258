/** One run of the server, as far as the laws go: its rooms over a store, from opening to stopping. */

import { assert, assertEquals } from "@std/assert";
import type { Post } from "../../chat_message.ts";
import type {
  LogEntry,
  LogPage,
  MessageLog,
  MessageStore,
  Removal,
  RevokedSessions,
  RoomEntry,
  RoomState,
} from "../../message_log/message_log.ts";
import { LogUnavailableError, type Range } from "../../message_log/message_log.ts";
import { type Room, Rooms, type RoomsOptions, type RoomUse } from "../../room.ts";

/** The store that the rooms are given: it counts who follows each log, and fails when told to. */
class WatchedStore implements MessageStore {
  readonly #store: MessageStore;
  readonly #onBatch: ServerOptions["onBatch"];
  /** The rooms whose logs are opening, open or closing. */
  readonly used = new Set<string>();
  failingReads = 0;
  /** Readers may have been sent away that have not taken notice. */
  hasFailed = false;

  constructor(store: MessageStore, onBatch: ServerOptions["onBatch"]) {
    this.#store = store;
    this.#onBatch = onBatch;
  }

  get id(): string {
    return this.#store.id;
  }

  get secret(): Uint8Array<ArrayBuffer> {
    return this.#store.secret;
  }

  get revoked(): RevokedSessions {
    return this.#store.revoked;
  }

  rooms(): Promise<RoomEntry[]> {
    return this.#store.rooms();
  }

  /** A log takes a turn to open and to close: others come meanwhile. */
  async openLog(room: string): Promise<MessageLog> {
    assert(!this.used.has(room), `the room "${room}" is opened twice`);
    this.used.add(room);
    await nextTurn();
    const log = await this.#store.openLog(room);
    log.subscribe((batch) => this.#onBatch(room, batch));
    return new WatchedLog(log, this, () => this.used.delete(room));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}

class WatchedLog implements MessageLog {
  readonly #log: MessageLog;
  readonly #store: WatchedStore;
  readonly #onClose: () => void;
  readonly #subscriptions = new Set<Disposable>();

  constructor(log: MessageLog, store: WatchedStore, onClose: () => void) {
    this.#log = log;
    this.#store = store;
    this.#onClose = onClose;
  }

  append(post: Post, refusal?: Error) {
    return this.#log.append(post, refusal);
  }

  read(range: Range): Promise<LogPage> {
    if (this.#store.failingReads === 0) return this.#log.read(range);
    this.#store.failingReads--;
    this.#store.hasFailed = true;
    return Promise.reject(new LogUnavailableError("The disk fails"));
  }

  remove(what: Removal): Promise<number> {
    return this.#log.remove(what);
  }

  get state(): RoomState {
    return this.#log.state;
  }

  update(change: (state: RoomState) => RoomState): Promise<RoomState> {
    return this.#log.update(change);
  }

  addressOf(by: string): Promise<string | undefined> {
    return this.#log.addressOf(by);
  }

  subscribe(onBatch: (batch: readonly LogEntry[]) => void): Disposable {
    const inner = this.#log.subscribe(onBatch);
    const subscription = {
      [Symbol.dispose]: () => {
        this.#subscriptions.delete(subscription);
        inner[Symbol.dispose]();
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await nextTurn();
    await this.#log[Symbol.asyncDispose]();
    // Who still follows it keeps it in use: law 6.
    if (this.#subscriptions.size === 0) this.#onClose();
  }
}

/** Options for {@linkcode Server}. */
export interface ServerOptions extends Required<RoomsOptions> {
  /** Called with all that a room's log emits. */
  onBatch(room: string, batch: readonly LogEntry[]): void;
}

/** A server that runs. */
export class Server implements AsyncDisposable {
  readonly store: WatchedStore;
  readonly rooms: Rooms;
  /** All that were ever entered. */
  readonly #entered = new Set<Room>();

  constructor(store: MessageStore, { onBatch, ...options }: ServerOptions) {
    this.store = new WatchedStore(store, onBatch);
    this.rooms = new Rooms(this.store, options);
  }

  async enter(name: string): Promise<RoomUse> {
    const use = await this.rooms.enter(name);
    this.#entered.add(use.room);
    return use;
  }

  /** How many readers there are in all rooms, closed ones included. */
  get readers(): number {
    let readers = 0;
    for (const { hub } of this.#entered) readers += hub.readers;
    return readers;
  }

  /** Stops it; nothing of it is left: law 6. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.rooms[Symbol.asyncDispose]();
    assertEquals(this.readers, 0, "readers of closed rooms");
    assertEquals([this.rooms.size, ...this.store.used], [0], "logs in use after the end");
  }
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
