/**
 * The readers' stream controllers, and the fan-out to them. The hub sends what
 * the log emits; it owns the readers' way from the log to the live stream and the
 * end of every stream. It knows nothing of HTTP.
 */

import { compareIds } from "./chat_message.ts";
import { type LogEntry, LogUnavailableError, type MessageLog } from "./message_log/message_log.ts";
import { Presence } from "./reader/presence.ts";
import { Replay, type ReplayPage, type Start, UNKNOWN_CURSOR } from "./reader/replay.ts";
import { eventFrame, messageFrames, retryFrame } from "./reader/sse_frame.ts";

/** A reader, from joining to leaving. */
export interface Reader {
  /** Where its frames go in. */
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  /** For `onSlowReader`. */
  readonly address: string;
  /** Where it begins to read the log. */
  readonly start: Start;
  /** The id of the last message it has from there. */
  cursor: string | undefined;
  /** The page that is going out, and how many bytes of it are out. */
  page: ReplayPage | undefined;
  sent: number;
}

/**
 * The queuing strategy of readers' streams: it counts bytes, and a reader that
 * catches up is given no further page while more than this waits for it.
 */
export const STREAM_BUFFER = new ByteLengthQueuingStrategy({ highWaterMark: 64 * 1024 });

/** Options for {@linkcode ChatHub}. */
export interface ChatHubOptions {
  /** What is sent; the hub does not dispose of it. */
  readonly log: MessageLog;
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
  /** Bytes that may wait for one reader; see {@linkcode STREAM_BUFFER}. */
  readonly maxBufferBytes: number;
  /** Called with the address of a reader whose stream was ended: it did not keep up. */
  readonly onSlowReader?: (address: string) => void;
}

/** A reader that lost its stream returns after this many milliseconds at least. */
const MIN_RETRY_MS = 2000;
/** Readers are told to return at this many different times, a millisecond apart. */
const RETRY_STEPS = 2001;
/** Coprime to RETRY_STEPS and near its golden section: successive readers land far apart. */
const RETRY_STRIDE = 1237;
/**
 * A fan-out reaches this many readers in one turn of the event loop. Deno writes
 * to about so many sockets (tokio's 61 tasks) before it runs JavaScript again, so
 * each slice is out when the next is due, and the posts that have come meanwhile
 * are answered and gathered in between. Were all readers served in one turn, a
 * post would wait behind a thousand writes, and each would cost a fan-out.
 */
const SLICE = 64;
/**
 * A newcomer that needs one page only gets it in pieces of this size, one a turn: a
 * connection keeps a buffer as large as its largest write for as long as it is open.
 */
const PIECE_BYTES = 2048;

/** Why the stream of a reader that did not keep up was ended. */
export class SlowReaderError extends Error {
  override readonly name = "SlowReaderError";
}

/**
 * All readers of one log.
 *
 * - A reader gets a run of the log without a gap, a repeat or a change of order,
 *   from where it starts to where it leaves; where that can't be, a `gap` event
 *   says so at the place.
 * - A message is encoded once, and all readers get the same bytes.
 * - A reader that reads the log is given the next page when it has room for it,
 *   so it neither holds up nor is held up by the others.
 * - No more than `maxBufferBytes` wait for a reader. One that does not keep up is
 *   ended and its memory freed at once; it can resume from its cursor.
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
 * import { openMessageLog } from "./message_log/open.ts";
 *
 * await using log = openMessageLog("memory:", { keep: 100 });
 * using hub = new ChatHub({ log, heartbeatMs: 15_000, maxBufferBytes: 1_000_000 });
 * let reader: Reader;
 * const stream = new ReadableStream<Uint8Array>({
 *   start: (controller) => void (reader = hub.join(controller, { latest: 50 })),
 *   pull: () => hub.pull(reader),
 *   cancel: () => hub.leave(reader),
 * }, STREAM_BUFFER);
 * const frames = stream.pipeThrough(new TextDecoderStream()).getReader();
 * assertStringIncludes((await frames.read()).value!, "retry: ");
 * ```
 */
