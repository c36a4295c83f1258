/** The main room of one chat at several instances, each with a store of its own, in one process. */

import { setTimeout as delay } from "node:timers/promises";
import {
  type Appended,
  LogUnavailableError,
  type MessageLog,
  type Start,
} from "../message_log/message_log.ts";
import { openMessageStore } from "../message_log/open.ts";
import { Room } from "../room.ts";
import { EventReader } from "./event_reader.ts";
import { openMainLog } from "./open_log.ts";

/** What a store is opened with. */
export type StoreOptions = Parameters<typeof openMessageStore>[1];

/** The main room at one more instance; disposing of it ends the instance. */
export async function openInstance(
  url: string,
  options: Partial<StoreOptions> = {},
): Promise<Room> {
  const store = await openMessageStore(url, { keep: 1000, ...options });
  return new Room(await openMainLog(store), { heartbeatMs: 15_000 });
}

/** Posts a message, with itself as its key. */
export function say(log: MessageLog, message: string): Promise<Appended> {
  return log.append({ nickname: "ann", message, key: message });
}

/** Posts a message until it is stored; says how often it was refused. */
export async function insist(
  log: MessageLog,
  message: string,
): Promise<Appended & { readonly refusals: number }> {
  for (let refusals = 0;; refusals++) {
    try {
      return { ...await say(log, message), refusals };
    } catch (error) {
      if (!(error instanceof LogUnavailableError)) throw error;
    }
    await delay(1);
  }
}

/** A reader of a room that keeps all that it gets; disposing of it hangs up. */
export class Follower implements AsyncDisposable {
  /** The texts of messages and, where some are missing, `gap` and how many, in order. */
  readonly got: string[] = [];
  /** The ids of what is in `got`; of a gap, an empty text. */
  readonly ids: string[] = [];
  /** How many readers there are. */
  online = 0;
  readonly #reader: EventReader;
  readonly #following: Promise<void>;
  readonly #live = Promise.withResolvers<void>();

  private constructor(room: Room, start: Start) {
    this.#reader = new EventReader(new Response(room.read(start)));
    this.#following = this.#follow();
  }

  /** Reads from a start; without one, what comes from now on. Resolves once the reader is live. */
  static async join(room: Room, start: Start = { latest: 0 }): Promise<Follower> {
    const follower = new Follower(room, start);
    await follower.#live.promise;
    return follower;
  }

  async #follow(): Promise<void> {
    for (let event = await this.#reader.next(); event; event = await this.#reader.next()) {
      const { event: name, data, id = "" } = event;
      if (data === undefined) continue;
      const value = JSON.parse(data);
      if (name === "online") {
        this.online = value;
        this.#live.resolve();
      }
      if (name === "gap") this.#take(`gap ${value.missed}`, "");
      if (name === "removed") this.#take(`removed ${value.removes}`, id);
      if (name === undefined) this.#take(value.message, id);
    }
  }

  #take(text: string, id: string): void {
    this.got.push(text);
    this.ids.push(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
    await this.#following;
  }
}
