/**
 * Who reads, and the fan-out to them. The hub sends what the log emits to every
 * reader that is live; a reader's own way, from the log to the live stream and
 * back, is in reader/. It knows nothing of HTTP.
 */

import { compareIds } from "./chat_message.ts";
import {
  type Batch,
  type LogEntry,
  type MessageLog,
  type ReadersElsewhere,
  withoutRemoved,
} from "./message_log/message_log.ts";
import { Presence } from "./reader/presence.ts";
import { type FanOut, FanOutTurns } from "./reader/fan_out_turns.ts";
import type { Reader, ReaderHub } from "./reader/reader.ts";
import type { EndReason, ReaderObserver } from "./reader/reader_observer.ts";
import { entryFrames, retryFrame } from "./reader/sse_frame.ts";

/** Options for {@linkcode ChatHub}. */
export interface ChatHubOptions {
  /** Where the messages come from; the hub does not dispose of it. */
  readonly log: Pick<MessageLog, "subscribe" | "elsewhere">;
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
  /** What it shares the turns of the event loop with. @default {new FanOutTurns()} */
  readonly turns?: FanOutTurns;
  /** Counts what becomes of readers. */
  readonly observer?: ReaderObserver;
}

/** The shortest reconnect delay. */
export const MIN_RETRY_MS = 2000;
/** Readers get this many different reconnect delays, a millisecond apart. */
export const RETRY_STEPS = 2001;
/** Coprime to RETRY_STEPS and close to RETRY_STEPS / φ: successive readers get delays far apart. */
const RETRY_STRIDE = 1237;
/**
 * A chunk has no more than this many characters of JSON, unless its only message is
 * longer: it is what a reader may be given beyond the room it has.
 */
const MAX_CHUNK_LENGTH = 256 * 1024;
/** When more than this waits to be sent, all readers read on from the log instead. */
const MAX_PENDING_LENGTH = 4 * 1024 * 1024;
/** Before every message: nothing has been published yet. */
const BEFORE_ALL = "0-0";
const ENCODER = new TextEncoder();

/**
 * All readers of one log.
 *
 * - **Order.** Readers get batches in the order of the log. A message is encoded
 *   once, and all live readers get the same bytes.
 * - **Bounds.** A chunk is bounded. A reader without room for one stops being live and
 *   reads on from the log; it neither holds up the others nor is held up by them.
 *   If messages come faster than they can be sent, all do so.
 * - **Losses.** If the log has lost messages, all readers read on from it: each is sent the `gap` that it
 *   has, or none.
 * - **Release.** A reader that left is forgotten at once. One that takes nothing for
 *   two heartbeats is cut off; it can resume from its cursor. Timers run only
 *   while somebody reads.
 * - **Removal.** Once a removal is published, nobody is sent the text of what it removed, but for
 *   what Deno or the kernel has been given already and the frame that a reader is getting.
 * - **Closing.** Every stream ends at the end of a frame, with a `retry` of its own.
 *   A reader that joins later is sent away likewise.
 *
 * A reader is in one of three states. *Catching up*: it reads the log, page by page.
 * *Arriving*: it has read the log to its end, but what the log emits next may contain
 * messages that it has read already (m7 is appended, the reader reads a page with
 * m7, and only then the batch with m7 is sent). *Live*: it gets every chunk.
 *
 * @example
 * ```ts
 * import { assertStringIncludes } from "@std/assert";
 * import { openMessageStore } from "./message_log/open.ts";
 * import { Room } from "./room.ts";
 *
 * await using store = await openMessageStore("memory:", { keep: 100 });
 * await using room = new Room(await store.openLog(""), { heartbeatMs: 15_000 });
 * const stream = room.read({ latest: 50 });
 * const frames = stream.pipeThrough(new TextDecoderStream()).getReader();
 * assertStringIncludes((await frames.read()).value!, "retry: ");
 * ```
 */