export class ChatHub implements Disposable {
  readonly #encoder = new TextEncoder();
  readonly #presence: Presence;
  readonly #maxBufferBytes: number;
  readonly #onSlowReader: (address: string) => void;
  readonly #replay: Replay;
  readonly #subscription: Disposable;
  readonly #catchingUp = new Set<Reader>();
  readonly #arriving = new Set<Reader>();
  readonly #live = new Set<Reader>();
  #slowReaders = 0;
  /** What the log emitted since the last fan-out began. */
  #gathered: LogEntry[] = [];
  /** The id of the last message that a fan-out has begun with. */
  #published = UNKNOWN_CURSOR;
  /** The fan-out that is going out: its bytes, and the readers that do not have them yet. */
  #chunk = new Uint8Array();
  #receivers: Iterator<Reader, undefined> | undefined;
  /** Runs while a fan-out is going out, or is about to. */
  #turn: ReturnType<typeof setImmediate> | undefined;
  /** Resolves with the next turn, if somebody waits for it. */
  #turnOver: Promise<void> | undefined;
  #nextRetry = Math.floor(Math.random() * RETRY_STEPS);
  #closed = false;

  constructor({ log, heartbeatMs, maxBufferBytes, onSlowReader = () => {} }: ChatHubOptions) {
    this.#presence = new Presence({ heartbeatMs, onDue: () => this.#fanOutSoon() });
    this.#maxBufferBytes = maxBufferBytes;
    this.#onSlowReader = onSlowReader;
    this.#replay = new Replay(log);
    this.#subscription = log.subscribe((batch) => this.#publish(batch));
  }

  /** How many readers there are. */
  get readers(): number {
    return this.#catchingUp.size + this.#arriving.size + this.#live.size;
  }

  /** How many readers were ended because they did not keep up. */
  get slowReaders(): number {
    return this.#slowReaders;
  }

  /**
   * Registers the controller of a stream as a reader that begins at `start`; its
   * `retry` goes out at once.
   */
  join(controller: Reader["controller"], start: Start, address = "unknown"): Reader {
    const reader: Reader = {
      controller,
      address,
      start,
      cursor: undefined,
      page: undefined,
      sent: 0,
    };
    this.#catchingUp.add(reader);
    if (this.#closed) this.#end(reader);
    else this.#enqueue(reader, this.#retry());
    return reader;
  }

  /**
   * Gives a reader what comes next of the log; for a stream's `pull`, which is
   * called while the stream has room. Resolves when that may be again: for a
   * live reader never.
   */
  pull(reader: Reader): Promise<void> {
    const page = reader.page ?? this.#replay.read(startOf(reader));
    return page instanceof Promise ? this.#sendPage(reader, page) : this.#sendPiece(reader, page);
  }

  /** Forgets a reader whose stream has ended. Leaving twice changes nothing. */
  leave(reader: Reader): void {
    if (this.#remove(reader) && !this.#closed) this.#presence.changed(this.readers);
  }

  /**
   * Ends every stream, each with a `retry` of its own so that the readers do
   * not all come back at once. A reader that joins later is sent away likewise.
   */
  close(): void {
    this.#closed = true;
    this.#subscription[Symbol.dispose]();
    while (this.#turn !== undefined) {
      clearImmediate(this.#turn);
      this.#advance(Infinity);
    }
    this.#presence[Symbol.dispose]();
    for (const readers of [this.#catchingUp, this.#arriving, this.#live]) {
      for (const reader of readers) this.#end(reader);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #publish(batch: readonly LogEntry[]): void {
    this.#gathered.push(...batch);
    this.#fanOutSoon();
  }

  /** A turn later, when the posts that brought the messages have been answered. */
  #fanOutSoon(): void {
    this.#turn ??= setImmediate(() => this.#advance(SLICE));
  }

  /** Goes on with the fan-out that is going out, or begins one, by so many readers. */
  #advance(count: number): void {
    this.#turn = undefined;
    this.#receivers ??= this.#begin();
    for (; count > 0; count--) {
      const { done, value: reader } = this.#receivers.next();
      if (done) {
        this.#receivers = undefined;
        break;
      }
      this.#send(reader, this.#chunk);
    }
    if (this.#receivers || this.#gathered.length > 0 || this.#presence.isDue) this.#fanOutSoon();
  }

  /** Makes one chunk of what was gathered, and returns the readers to get it. */
  #begin(): Iterator<Reader, undefined> {
    const entries = this.#gathered;
    const events = this.#presence.take();
    this.#gathered = [];
    this.#chunk = this.#encoder.encode(messageFrames(entries) + events);
    if (entries.length === 0) return this.#current();
    this.#published = entries.at(-1)!.id;
    this.#replay.grown();
    this.#admit(entries, events);
    return this.#live.values();
  }

  /** Those that have the whole log. */
  *#current(): Generator<Reader, undefined> {
    yield* this.#live;
    yield* this.#arriving;
  }

  /**
   * Lets those that arrived take part in a fan-out. Some may have a part of it
   * already, from the log; they get the rest and take part in the next.
   */
  #admit(entries: readonly LogEntry[], events: string): void {
    for (const reader of this.#arriving) {
      const next = after(reader.cursor!, entries);
      if (next.length === entries.length) {
        this.#arriving.delete(reader);
        this.#live.add(reader);
        continue;
      }
      const frames = messageFrames(next) + events;
      if (frames !== "") this.#send(reader, this.#encoder.encode(frames));
      reader.cursor = next.at(-1)?.id ?? reader.cursor;
    }
  }

  /** Sends a page once it is read; sends the reader away to come back later if that can't be. */
  async #sendPage(reader: Reader, reading: Promise<ReplayPage>): Promise<void> {
    let page;
    try {
      page = await reading;
    } catch (error) {
      if (!this.#catchingUp.has(reader)) return;
      if (error instanceof LogUnavailableError) return this.#end(reader);
      this.leave(reader);
      throw error;
    }
    return this.#sendPiece(reader, page);
  }

  /** Sends a piece of a page; resolves when it is time for the next. */
  #sendPiece(reader: Reader, page: ReplayPage): Promise<void> {
    const { bytes, cursor, more } = page;
    const isOnly = reader.cursor === undefined && !more;
    const end = reader.sent + (isOnly ? PIECE_BYTES : STREAM_BUFFER.highWaterMark);
    this.#enqueue(reader, bytes.subarray(reader.sent, end));
    reader.sent = end;
    if (!this.#catchingUp.has(reader)) return never();
    if (end < bytes.length) {
      reader.page = page;
      return this.#nextTurn();
    }
    reader.cursor = cursor;
    reader.page = undefined;
    reader.sent = 0;
    // While the page went out, others may have got what is behind it.
    if (more || compareIds(cursor, this.#published) < 0) return this.#nextTurn();
    this.#arrive(reader);
    return never();
  }

  /** Tells a reader that has the whole log how many there are. */
  #arrive(reader: Reader): void {
    this.#catchingUp.delete(reader);
    this.#arriving.add(reader);
    this.#enqueue(reader, this.#encoder.encode(eventFrame("online", this.readers)));
    this.#presence.changed(this.readers);
  }

  /** The next turn of the event loop; the same promise for all that wait for it. */
  #nextTurn(): Promise<void> {
    return this.#turnOver ??= new Promise((resolve) =>
      setImmediate(() => {
        this.#turnOver = undefined;
        resolve();
      })
    );
  }

