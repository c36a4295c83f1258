/**
 * The readers' stream controllers, and the fan-out to them. The hub sends what
 * the log emits; it owns the readers' way from the log to the live stream, the
 * heartbeat, the count of readers and the end of every stream. It knows nothing
 * of HTTP.
 */

import { compareIds } from "./chat_message.ts";
import { type LogEntry, LogUnavailableError, type MessageLog } from "./message_log/mod.ts";
import { Replay, type Start } from "./replay.ts";
import { eventFrame, messageFrames, retryFrame } from "./sse_frame.ts";

/** Where a reader's frames go in. */
export type Reader = ReadableStreamDefaultController<Uint8Array>;

type Timer = ReturnType<typeof setTimeout>;

/** Options for {@linkcode ChatHub}. */
export interface ChatHubOptions {
  /** What is sent; the hub does not dispose of it. */
  readonly log: MessageLog;
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
}

/** A reader that is still reading the log. */
interface CatchUp {
  start: Start;
  /** What went out to the others while a page was being read. */
  published?: LogEntry[];
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
 * All readers of one log.
 *
 * - A reader gets a run of the log without a gap, a repeat or a change of order,
 *   from where it starts to where it leaves; where that can't be, a `gap` event
 *   says so at the place.
 * - A message is encoded once, and all readers get the same bytes.
 * - A reader that reads the log is given the next page when it has room for it,
 *   so it neither holds up nor is held up by the others.
 * - A reader that left, or whose stream broke, is forgotten at once and never
 *   keeps a message from the others.
 * - Timers run only while somebody reads; closing the hub ends them and every
 *   stream.
 *
 * On its way a reader is in one of three places: it *catches up*, page by page;
 * with the log's last page it is *arriving*, which means that of what the log
 * emits next, some may have been on that page; then it is *live*.
 *
 * @example
 * ```ts
 * import { assertStringIncludes } from "@std/assert";
 * import { openMessageLog } from "./message_log/mod.ts";
 *
 * await using log = openMessageLog("memory:", { keep: 100 });
 * using hub = new ChatHub({ log, heartbeatMs: 15_000 });
 * const stream = new ReadableStream<Uint8Array>({
 *   start: (reader) => hub.join(reader, { latest: 50 }),
 *   pull: (reader) => hub.pull(reader),
 * });
 * const { value } = await stream.getReader().read();
 * assertStringIncludes(new TextDecoder().decode(value), "retry: ");
 * ```
 */
export class ChatHub implements Disposable {
  readonly #encoder = new TextEncoder();
  readonly #heartbeatMs: number;
  readonly #replay: Replay;
  readonly #subscription: Disposable;
  readonly #catchingUp = new Map<Reader, CatchUp>();
  /** With the id of the last message each has. */
  readonly #arriving = new Map<Reader, string>();
  readonly #live = new Set<Reader>();
  /** What the log emitted since the last fan-out. */
  #gathered: LogEntry[] = [];
  #fanOut: ReturnType<typeof setImmediate> | undefined;
  #heartbeat: Timer | undefined;
  /** Runs for PRESENCE_INTERVAL_MS after the number of readers was told. */
  #presencePause: Timer | undefined;
  #presenceChanged = false;
  #nextRetry = Math.floor(Math.random() * RETRY_STEPS);
  #closed = false;

  constructor({ log, heartbeatMs }: ChatHubOptions) {
    this.#heartbeatMs = heartbeatMs;
    this.#replay = new Replay(log);
    this.#subscription = log.subscribe((batch) => this.#publish(batch));
  }

  /** How many readers there are. */
  get readers(): number {
    return this.#catchingUp.size + this.#arriving.size + this.#live.size;
  }