export class ChatHub implements ReaderHub, FanOut, Disposable {
  readonly #turns: FanOutTurns;
  readonly #presence: Presence;
  readonly #elsewhere: ReadersElsewhere | undefined;
  readonly #observer: ReaderObserver | undefined;
  readonly #subscriptions = new DisposableStack();
  readonly #catchingUp = new Set<Reader>();
  readonly #arriving = new Set<Reader>();
  readonly #live = new Set<Reader>();
  /** What the log emitted and no fan-out has begun with, and its length as JSON. */
  #pending: LogEntry[] = [];
  #pendingLength = 0;
  /** Messages have been lost before those that wait. */
  #hasLost = false;
  /** The id of the last message that a fan-out has begun with. */
  #published = BEFORE_ALL;
  /** The fan-out in progress; without a chunk it makes readers read on from the log. */
  #chunk: Uint8Array | undefined;
  /** The entries in the chunk. */
  #chunkEntries: readonly LogEntry[] = [];
  /** The readers that the chunk has not been sent to yet. */
  #remaining: Iterator<Reader, unknown> | undefined;
  #nextRetry = Math.floor(Math.random() * RETRY_STEPS);
  #isClosed = false;

  constructor({ log, heartbeatMs, turns = new FanOutTurns(), observer }: ChatHubOptions) {
    this.#turns = turns;
    this.#observer = observer;
    this.#presence = new Presence({
      heartbeatMs,
      onHeartbeat: () => this.#cutIdle(),
      onDue: () => this.#turns.add(this),
    });
    this.#elsewhere = log.elsewhere;
    this.#subscriptions.use(log.subscribe((batch) => this.#publish(batch)));
    this.#subscriptions.use(this.#elsewhere?.subscribe(() => this.#announce()));
  }

  /** How many readers there are here. */
  get readers(): number {
    return this.#catchingUp.size + this.#arriving.size + this.#live.size;
  }

  join(reader: Reader): void {
    if (this.#isClosed) return reader.end(this.#retry());
    this.#catchingUp.add(reader);
    this.#observer?.joined();
    reader.send(this.#retry());
    this.#count();
  }

  goLive(reader: Reader): boolean {
    if (compareIds(reader.cursor!, this.#published) < 0) return false;
    this.#catchingUp.delete(reader);
    this.#arriving.add(reader);
    reader.send(ENCODER.encode(this.#presence.greet()));
    return true;
  }

  leave(reader: Reader, reason: EndReason): void {
    if (!this.#remove(reader)) return;
    this.#observer?.ended(reason);
    if (!this.#isClosed) this.#count();
  }

  sendAway(reader: Reader, reason: EndReason): void {
    reader.end(this.#retry());
    this.leave(reader, reason);
  }

  noteGap(missed: number | null): void {
    this.#observer?.missed(missed);
  }

  /** Sends what waits, then ends every stream. Closing again changes nothing. */
  close(): void {
    this.#isClosed = true;
    this.#subscriptions[Symbol.dispose]();
    while (this.#turns.remove(this)) this.advance(Infinity);
    this.#presence[Symbol.dispose]();
    for (const reader of this.#all()) this.sendAway(reader, "shutdown");
    this.#elsewhere?.tell(0);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #count(): void {
    this.#elsewhere?.tell(this.readers);
    this.#announce();
  }

  #announce(): void {
    this.#presence.changed(this.readers, this.#elsewhere?.count ?? 0);
  }

  #publish({ entries, missed }: Batch): void {
    if (missed !== 0) this.#forgetAll();
    for (const entry of entries) {
      this.#pending.push(entry);
      this.#pendingLength += entry.json.length;
    }
    if (entries.some(({ removes }) => removes !== undefined)) this.#forgetRemoved(entries);
    if (entries.length > 0 || missed !== 0) this.#turns.add(this);
  }

  /** Has every reader read on from the log, which knows what each of them lacks. */
  #forgetAll(): void {
    this.#hasLost = true;
    this.#pending = [];
    this.#pendingLength = 0;
    this.#chunk = undefined;
    for (const reader of [...this.#catchingUp]) reader.dropPage();
  }

  /** Sends nobody what a batch has removed. */
  #forgetRemoved(batch: readonly LogEntry[]): void {
    this.#pending = withoutRemoved(this.#pending, batch);
    this.#pendingLength = this.#pending.reduce((sum, { json }) => sum + json.length, 0);
    // Those that the chunk has not been sent to yet read it in the log.
    if (withoutRemoved(this.#chunkEntries, batch).length < this.#chunkEntries.length) {
      this.#chunk = undefined;
    }
    for (const reader of [...this.#catchingUp]) reader.dropPage();
  }

  advance(max: number): number {
    this.#remaining ??= this.#begin();
    let count = max;
    for (; count > 0; count--) {
      const { done, value: reader } = this.#remaining.next();
      if (done) {
        this.#remaining = undefined;
        this.#chunkEntries = [];
        break;
      }
      const isSent = this.#chunk && reader.offer(this.#chunk, this.#chunkEntries.at(-1)?.id);
      if (!isSent) this.#fallBehind(reader);
    }
    const isWaiting = this.#hasLost || this.#pending.length > 0 || this.#presence.isDue;
    if (this.#remaining || isWaiting) this.#turns.add(this);
    return max - count;
  }

  /** Encodes the next chunk; returns the readers to send it to. */
  #begin(): Iterator<Reader, unknown> {
    if (this.#hasLost || this.#pendingLength > MAX_PENDING_LENGTH) return this.#beginOverflow();
    const entries = this.#takePending();
    const events = this.#presence.take();
    this.#chunk = ENCODER.encode(entryFrames(entries) + events);
    this.#chunkEntries = entries;
    const cursor = entries.at(-1)?.id;
    if (cursor === undefined) return [...this.#live, ...this.#arriving].values();
    this.#published = cursor;
    this.#admit(entries, events);
    return this.#live.values();
  }

  /** Drops what waits: everyone who lacks some of it, or may, reads it in the log. */
  #beginOverflow(): Iterator<Reader, unknown> {
    const hasLost = this.#hasLost;
    this.#hasLost = false;
    this.#published = this.#pending.at(-1)?.id ?? BEFORE_ALL;
    this.#pending = [];
    this.#pendingLength = 0;
    this.#chunk = undefined;
    this.#chunkEntries = [];
    const behind = [...this.#arriving].filter(({ cursor }) =>
      hasLost || compareIds(cursor!, this.#published) < 0
    );
    return [...this.#live, ...behind].values();
  }

  /** As many messages as a chunk may have, at least one if there is any. */
  #takePending(): LogEntry[] {
    let count = 0;
    let length = 0;
    for (const { json } of this.#pending) {
      if (count > 0 && length + json.length > MAX_CHUNK_LENGTH) break;
      length += json.length;
      count++;
    }
    this.#pendingLength -= length;
    return this.#pending.splice(0, count);
  }

  /**
   * Promotes arriving readers to live. One that already has part of the batch gets
   * the rest separately and stays arriving.
   */
  #admit(entries: readonly LogEntry[], events: string): void {
    for (const reader of this.#arriving) {
      const next = entriesAfter(reader.cursor!, entries);
      if (next.length === entries.length) {
        this.#arriving.delete(reader);
        this.#live.add(reader);
        continue;
      }
      const rest = entryFrames(next) + events;
      if (rest === "") continue;
      if (!reader.offer(ENCODER.encode(rest), next.at(-1)?.id)) this.#fallBehind(reader);
    }
  }

  #fallBehind(reader: Reader): void {
    if (!this.#live.delete(reader) && !this.#arriving.delete(reader)) return;
    this.#catchingUp.add(reader);
    reader.fallBehind();
  }

  #cutIdle(): void {
    for (const reader of this.#all()) {
      if (!reader.isIdle()) continue;
      this.leave(reader, "slow");
      reader.cut();
    }
  }

  *#all(): Generator<Reader> {
    yield* this.#catchingUp;
    yield* this.#arriving;
    yield* this.#live;
  }

  #remove(reader: Reader): boolean {
    return this.#live.delete(reader) || this.#arriving.delete(reader) ||
      this.#catchingUp.delete(reader);
  }

  #retry(): Uint8Array {
    this.#nextRetry = (this.#nextRetry + RETRY_STRIDE) % RETRY_STEPS;
    return ENCODER.encode(retryFrame(MIN_RETRY_MS + this.#nextRetry));
  }
}

/** The entries after a cursor; usually all of them. */
function entriesAfter(cursor: string, entries: readonly LogEntry[]): readonly LogEntry[] {
  const first = entries.findIndex(({ id }) => compareIds(id, cursor) > 0);
  return first === 0 ? entries : first < 0 ? [] : entries.slice(first);
}
