/** A room: one log, and those who read it. */

import { ChatHub } from "./chat_hub.ts";
import type { MessageLog, Start } from "./message_log/message_log.ts";
import { Reader, STREAM_BUFFER } from "./reader/reader.ts";
import { Replay, toFrames, toJson } from "./reader/replay.ts";

/** Options for {@linkcode Room}. */
export interface RoomOptions {
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
}

/** A room; disposing of it ends every stream and closes its log. */
export class Room implements AsyncDisposable {
  readonly log: MessageLog;
  readonly hub: ChatHub;
  readonly heartbeatMs: number;
  /** The log's pages as JSON. */
  readonly history: Replay;
  readonly #replay: Replay;

  constructor(log: MessageLog, { heartbeatMs }: RoomOptions) {
    this.log = log;
    this.heartbeatMs = heartbeatMs;
    this.history = new Replay(log, toJson);
    this.#replay = new Replay(log, toFrames);
    this.hub = new ChatHub({ log, heartbeatMs });
  }

  /** A stream of frames for one reader, for as long as it is not cancelled. */
  read(start: Start): ReadableStream<Uint8Array> {
    return new ReadableStream(new Reader(this.hub, this.#replay, start), STREAM_BUFFER);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hub.close();
    this.#replay[Symbol.dispose]();
    this.history[Symbol.dispose]();
    await this.log[Symbol.asyncDispose]();
  }
}
