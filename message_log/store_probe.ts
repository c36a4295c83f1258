/** Whether a store can be written to just now, for all who ask. */

import { LogUnavailableError, type MessageStore, StoreAwayError } from "./message_log.ts";

/** The store is written to no more often than this, however many ask. */
const INTERVAL_MS = 1000;
/** What has not been written by then is not going to be. */
const DEADLINE_MS = 2000;
const DEADLINE_TEXT = `It has taken over ${DEADLINE_MS / 1000} seconds; check the disk, or Redis`;

/** Options for {@linkcode StoreProbe}. */
export interface StoreProbeOptions {
  /**
   * Called with why it can't be written to: not again before it could be, and not where the store has
   * reported it, as {@linkcode StoreEvents.onAway} does.
   */
  onFailure?(error: LogUnavailableError): void;
  /** The clock, in milliseconds that never go back. @default {performance.now} */
  readonly now?: () => number;
}

/** Writes to a store when somebody asks, once a second at most: what came of it is the answer to all. */
export class StoreProbe {
  readonly #store: Pick<MessageStore, "probe">;
  readonly #options: StoreProbeOptions;
  readonly #now: () => number;
  #began = -Infinity;
  #isRunning = false;
  #wasUp = true;
  #answer: Promise<boolean> = Promise.resolve(true);

  constructor(store: Pick<MessageStore, "probe">, options: StoreProbeOptions = {}) {
    this.#store = store;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Whether it can be written to, as far as was known a second ago at the earliest. */
  isUp(): Promise<boolean> {
    // One that hangs is not asked again: each try would wait with it.
    if (!this.#isRunning && this.#now() - this.#began >= INTERVAL_MS) {
      this.#began = this.#now();
      this.#answer = this.#try();
    }
    return this.#answer;
  }

  async #try(): Promise<boolean> {
    this.#isRunning = true;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new LogUnavailableError(DEADLINE_TEXT)),
      DEADLINE_MS,
    );
    const writing = this.#store.probe().finally(() => this.#isRunning = false);
    try {
      await Promise.race([writing, late]);
      return this.#wasUp = true;
    } catch (error) {
      if (!(error instanceof LogUnavailableError)) throw error;
      if (this.#wasUp && !(error instanceof StoreAwayError)) this.#options.onFailure?.(error);
      return this.#wasUp = false;
    } finally {
      clearTimeout(timer);
    }
  }
}
