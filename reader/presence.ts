/**
 * What readers are told beside messages: that the stream is alive, and how many
 * read. The timers for it run only while somebody does.
 */

import { eventFrame } from "./sse_frame.ts";

type Timer = ReturnType<typeof setTimeout>;

/** The number of readers is told at most this often. */
const ONLINE_INTERVAL_MS = 1000;
/**
 * An event waits so long for messages to go out with. A fan-out of its own costs as
 * much as theirs, and would hold up the next ones.
 */
export const PATIENCE_MS = 250;

/** Options for {@linkcode Presence}. */
export interface PresenceOptions {
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
  /** Called when events have waited long enough and are to be taken. */
  readonly onDue: () => void;
}

/**
 * The pings, and the number of readers.
 *
 * - While there are readers, `ping` goes out every `heartbeatMs`.
 * - A change of their number goes out at once, then at most once a second, the
 *   last one always.
 * - What is to go out does so with the next messages, or after a moment without any.
 */
export class Presence implements Disposable {
  readonly #options: PresenceOptions;
  #readers = 0;
  #told = 0;
  #heartbeat: Timer | undefined;
  /** Runs for ONLINE_INTERVAL_MS after the number was told. */
  #pause: Timer | undefined;
  /** What waits to be taken, and runs until that is due. */
  #events = "";
  #patience: Timer | undefined;
  #isDue = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Takes note of how many readers there are. */
  changed(readers: number): void {
    this.#readers = readers;
    if (readers === 0) return this[Symbol.dispose]();
    const { heartbeatMs } = this.#options;
    this.#heartbeat ??= setInterval(() => this.#tell(eventFrame("ping", {})), heartbeatMs);
    if (this.#pause !== undefined || readers === this.#told) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.changed(this.#readers);
    }, ONLINE_INTERVAL_MS);
    // The first reader has been told on arrival.
    const isFirst = this.#told === 0 && readers === 1;
    this.#told = readers;
    if (!isFirst) this.#tell(eventFrame("online", readers));
  }

  /** Whether there is something to take that has waited long enough. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** The events that wait, for the caller to send; they wait no more. */
  take(): string {
    const events = this.#events;
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#events = "";
    this.#isDue = false;
    return events;
  }

  #tell(event: string): void {
    this.#events += event;
    this.#patience ??= setTimeout(() => {
      this.#isDue = true;
      this.#options.onDue();
    }, PATIENCE_MS);
  }

  /** Stops the timers and forgets what waits; a further change starts them again. */
  [Symbol.dispose](): void {
    this.take();
    clearInterval(this.#heartbeat);
    clearTimeout(this.#pause);
    this.#heartbeat = this.#pause = undefined;
    this.#told = 0;
  }
}
