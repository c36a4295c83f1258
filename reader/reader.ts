/**
 * One reader: the source of its stream. It owns the reader's way from the log to
 * the live stream and back, and the end of the stream. Who reads, and what is
 * sent to all of them, is the hub's affair.
 */

import { LogUnavailableError, type Start } from "../message_log/message_log.ts";
import type { EndReason } from "./reader_observer.ts";
import { nextTurn, PIECE_BYTES } from "./piece.ts";
import type { Replay, ReplayPage } from "./replay.ts";

/**
 * The queuing strategy of readers' streams. It counts bytes; a reader has room
 * while fewer than this wait for it.
 */
export const STREAM_BUFFER = new ByteLengthQueuingStrategy({ highWaterMark: 64 * 1024 });

/** Most readers ever need one page only, and their connections stay open for long. */
const NEWCOMER_PIECE_BYTES = 2048;
/** A body that nothing has been taken of for this many heartbeats is broken off. */
export const MAX_IDLE_HEARTBEATS = 2;
const LINE_FEED = 0x0a;
const DECODER = new TextDecoder();

/** The hub, as a reader sees it. */
export interface ReaderHub {
  /** Takes a new reader in, which reads the log. */
  join(reader: Reader): void;
  /** Takes a reader that has read the log to its end into the fan-out; false if there is more. */
  goLive(reader: Reader): boolean;
  /** Forgets a reader whose stream has ended. */
  leave(reader: Reader, reason: EndReason): void;
  /** Ends a reader's stream, to be resumed later. */
  sendAway(reader: Reader, reason: EndReason): void;
  /** Takes note of a gap that a reader is sent: how many messages it misses, null if that is not known. */
  noteGap(missed: number | null): void;
}

/** Options for {@linkcode Reader}. */
export interface ReaderOptions {
  /** Disposed of once the stream is over. */
  readonly held?: Disposable;
  /** Ends the stream. */
  readonly signal?: AbortSignal;
}

/** Why the server broke a body off; the client can ask for the rest. */
export class BrokenOffError extends Error {
  override readonly name = "BrokenOffError";
}

/**
 * The source of one reader's stream.
 *
 * - **Exactness.** The reader gets a run of the log without a gap, a repeat or a
 *   change of order, from where it starts to where it ends; if that is impossible,
 *   a `gap` event says so at that point. A stream that is ended ends after a frame.
 * - **Bounds.** It is given the next page or chunk only while it has room. When it
 *   has none, nothing is queued for it: it reads on from the log once it has.
 * - **Release.** A stream that is cancelled or broken leaves the hub at once.
 */
export class Reader implements UnderlyingDefaultSource<Uint8Array> {
  readonly #hub: ReaderHub;
  readonly #replay: Pick<Replay, "read">;
  readonly #start: Start;
  readonly #options: ReaderOptions;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #cursor: string | undefined;
  /** The page that it is getting in pieces, and how many bytes of it are sent. */
  #page: ReplayPage | undefined;
  #pageSent = 0;
  /** Whether the page that it reads has been dropped already. */
  #isDropped = false;
  /** Ends the pull that lasts as long as the reader is live. */
  #resume: (() => void) | undefined;
  #isOver = false;
  /** Bytes ever sent, and how many of them it had taken at the last heartbeat. */
  #sent = 0;
  #taken = -1;
  #idleHeartbeats = 0;

  constructor(
    hub: ReaderHub,
    replay: Pick<Replay, "read">,
    start: Start,
    options: ReaderOptions = {},
  ) {
    this.#hub = hub;
    this.#replay = replay;
    this.#start = start;
    this.#options = options;
  }

  /** The id of the last message it was given; undefined until it has had its first page. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.#options.signal?.addEventListener("abort", this.#leave);
    this.#hub.join(this);
    if (this.#options.signal?.aborted) this.#leave();
  }

  /**
   * Called while the stream has room: sends what comes next in the log. It
   * resolves when there may be more to send, for a live reader once it is behind.
   */
  pull(): Promise<void> {
    this.#isDropped = false;
    const start = this.#cursor === undefined ? this.#start : { since: this.#cursor };
    const page = this.#page ?? this.#replay.read(start);
    return page instanceof Promise ? this.#sendWhenRead(page) : this.#sendPiece(page);
  }

  cancel(): void {
    this.#finish();
    this.#hub.leave(this, "left");
  }

