// @ts-check
/// <reference lib="dom" />
/**
 * One event stream that is kept up: it goes on at its cursor after every loss, with delays that grow
 * and differ between readers, and it takes silence for a loss. Runs in the worker and in a page.
 *
 * An EventSource alone would not do: it gives up for good on an error status, and on a connection
 * that died without a word (a laptop that slept) it waits for ever.
 */

/** @import { ChatMessage } from "./message.js" */

/**
 * How the connection is: `cursor` is the last id it has seen, `retryAt` when it tries again.
 *
 * @typedef {{
 *   type: "status",
 *   status: "connecting" | "live" | "waiting",
 *   online?: number,
 *   retryAt?: number,
 *   cursor?: string,
 * }} Status
 *
 * @typedef {Status
 *   | { type: "message", message: ChatMessage }
 *   | { type: "gap", missed: number | null }
 * } StreamEvent
 */

/** The first delay is half of this to all of it, as the server asks of its readers. */
const FIRST_DELAY_MS = 4000;
const LONGEST_DELAY_MS = 30_000;
/** Silence of this many heartbeats is a loss. */
const PATIENCE = 2.5;

export class Connection {
  #heartbeatMs;
  #emit;
  /** @type {Status} */
  #status = { type: "status", status: "waiting" };
  /** @type {EventSource | undefined} */
  #source;
  /** @type {string | undefined} */
  #cursor;
  #failures = 0;
  #heardAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #watch;

  /**
   * @param {number} heartbeatMs
   * @param {(event: StreamEvent) => void} emit
   */
  constructor(heartbeatMs, emit) {
    this.#heartbeatMs = heartbeatMs;
    this.#emit = emit;
  }

  get status() {
    return { ...this.#status, cursor: this.#cursor };
  }

  /**
   * Begins after a message, or with the latest ones. If it has begun, somebody is looking: a wait
   * ends now, and one missing heartbeat is reason enough to reconnect.
   *
   * @param {string} [cursor]
   */
  start(cursor) {
    if (this.#watch !== undefined) {
      if (!this.#source || this.#silence > 1.2 * this.#heartbeatMs) this.#open();
      return;
    }
    this.#cursor = cursor;
    this.#failures = 0;
    // By the clock, not by a timeout from the last event: timers stand still while a computer sleeps.
    this.#watch = setInterval(() => {
      if (this.#source && this.#silence > PATIENCE * this.#heartbeatMs) this.#wait();
    }, this.#heartbeatMs / 4);
    this.#open();
  }

  stop() {
    this.#close();
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  /** The network has changed: whatever was open may be dead. */
  reconnect() {
    if (this.#watch !== undefined && this.#status.status !== "connecting") this.#open();
  }

  get #silence() {
    return Date.now() - this.#heardAt;
  }

  #open() {
    this.#close();
    this.#tell({ status: "connecting" });
    this.#heardAt = Date.now();
    const source = new EventSource(this.#cursor ? `/chat?since=${this.#cursor}` : "/chat");
    this.#source = source;
    /** @type {(name: string, handle: (data: any) => void) => void} */
    const on = (name, handle) => {
      source.addEventListener(name, ({ data, lastEventId }) => {
        this.#heardAt = Date.now();
        // Also moved by a block that is nothing but an id, which shows at the next event.
        this.#cursor = lastEventId || this.#cursor;
        handle(JSON.parse(data));
      });
    };
    on("message", (message) => this.#emit({ type: "message", message }));
    on("gap", ({ missed }) => this.#emit({ type: "gap", missed }));
    on("ping", () => {});
    on("online", (online) => {
      this.#failures = 0;
      this.#tell({ status: "live", online });
    });
    source.addEventListener("error", () => this.#wait());
  }

  /** Comes back later: all readers of a server that went away must not come at once. */
  #wait() {
    this.#close();
    const longest = Math.min(FIRST_DELAY_MS * 2 ** this.#failures++, LONGEST_DELAY_MS);
    const delay = longest * (1 + Math.random()) / 2;
    this.#retry = setTimeout(() => this.#open(), delay);
    this.#tell({ status: "waiting", retryAt: Date.now() + delay });
  }

  #close() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = undefined;
  }

  /** @param {Omit<Status, "type" | "cursor">} status */
  #tell(status) {
    this.#status = { type: "status", ...status };
    this.#emit(this.status);
  }
}
