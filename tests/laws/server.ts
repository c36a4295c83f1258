/** One run of the server, as far as the laws go: a log and its room, from opening to stopping. */

import { assertEquals } from "@std/assert";
import type { LogEntry, LogPage, MessageLog } from "../../message_log/message_log.ts";
import { LogUnavailableError, type Range } from "../../message_log/message_log.ts";
import type { Post } from "../../chat_message.ts";
import { Room } from "../../room.ts";

/** The log that a room is given: it counts who follows it, and fails when told to. */
class WatchedLog implements MessageLog {
  readonly #log: MessageLog;
  readonly #isKept: boolean;
  readonly subscriptions = new Set<Disposable>();
  failingReads = 0;
  /** Readers may have been sent away that have not taken notice. */
  hasFailed = false;

  constructor(log: MessageLog, isKept: boolean) {
    this.#log = log;
    this.#isKept = isKept;
  }

  get id(): string {
    return this.#log.id;
  }

  append(post: Post) {
    return this.#log.append(post);
  }

  read(range: Range): Promise<LogPage> {
    if (this.failingReads === 0) return this.#log.read(range);
    this.failingReads--;
    this.hasFailed = true;
    return Promise.reject(new LogUnavailableError("The disk fails"));
  }

  subscribe(onBatch: (batch: readonly LogEntry[]) => void): Disposable {
    const inner = this.#log.subscribe(onBatch);
    const subscription = {
      [Symbol.dispose]: () => {
        this.subscriptions.delete(subscription);
        inner[Symbol.dispose]();
      },
    };
    this.subscriptions.add(subscription);
    return subscription;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isKept) await this.#log[Symbol.asyncDispose]();
  }
}

/** Options for {@linkcode Server}. */
export interface ServerOptions {
  readonly heartbeatMs: number;
  /** The log outlives the server, since it is in memory. */
  readonly isLogKept: boolean;
}

/** A server that runs. */
export class Server implements AsyncDisposable {
  readonly log: WatchedLog;
  readonly room: Room;

  constructor(log: MessageLog, { heartbeatMs, isLogKept }: ServerOptions) {
    this.log = new WatchedLog(log, isLogKept);
    this.room = new Room(this.log, { heartbeatMs });
  }

  /** Stops it; nothing of it is left: law 6. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.room[Symbol.asyncDispose]();
    assertEquals(this.room.hub.readers, 0, "readers of a closed hub");
    assertEquals(this.log.subscriptions.size, 0, "subscribers of a closed room's log");
  }
}
