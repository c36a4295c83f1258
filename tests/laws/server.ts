/** One run of the server, as far as the laws go: its rooms over a store, from opening to stopping. */

import { assert, assertEquals } from "@std/assert";
import {
  type Batch,
  LogUnavailableError,
  type MessageLog,
  type MessageStore,
  type RevokedSessions,
  type RoomEntry,
} from "../../message_log/message_log.ts";
import { type Room, Rooms, type RoomsOptions, type RoomUse } from "../../room.ts";
import { changedLog } from "../open_log.ts";

/**
 * The store that the rooms are given: it counts who follows each log and what it has not answered yet, and
 * fails when told to.
 */
class WatchedStore implements MessageStore {
  readonly #store: MessageStore;
  readonly #options: Pick<ServerOptions, "onOpen" | "onBatch">;
  /** The rooms whose logs are opening, open or closing. */
  readonly used = new Set<string>();
  failingReads = 0;
  /** Readers may have been sent away that have not taken notice. */
  hasFailed = false;
  /** What has not been answered yet. */
  #calls = 0;

  constructor(store: MessageStore, options: Pick<ServerOptions, "onOpen" | "onBatch">) {
    this.#store = store;
    this.#options = options;
  }

  /** Whether something has not been answered yet. */
  get isBusy(): boolean {
    return this.#calls > 0;
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

  probe(): Promise<void> {
    return this.#store.probe();
  }

  /** A log takes a turn to open and to close: others come meanwhile. */
  async openLog(room: string): Promise<MessageLog> {
    assert(!this.used.has(room), `the room "${room}" is opened twice`);
    this.used.add(room);
    await nextTurn();
    const log = await this.#call(this.#store.openLog(room));
    this.#options.onOpen(room);
    log.subscribe((batch) => this.#options.onBatch(room, batch));
    return this.#watch(room, log);
  }

  #watch(room: string, log: MessageLog): MessageLog {
    let followers = 0;
    return changedLog(log, {
      read: (range) => {
        if (this.failingReads === 0) return this.#call(log.read(range));
        this.failingReads--;
        this.hasFailed = true;
        return Promise.reject(new LogUnavailableError("The disk fails"));
      },
      append: (post, refuse) => this.#call(log.append(post, refuse)),
      remove: (what) => this.#call(log.remove(what)),
      subscribe: (onBatch) => {
        followers++;
        const subscription = new DisposableStack();
        subscription.use(log.subscribe(onBatch));
        subscription.defer(() => void followers--);
        return subscription;
      },
      [Symbol.asyncDispose]: async () => {
        await nextTurn();
        await this.#call(log[Symbol.asyncDispose]());
        // Who still follows it keeps it in use: law 6.
        if (followers === 0) this.used.delete(room);
      },
    });
  }

  async #call<Answer>(answer: PromiseLike<Answer> | Answer): Promise<Answer> {
    this.#calls++;
    try {
      return await answer;
    } finally {
      this.#calls--;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}

/** Options for {@linkcode Server}. */
export interface ServerOptions extends Required<Omit<RoomsOptions, "observer">> {
  /** Called when a room's log has been opened. */
  onOpen(room: string): void;
  /** Called with all that a room's log emits. */
  onBatch(room: string, batch: Batch): void;
}

/** A server that runs. */
export class Server implements AsyncDisposable {
  readonly store: WatchedStore;
  readonly rooms: Rooms;
  /** All that were ever entered. */
  readonly #entered = new Set<Room>();

  constructor(store: MessageStore, options: ServerOptions) {
    this.store = new WatchedStore(store, options);
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
