/** Another instance of the chat: it writes too, and follows all rooms. */

import type { Post } from "../../chat_message.ts";
import type { Appended, MessageLog, MessageStore, Removal } from "../../message_log/message_log.ts";
import { Follower, type Ledger } from "./ledger.ts";

/** An instance that goes on for as long as the run does. */
export class Elsewhere implements AsyncDisposable {
  readonly #store: MessageStore;
  readonly #rooms = new Map<string, FollowedRoom>();

  private constructor(store: MessageStore) {
    this.#store = store;
  }

  static async open(store: MessageStore, ledgers: ReadonlyMap<string, Ledger>): Promise<Elsewhere> {
    const elsewhere = new Elsewhere(store);
    for (const [room, ledger] of ledgers) {
      elsewhere.#rooms.set(room, new FollowedRoom(await store.openLog(room), ledger));
    }
    return elsewhere;
  }

  append(room: string, post: Post): Promise<Appended> {
    return this.#rooms.get(room)!.log.append(post);
  }

  remove(room: string, what: Removal): Promise<number> {
    return this.#rooms.get(room)!.log.remove(what);
  }

  /** The number of the last entry of a room that it has been told. */
  last(room: string): number {
    return this.#rooms.get(room)!.follower.last;
  }

  /** What must hold at any moment. */
  check(): void {
    for (const { fault } of this.#rooms.values()) if (fault !== undefined) throw fault;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}

/** A room that is followed. */
class FollowedRoom {
  readonly log: MessageLog;
  readonly follower: Follower;
  /** The first law that was seen broken where nobody waits for the error. */
  fault: unknown;

  constructor(log: MessageLog, ledger: Ledger) {
    this.log = log;
    this.follower = new Follower(ledger);
    log.subscribe((batch) => {
      try {
        this.follower.hear(batch);
      } catch (error) {
        this.fault ??= error;
      }
    });
  }
}