  /** Sends frames, whether or not there is room. */
  send(frames: Uint8Array): void {
    if (this.#isOver || frames.length === 0) return;
    this.#sent += frames.length;
    this.#controller.enqueue(frames);
  }

  /**
   * Sends a chunk of the fan-out if there is room. `cursor` is the id of its last
   * message, undefined if it has none.
   */
  offer(chunk: Uint8Array, cursor: string | undefined): boolean {
    if (this.#controller.desiredSize! <= 0) return false;
    this.#sent += chunk.length;
    this.#controller.enqueue(chunk);
    if (cursor !== undefined) this.#cursor = cursor;
    return true;
  }

  /** Makes it read on from the log: it is no longer part of the fan-out. */
  fallBehind(): void {
    this.#resume?.();
    this.#resume = undefined;
  }

  /**
   * Called when messages have been removed or lost: the page that it is getting is no longer what the log
   * has. It reads on after the frame that it is getting.
   */
  dropPage(): void {
    this.#isDropped = true;
    if (!this.#page) return;
    const { bytes } = this.#page;
    const end = frameEnd(bytes, this.#pageSent);
    const cursor = lastId(bytes.subarray(0, end));
    // It has got nothing but a gap, which it would get again.
    if (cursor === undefined) return this.#hub.sendAway(this, "log");
    this.send(bytes.subarray(this.#pageSent, end));
    this.#cursor = cursor;
    this.#page = undefined;
    this.#pageSent = 0;
  }

  /** Called at every heartbeat: whether it has taken nothing of what waits for too long. */
  isIdle(): boolean {
    const waiting = STREAM_BUFFER.highWaterMark - this.#controller.desiredSize!;
    const taken = this.#sent - waiting;
    this.#idleHeartbeats = waiting > 0 && taken === this.#taken ? this.#idleHeartbeats + 1 : 0;
    this.#taken = taken;
    return this.#idleHeartbeats >= MAX_IDLE_HEARTBEATS;
  }

  /** Ends the stream after what waits and the frame that it is getting, with a last frame. */
  end(frame: Uint8Array): void {
    if (this.#isOver) return;
    if (this.#page) {
      const { bytes } = this.#page;
      this.send(bytes.subarray(this.#pageSent, frameEnd(bytes, this.#pageSent)));
    }
    this.send(frame);
    // Deno cancels the stream at once if what it is sent meets a closed connection.
    if (this.#isOver) return;
    this.#finish();
    this.#controller.close();
  }

  /** Breaks the stream off and drops what waits, which `end` would keep until it is read. */
  cut(): void {
    this.#finish();
    this.#controller.error(new BrokenOffError("The reader takes nothing"));
  }

  readonly #leave = () => this.#hub.sendAway(this, "session");

  #finish(): void {
    this.#isOver = true;
    this.#options.held?.[Symbol.dispose]();
    this.#options.signal?.removeEventListener("abort", this.#leave);
  }

  async #sendWhenRead(reading: Promise<ReplayPage>): Promise<void> {
    let page;
    try {
      page = await reading;
    } catch (error) {
      if (this.#isOver) return;
      if (error instanceof LogUnavailableError) return this.#hub.sendAway(this, "log");
      this.#finish();
      this.#hub.leave(this, "log");
      throw error;
    }
    if (!this.#isDropped) return this.#sendPiece(page);
    await nextTurn();
    // A stream that was given nothing asks for no more by itself.
    if (!this.#isOver) return this.pull();
  }

  /** Sends a piece of a page; resolves when it is time for the next. */
  #sendPiece(page: ReplayPage): Promise<void> {
    if (this.#isOver) return nextTurn();
    const { bytes, cursor, isLast, missed } = page;
    if (missed !== 0 && this.#pageSent === 0) this.#hub.noteGap(missed);
    const isOnly = this.#cursor === undefined && isLast;
    const end = this.#pageSent + (isOnly ? NEWCOMER_PIECE_BYTES : PIECE_BYTES);
    this.send(bytes.subarray(this.#pageSent, end));
    if (this.#isOver) return nextTurn();
    if (end < bytes.length) {
      this.#page = page;
      this.#pageSent = end;
      return nextTurn();
    }
    this.#cursor = cursor;
    this.#page = undefined;
    this.#pageSent = 0;
    if (!isLast || !this.#hub.goLive(this)) return nextTurn();
    return new Promise((resolve) => this.#resume = resolve);
  }
}

/** The id of the last frame that has one. */
function lastId(frames: Uint8Array): string | undefined {
  return [...DECODER.decode(frames).matchAll(/^id: (.*)$/gm)].at(-1)?.[1];
}

/** Where the frame ends that some bytes are sent of; there if it is whole. */
function frameEnd(frames: Uint8Array, sent: number): number {
  const isEnd = (at: number) => frames[at - 1] === LINE_FEED && frames[at - 2] === LINE_FEED;
  while (sent > 0 && !isEnd(sent)) sent++;
  return sent;
}