  /** Registers a reader that begins at `start`; its `retry` goes out at once. */
  join(reader: Reader, start: Start): void {
    this.#catchingUp.set(reader, { start });
    if (this.#closed) return this.#end(reader);
    this.#heartbeat ??= setInterval(() => this.#tell(eventFrame("ping", {})), this.#heartbeatMs);
    this.#send(reader, this.#retry());
  }

  /**
   * Gives a reader its next page of the log; for a stream's `pull`. Resolves when
   * the page is in the stream and is to be called again when that has room. For
   * a live reader it never resolves, so that its stream does not ask again.
   */
  async pull(reader: Reader): Promise<void> {
    const catchUp = this.#catchingUp.get(reader);
    if (catchUp && await this.#sendPage(reader, catchUp)) return;
    await new Promise(() => {});
  }

  /** Forgets a reader whose stream has ended. Leaving twice changes nothing. */
  leave(reader: Reader): void {
    if (this.#remove(reader)) this.#tellPresence();
  }

  /**
   * Ends every stream, each with a `retry` of its own so that the readers do
   * not all come back at once. A reader that joins later is sent away likewise.
   */
  close(): void {
    this.#closed = true;
    this.#subscription[Symbol.dispose]();
    clearImmediate(this.#fanOut);
    this.#sendGathered();
    this.#stopTimers();
    for (const readers of [this.#catchingUp.keys(), this.#arriving.keys(), this.#live]) {
      for (const reader of readers) this.#end(reader);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #publish(batch: readonly LogEntry[]): void {
    this.#gathered.push(...batch);
    this.#fanOut ??= setImmediate(() => this.#sendGathered());
  }

  /** The fan-out: what the log emitted since the last goes to all in one chunk. */
  #sendGathered(): void {
    this.#fanOut = undefined;
    const entries = this.#gathered;
    if (entries.length === 0) return;
    this.#gathered = [];
    this.#replay.grown();
    const bytes = this.#encoder.encode(messageFrames(entries));
    for (const reader of this.#live) this.#send(reader, bytes);
    for (const [reader, cursor] of this.#arriving) {
      const next = after(cursor, entries);
      const isNew = next.length === entries.length;
      if (isNew) this.#send(reader, bytes);
      else if (next.length > 0) this.#send(reader, this.#encoder.encode(messageFrames(next)));
      const isLive = compareIds(entries.at(-1)!.id, cursor) >= 0;
      if (isLive && this.#arriving.delete(reader)) this.#live.add(reader);
    }
    for (const { published } of this.#catchingUp.values()) published?.push(...entries);
  }

  /** Sends a page of the log; whether there are further pages. */
  async #sendPage(reader: Reader, catchUp: CatchUp): Promise<boolean> {
    catchUp.published = [];
    const page = await this.#replay.read(catchUp.start).catch((error) => {
      if (!(error instanceof LogUnavailableError)) throw error;
    });
    const { published } = catchUp;
    catchUp.published = undefined;
    if (this.#catchingUp.get(reader) !== catchUp) return false;
    if (!page) {
      // The log can't be read just now: come back later.
      this.#end(reader);
      return false;
    }
    catchUp.start = { since: page.cursor };
    this.#send(reader, page.bytes);
    if (page.more) return true;
    const next = after(page.cursor, published);
    if (!this.#catchingUp.delete(reader)) return false;
    this.#arriving.set(reader, next.at(-1)?.id ?? page.cursor);
    const frames = messageFrames(next) + eventFrame("online", this.readers);
    this.#send(reader, this.#encoder.encode(frames));
    this.#tellPresence(reader);
    return false;
  }

  /** Sends an event to all that have the whole log. */
  #tell(frame: string, except?: Reader): void {
    const bytes = this.#encoder.encode(frame);
    for (const readers of [this.#arriving.keys(), this.#live]) {
      for (const reader of readers) {
        if (reader !== except) this.#send(reader, bytes);
      }
    }
  }

  #send(reader: Reader, bytes: Uint8Array): void {
    try {
      reader.enqueue(bytes);
    } catch (error) {
      // TypeError is what a stream that is closed or broken says.
      if (!(error instanceof TypeError)) throw error;
      this.leave(reader);
    }
  }

  /** Sends a reader away, to come back in a while. */
  #end(reader: Reader): void {
    this.#send(reader, this.#retry());
    if (this.#remove(reader)) reader.close();
  }

  #remove(reader: Reader): boolean {
    return this.#live.delete(reader) || this.#arriving.delete(reader) ||
      this.#catchingUp.delete(reader);
  }

  /**
   * Tells the number of readers now, or when the pause after the last time is
   * over. Where nobody is left to tell, nothing needs a timer.
   */
  #tellPresence(except?: Reader): void {
    if (this.#closed || this.readers === 0) return this.#stopTimers();
    if (this.#presencePause !== undefined) {
      this.#presenceChanged = true;
      return;
    }
    this.#presenceChanged = false;
    this.#presencePause = setTimeout(() => {
      this.#presencePause = undefined;
      if (this.#presenceChanged) this.#tellPresence();
    }, PRESENCE_INTERVAL_MS);
    this.#tell(eventFrame("online", this.readers), except);
  }

  #retry(): Uint8Array {
    this.#nextRetry = (this.#nextRetry + RETRY_STRIDE) % RETRY_STEPS;
    return this.#encoder.encode(retryFrame(MIN_RETRY_MS + this.#nextRetry));
  }

  #stopTimers(): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#presencePause);
    this.#heartbeat = this.#presencePause = undefined;
    this.#presenceChanged = false;
  }
}

/** The entries behind a cursor; all of them, most often. */
function after(cursor: string, entries: readonly LogEntry[] = []): readonly LogEntry[] {
  const first = entries.findIndex(({ id }) => compareIds(id, cursor) > 0);
  return first === 0 ? entries : first < 0 ? [] : entries.slice(first);
}
