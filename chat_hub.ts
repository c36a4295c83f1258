/**
 * The readers' stream controllers, and the fan-out to them. The hub owns the
 * heartbeat, the count of readers and the end of every stream; it knows nothing
 * of HTTP and makes no messages.
 */

import type { ChatMessage } from "./chat_message.ts";
import { eventFrame, messageFrame, retryFrame } from "./sse_frame.ts";

/** Where a reader's frames go in. */
export type ReaderController = ReadableStreamDefaultController<Uint8Array>;

type Timer = ReturnType<typeof setTimeout>;

/** Options for {@linkcode ChatHub}. */
export interface ChatHubOptions {
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
}

/** A reader that lost its stream returns after this many milliseconds at least. */
const MIN_RETRY_MS = 2000;
/** Readers are told to return at this many different times, a millisecond apart. */
const RETRY_STEPS = 2001;
/** Coprime to RETRY_STEPS and near its golden section: successive readers land far apart. */
const RETRY_STRIDE = 1237;
/** The number of readers is told at most this often. */
const PRESENCE_INTERVAL_MS = 1000;

/**
 * All readers of one conversation.
 *
 * - Every reader gets every message published after it joined, in order, once.
 * - A message is encoded once, and all readers get the same bytes.
 * - A reader that left, or whose stream broke, is forgotten at once and never
 *   keeps a message from the others.
 * - Timers run only while somebody reads; closing the hub ends them and every
 *   stream.
 *
 * @example
 * ```ts
 * import { assertStringIncludes } from "@std/assert";
 *
 * using hub = new ChatHub({ heartbeatMs: 15_000 });
 * const stream = new ReadableStream<Uint8Array>({
 *   start: (controller) => hub.join(controller),
 * });
 * const { value } = await stream.getReader().read();
 * assertStringIncludes(new TextDecoder().decode(value), "event: online\ndata: 1");
 * ```
 */
export class ChatHub implements Disposable {
  readonly #encoder = new TextEncoder();
  readonly #heartbeatMs: number;
  readonly #readers = new Set<ReaderController>();
  #heartbeat: Timer | undefined;
  /** Runs for PRESENCE_INTERVAL_MS after the number of readers was told. */
  #presencePause: Timer | undefined;
  #presenceChanged = false;
  #nextRetry = Math.floor(Math.random() * RETRY_STEPS);
  #closed = false;

  constructor({ heartbeatMs }: ChatHubOptions) {
    this.#heartbeatMs = heartbeatMs;
  }

  /** How many readers there are. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Registers a reader: its `retry` and the number of readers go out at once. */
  join(reader: ReaderController): void {
    this.#readers.add(reader);
    const retry = retryFrame(this.#retryMs());
    if (this.#closed) {
      this.#send(reader, this.#encoder.encode(retry));
      return this.#end(reader);
    }
    this.#heartbeat ??= setInterval(() => this.#toAll(eventFrame("ping", {})), this.#heartbeatMs);
    this.#send(reader, this.#encoder.encode(retry + eventFrame("online", this.readers)));
    this.#tellPresence(reader);
  }

  /** Forgets a reader whose stream has ended. Leaving twice changes nothing. */
  leave(reader: ReaderController): void {
    if (!this.#readers.delete(reader)) return;
    if (this.#readers.size === 0) this.#stopTimers();
    else this.#tellPresence();
  }

  /** Sends messages to every reader, in the order given. */
  publish(messages: readonly ChatMessage[]): void {
    if (messages.length > 0) this.#toAll(messages.map(messageFrame).join(""));
  }

  /**
   * Ends every stream, each with a `retry` of its own so that the readers do
   * not all come back at once. A reader that joins later is sent away likewise.
   */
  close(): void {
    this.#closed = true;
    this.#stopTimers();
    for (const reader of this.#readers) {
      this.#send(reader, this.#encoder.encode(retryFrame(this.#retryMs())));
      this.#end(reader);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #toAll(frames: string, except?: ReaderController): void {
    const bytes = this.#encoder.encode(frames);
    for (const reader of this.#readers) {
      if (reader !== except) this.#send(reader, bytes);
    }
  }

  #send(reader: ReaderController, bytes: Uint8Array): void {
    try {
      reader.enqueue(bytes);
    } catch (error) {
      // TypeError is what a stream that is closed or broken says.
      if (!(error instanceof TypeError)) throw error;
      this.leave(reader);
    }
  }

  #end(reader: ReaderController): void {
    if (!this.#readers.delete(reader)) return;
    reader.close();
  }

  /** Tells the number of readers now, or when the pause after the last time is over. */
  #tellPresence(except?: ReaderController): void {
    if (this.#presencePause !== undefined) {
      this.#presenceChanged = true;
      return;
    }
    this.#presenceChanged = false;
    this.#presencePause = setTimeout(() => {
      this.#presencePause = undefined;
      if (this.#presenceChanged) this.#tellPresence();
    }, PRESENCE_INTERVAL_MS);
    this.#toAll(eventFrame("online", this.readers), except);
  }

  #retryMs(): number {
    this.#nextRetry = (this.#nextRetry + RETRY_STRIDE) % RETRY_STEPS;
    return MIN_RETRY_MS + this.#nextRetry;
  }

  #stopTimers(): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#presencePause);
    this.#heartbeat = this.#presencePause = undefined;
    this.#presenceChanged = false;
  }
}
