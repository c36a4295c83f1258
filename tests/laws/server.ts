/** One run of the server, as far as the laws go: its rooms over a store, from opening to stopping. */

import { assert, assertEquals } from "@std/assert";
import {
  type LogEntry,
  LogUnavailableError,
  type MessageLog,
  type MessageStore,
  type RevokedSessions,
  type RoomEntry,
} from "../../message_log/message_log.ts";
import { type Room, Rooms, type RoomsOptions, type RoomUse } from "../../room.ts";
import { changedLog } from "../open_log.ts";

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
    log.subscribe(({ entries }) => this.#onBatch(room, entries));
    return this.#watch(room, log);
  }

  #watch(room: string, log: MessageLog): MessageLog {
    let followers = 0;
    return changedLog(log, {
      read: (range) => {
        if (this.failingReads === 0) return log.read(range);
        this.failingReads--;
        this.hasFailed = true;
        return Promise.reject(new LogUnavailableError("The disk fails"));
      },
      subscribe: (onBatch) => {
        followers++;
        const subscription = new DisposableStack();
        subscription.use(log.subscribe(onBatch));
        subscription.defer(() => void followers--);
        return subscription;
      },
      [Symbol.asyncDispose]: async () => {
        await nextTurn();
        await log[Symbol.asyncDispose]();
        // Who still follows it keeps it in use: law 6.
        if (followers === 0) this.used.delete(room);
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
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
