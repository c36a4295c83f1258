/**
 * What readers are told beside messages: that the stream is alive, and how many
 * read. The timers for it run only while somebody does.
 */

import { eventFrame } from "./sse_frame.ts";

type Timer = ReturnType<typeof setTimeout>;

/** The number of readers is told at most this often. */
const ONLINE_INTERVAL_MS = 1000;

/** Options for {@linkcode Presence}. */
export interface PresenceOptions {
  /** Milliseconds between two pings. */
  readonly heartbeatMs: number;
  /** Sends a frame to all readers. */
  readonly tell: (frame: string) => void;
}

/**
 * The pings, and the number of readers.
 *
 * - While there are readers, `ping` goes out every `heartbeatMs`.
 * - A change of their number goes out at once, then at most once a second, the
 *   last one always.
 */
export class Presence implements Disposable {
  readonly #options: PresenceOptions;
  #readers = 0;
  #told = 0;
  #heartbeat: Timer | undefined;
  /** Runs for ONLINE_INTERVAL_MS after the number was told. */
  #pause: Timer | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Takes note of how many readers there are. */
  changed(readers: number): void {
    this.#readers = readers;
    if (readers === 0) return this[Symbol.dispose]();
    const { heartbeatMs, tell } = this.#options;
    this.#heartbeat ??= setInterval(() => tell(eventFrame("ping", {})), heartbeatMs);
    if (this.#pause !== undefined || readers === this.#told) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.changed(this.#readers);
    }, ONLINE_INTERVAL_MS);
    // The first reader has been told on arrival.
    const isFirst = this.#told === 0 && readers === 1;
    this.#told = readers;
    if (!isFirst) tell(eventFrame("online", readers));
  }

  /** Stops the timers; a further change starts them again. */
  [Symbol.dispose](): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#pause);
    this.#heartbeat = this.#pause = undefined;
    this.#told = 0;
  }
}
