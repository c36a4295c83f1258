// @ts-check
/// <reference lib="dom" />
/**
 * The tab's end of the stream. It hands on an unbroken run of messages, whatever happens to the tab,
 * the worker or the network: first those that are kept, then those that come. Some may be handed on
 * twice, and those caught up on behind newer ones; ids put that right.
 */

/** @import { Status, StreamEvent } from "./connection.js" */
/** @import { ChatMessage } from "./message.js" */
import { fetchMessages } from "./history.js";
import { SharedStream } from "./shared_stream.js";

/**
 * @typedef {{
 *   onMessages(messages: ChatMessage[], isHistory: boolean): void,
 *   onGap(missed: number | null): void,
 *   onStatus(status: Status): void,
 *   onReturn(missed: ChatMessage[]): void,
 * }} StreamListener What was missed is handed on as messages first.
 */

/** A worker that says nothing for so long has failed. */
const WORKER_ANSWERS_MS = 4000;
const CATCH_UP_AGAIN_MS = 5000;

export class Stream {
  #heartbeatMs;
  #listener;
  /** @type {MessagePort | undefined} */
  #port;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #noAnswer;
  /** Up to here the tab has every message. @type {string | undefined} */
  #cursor;
  /** Whether what comes through the port begins at the cursor. */
  #inStep = true;
  /** What has come since the stream was lost. @type {ChatMessage[] | undefined} */
  #missed;
  #wasLive = false;
  /** What the stream has brought of a history that could not be fetched. */
  /** @type {ChatMessage[] | undefined} */
  #history;

  /**
   * @param {number} heartbeatMs
   * @param {StreamListener} listener
   */
  constructor(heartbeatMs, listener) {
    this.#heartbeatMs = heartbeatMs;
    this.#listener = listener;
  }

  /** Brings what is kept, then follows. */
  async start() {
    try {
      await this.#fetch(true);
    } catch {
      // TypeError: no server just now. The stream keeps trying, and brings the latest messages.
      this.#history = [];
    }
    this.#join();
    addEventListener("online", () => this.#ask("online"));
    addEventListener("offline", () => this.#ask("offline"));
    addEventListener("pagehide", () => this.#ask("leave"));
    // Back from the browser's cache: what was said meanwhile did not arrive.
    addEventListener("pageshow", ({ persisted }) => persisted && this.#join());
    document.addEventListener("visibilitychange", () => document.hidden || this.#join());
  }

  #join() {
    this.#port ??= this.#openPort();
    this.#port.postMessage({
      type: "join",
      cursor: this.#cursor,
      heartbeatMs: this.#heartbeatMs,
    });
    clearTimeout(this.#noAnswer);
    this.#noAnswer = setTimeout(() => this.#goAlone(), WORKER_ANSWERS_MS);
  }

  #openPort() {
    if (typeof SharedWorker === "undefined") return this.#ownPort();
    const worker = new SharedWorker("/stream_worker.js", {
      type: "module",
      // Tabs of two versions of the page do not meet in one worker.
      name: document.documentElement.dataset.version,
    });
    worker.addEventListener("error", () => this.#goAlone());
    return this.#listen(worker.port);
  }

  /** A stream of this tab's own. */
  #ownPort() {
    const { port1, port2 } = new MessageChannel();
    new SharedStream().connect(port2);
    return this.#listen(port1);
  }

  #goAlone() {
    // Late rather than dead, it would go on for a tab that no longer listens.
    this.#ask("leave");
    this.#port?.close();
    this.#port = this.#ownPort();
    this.#join();
  }

  /** @param {MessagePort} port */
  #listen(port) {
    port.addEventListener("message", ({ data }) => this.#receive(data));
    port.start();
    return port;
  }

  /** @param {"leave" | "online" | "offline"} type */
  #ask(type) {
    this.#port?.postMessage({ type });
  }

  /** @param {StreamEvent & { joined?: boolean }} event */
  #receive(event) {
    clearTimeout(this.#noAnswer);
    if (event.type === "message") {
      this.#missed?.push(event.message);
      if (this.#inStep) this.#cursor = event.message.id;
      if (this.#history) this.#history.push(event.message);
      else this.#listener.onMessages([event.message], false);
    } else if (event.type === "gap") {
      this.#listener.onGap(event.missed);
    } else {
      if (event.joined && event.cursor !== this.#cursor) this.#catchUp(event.cursor);
      else if (this.#inStep && event.cursor) this.#cursor = event.cursor;
      if (this.#wasLive && event.status !== "live") this.#missed ??= [];
      if (event.status === "live") {
        this.#wasLive = true;
        if (this.#history?.length) this.#listener.onMessages(this.#history, true);
        this.#history = undefined;
      }
      this.#listener.onStatus(event);
      if (event.status === "live" && this.#inStep) this.#return();
    }
  }

  /**
   * Others have moved the worker's stream on without this tab.
   *
   * @param {string} [cursor] Where the stream is; what comes after it is coming.
   */
  async #catchUp(cursor) {
    if (!this.#inStep) return;
    this.#inStep = false;
    const isFirst = !this.#wasLive;
    if (!isFirst) this.#missed ??= [];
    for (;;) {
      try {
        await this.#fetch(isFirst);
        break;
      } catch {
        // TypeError: no server just now.
        await new Promise((resolve) => setTimeout(resolve, CATCH_UP_AGAIN_MS));
      }
    }
    // Where nothing is kept, the stream has a cursor all the same.
    this.#cursor ??= cursor;
    this.#inStep = true;
    this.#return();
  }

  /** @param {boolean} isHistory */
  async #fetch(isHistory) {
    const { messages, missed } = await fetchMessages({ since: this.#cursor });
    if (missed !== 0) this.#listener.onGap(missed);
    this.#cursor = messages.at(-1)?.id ?? this.#cursor;
    this.#missed?.push(...messages);
    this.#listener.onMessages(messages, isHistory);
  }

  #return() {
    const missed = new Map(this.#missed?.map((message) => [message.id, message]));
    if (this.#missed) this.#listener.onReturn([...missed.values()]);
    this.#missed = undefined;
  }
}