  /** Sends to a reader that is to keep up. */
  #send(reader: Reader, bytes: Uint8Array): void {
    const waiting = STREAM_BUFFER.highWaterMark - (reader.controller.desiredSize ?? 0);
    if (waiting > 0 && waiting + bytes.length > this.#maxBufferBytes) {
      this.leave(reader);
      // Not close(), which would keep what waits until it is read.
      reader.controller.error(new SlowReaderError(`${waiting} bytes wait`));
      this.#slowReaders++;
      this.#onSlowReader(reader.address);
    } else {
      this.#enqueue(reader, bytes);
    }
  }

  #enqueue(reader: Reader, bytes: Uint8Array): void {
    try {
      reader.controller.enqueue(bytes);
    } catch (error) {
      // TypeError is what a stream that is closed or broken says.
      if (!(error instanceof TypeError)) throw error;
      this.leave(reader);
    }
  }

  /** Sends a reader away, to come back in a while. */
  #end(reader: Reader): void {
    this.#enqueue(reader, this.#retry());
    if (!this.#remove(reader)) return;
    reader.controller.close();
    if (!this.#closed) this.#presence.changed(this.readers);
  }

  #remove(reader: Reader): boolean {
    return this.#live.delete(reader) || this.#arriving.delete(reader) ||
      this.#catchingUp.delete(reader);
  }

  #retry(): Uint8Array {
    this.#nextRetry = (this.#nextRetry + RETRY_STRIDE) % RETRY_STEPS;
    return this.#encoder.encode(retryFrame(MIN_RETRY_MS + this.#nextRetry));
  }
}

/** Where a reader goes on. */
function startOf({ cursor, start }: Reader): Start {
  return cursor === undefined ? start : { since: cursor };
}

/** A promise of its own each time: one that all wait for would keep them all. */
function never(): Promise<void> {
  return new Promise(() => {});
}

/** The entries behind a cursor; all of them, most often. */
function after(cursor: string, entries: readonly LogEntry[]): readonly LogEntry[] {
  const first = entries.findIndex(({ id }) => compareIds(id, cursor) > 0);
  return first === 0 ? entries : first < 0 ? [] : entries.slice(first);
}
