/**
 * What readers are sent besides messages: that the stream is alive, and how many
 * read. The timers for it run only while somebody does.
 */

import { eventFrame } from "./sse_frame.ts";

type Timer = ReturnType<typeof setTimeout>;

/** The number of readers is announced at most this often. */
const ONLINE_INTERVAL_MS = 1000;
/**
 * How long an event waits for messages to travel with. A fan-out of its own costs
 * as much as one with messages, and would delay the next.
 */
export const EVENT_DELAY_MS = 250;

/** Options for {@linkcode Presence}. */
export interface PresenceOptions {
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
  /** Called at every heartbeat. */
  readonly onHeartbeat: () => void;
  /** Called when events have waited long enough and are to be taken. */
  readonly onDue: () => void;
}

/**
 * The pings, and the number of readers.
 *
 * - While there are readers, a `ping` is due every `heartbeatMs`. It says how long
 *   that is, so that a reader knows how much silence means a dead connection.
 * - A change of their number, here and elsewhere together, is announced at once, then at most once a second;
 *   the last one always.
 * - Both are sent with the next messages, or after a moment without any.
 */
export class Presence implements Disposable {
  readonly #options: PresenceOptions;
  #readers = 0;
  #elsewhere = 0;
  #announced = 0;
  /** Whether some reader was sent another number when it went live. */
  #isUneven = false;
  #heartbeat: Timer | undefined;
  /** Runs for ONLINE_INTERVAL_MS after the number was announced. */
  #pause: Timer | undefined;
  /** Events waiting to be taken, and the timer after which they are due. */
  #events = "";
  #delay: Timer | undefined;
  #isDue = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Takes note of how many readers there are here, and at other instances of the chat. */
  changed(readers: number, elsewhere: number): void {
    this.#readers = readers;
    this.#elsewhere = elsewhere;
    if (readers === 0) return this[Symbol.dispose]();
    this.#heartbeat ??= setInterval(() => this.#beat(), this.#options.heartbeatMs);
    if (this.#pause !== undefined || (this.#all === this.#announced && !this.#isUneven)) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.changed(this.#readers, this.#elsewhere);
    }, ONLINE_INTERVAL_MS);
    // The first reader learns it when it goes live.
    const isFirst = this.#announced === 0 && readers === 1;
    this.#announced = this.#all;
    this.#isUneven = false;
    if (!isFirst) this.#announce(eventFrame("online", this.#all));
  }

  /** The number of readers, for one that goes live. */
  greet(): string {
    this.#isUneven ||= this.#all !== this.#announced;
    return eventFrame("online", this.#all);
  }

  /** Whether there is something to take that has waited long enough. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** The events that wait, for the caller to send; they wait no more. */
  take(): string {
    const events = this.#events;
    clearTimeout(this.#delay);
    this.#delay = undefined;
    this.#events = "";
    this.#isDue = false;
    return events;
  }

  get #all(): number {
    return this.#readers + this.#elsewhere;
  }

  #beat(): void {
    const { heartbeatMs, onHeartbeat } = this.#options;
    onHeartbeat();
    if (this.#readers > 0) this.#announce(eventFrame("ping", { heartbeat: heartbeatMs / 1000 }));
  }

  #announce(event: string): void {
    this.#events += event;
    this.#delay ??= setTimeout(() => {
      this.#isDue = true;
      this.#options.onDue();
    }, EVENT_DELAY_MS);
  }

  /** Stops the timers and forgets what waits; a further change starts them again. */
  [Symbol.dispose](): void {
    this.take();
    clearInterval(this.#heartbeat);
    clearTimeout(this.#pause);
    this.#heartbeat = this.#pause = undefined;
    this.#announced = 0;
    this.#isUneven = false;
  }
}
