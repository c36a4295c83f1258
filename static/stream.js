/**
 * The tab's end of the shared connection: hands on messages without a hole, whatever happens to tab,
 * worker or network, and a live status after them. Some come twice, or after newer ones; ids put that
 * right.
 */

/** @import { ChatMessage, Removal, Status, StreamEvent } from "./client.js" */
/** @import { TabRequest } from "./connection.js" */
/** @import { Tabs } from "./attention.js" */
import { fetchMessages } from "./client.js";
import { SharedConnections } from "./connection.js";
import { CHAT, SITE, WORKER } from "./page.js";

/** A worker silent for this long is slow or dead. */
const WORKER_ANSWERS_MS = 4000;
const CATCH_UP_AGAIN_MS = 5000;
const heartbeatMs = Number(document.documentElement.dataset.heartbeat) * 1000;
const [navigation] = performance.getEntriesByType("navigation");
/** A worker can't tell. */
const isMultiplexed = /^h[23]$/.test(
  /** @type {PerformanceNavigationTiming} */ (navigation)?.nextHopProtocol,
);
/** @type {Status} */
const CONNECTING = { type: "status", status: "connecting" };

export class Stream {
  #tabs;
  #listener;
  /** @type {MessagePort=} */
  #worker;
  /**
   * To a connection of its own, as long as the worker does not answer.
   * @type {MessagePort=}
   */
  #own;
  /** @type {ReturnType<typeof setTimeout>=} */
  #noAnswer;
  #hasAnswered = false;
  /** Up to here the tab has every message. @type {string=} */
  #cursor;
  #isStarted = false;
  /** Whether what comes through the port begins at the cursor. */
  #isCaughtUp = true;
  #wasLive = false;
  #status = CONNECTING;
  /** @type {number | null} */
  #missed = 0;
  /**
   * From the stream, because it could not be fetched.
   * @type {ChatMessage[]=}
   */
  #history;

  /**
   * @param {Tabs} tabs
   * @param {{
   *   onMessages(messages: ChatMessage[], isHistory: boolean, missed: number | null): void,
   *   onRemoved(removals: readonly Removal[]): void,
   *   onStatus(status: Status): void,
   * }} listener `missed`: how many before the messages are lost, null if unknown.
   */
  constructor(tabs, listener) {
    this.#tabs = tabs;
    this.#listener = listener;
  }

  async start() {
    try {
      await this.#fetch(true);
    } catch {
      // RequestError: the stream will bring the latest messages.
      this.#history = [];
    }
    this.#isStarted = true;
    this.#join();
    setInterval(() => this.#check(), Math.max(heartbeatMs, WORKER_ANSWERS_MS));
    addEventListener("online", () => this.#post({ type: "online" }));
    addEventListener("offline", () => this.#post({ type: "offline" }));
    addEventListener("pagehide", () => this.#post({ type: "leave" }));
    // Back from the browser's cache.
    addEventListener("pageshow", ({ persisted }) => {
      if (!persisted) return;
      this.#setStatus(CONNECTING);
      this.#join();
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) return this.#join();
      // There may be a front tab in each of many rooms.
      this.#own?.postMessage({ type: "hide" });
    });
  }

  /**
   * Another tab may be in front. Without a worker only the front one of the hidden tabs stays
   * connected, or a handful would use up all connections of the browser.
   */
  look() {
    if (!this.#isStarted) return;
    if (this.#mayConnect) {
      if (!this.#worker && !this.#own) this.#join();
    } else if (this.#own) {
      this.#endOwn();
      this.#setStatus(CONNECTING);
    }
  }

  get #mayConnect() {
    return !document.hidden || this.#tabs.isFront;
  }

  #join() {
    this.#worker ??= this.#openWorker();
    if (this.#worker) this.#ask(this.#worker, "join");
    if (this.#own) this.#ask(this.#own, "join");
    if (!this.#worker) this.#openOwn();
    this.#expectAnswer();
  }

  /** A worker that has died says nothing, and no browser says so. */
  #check() {
    if (!this.#worker) return;
    if (this.#hasAnswered) this.#ask(this.#worker, "check");
    else {
      this.#worker.postMessage({ type: "leave" });
      this.#worker.close();
      this.#worker = this.#openWorker();
      if (this.#worker) this.#ask(this.#worker, "join");
    }
    this.#expectAnswer();
  }

  #expectAnswer() {
    this.#hasAnswered = false;
    clearTimeout(this.#noAnswer);
    this.#noAnswer = setTimeout(() => this.#openOwn(), WORKER_ANSWERS_MS);
  }

  #openWorker() {
    try {
      // One for each version of the page.
      const name = `${SITE} ${document.documentElement.dataset.version}`;
      const worker = new SharedWorker(WORKER, { type: "module", name });
      worker.addEventListener("error", () => {
        this.#worker = undefined;
        this.#openOwn();
      });
      return this.#listen(worker.port);
    } catch {
      // ReferenceError: there are none here. SecurityError: storage is blocked.
    }
  }

  #openOwn() {
    if (this.#own || !this.#mayConnect) return;
    const { port1, port2 } = new MessageChannel();
    new SharedConnections().connect(port2);
    this.#own = this.#listen(port1);
    this.#ask(port1, "join");
  }

  #endOwn() {
    this.#own?.postMessage({ type: "leave" });
    this.#own?.close();
    this.#own = undefined;
  }

  #listen(/** @type {MessagePort} */ port) {
    port.addEventListener("message", ({ data }) => this.#receive(port, data));
    port.start();
    return port;
  }

  #ask(/** @type {MessagePort} */ port, /** @type {"join" | "check"} */ type) {
    port.postMessage({ type, chat: CHAT, heartbeatMs, cursor: this.#cursor, isMultiplexed });
  }

  #post(/** @type {TabRequest} */ request) {
    this.#worker?.postMessage(request);
    this.#own?.postMessage(request);
  }

  #receive(
    /** @type {MessagePort} */ port,
    /** @type {StreamEvent & { joined?: boolean } | { type: "alive" }} */ event,
  ) {
    clearTimeout(this.#noAnswer);
    if (port === this.#worker) {
      this.#hasAnswered = true;
      // It was only slow.
      this.#endOwn();
    }
    if (event.type === "alive") return;
    if (event.type === "entry") {
      const { entry } = event;
      if (this.#isCaughtUp) this.#cursor = entry.id;
      if ("removes" in entry) this.#listener.onRemoved([entry]);
      else if (this.#history) this.#history.push(entry);
      else this.#handOn([entry], false);
    } else if (event.type === "gap") {
      this.#missed = event.missed;
    } else {
      if (event.joined && event.cursor !== this.#cursor) this.#catchUp(event.cursor);
      else if (this.#isCaughtUp && event.cursor) this.#cursor = event.cursor;
      this.#setStatus(event);
    }
  }

  #setStatus(/** @type {Status} */ status) {
    this.#status = status;
    if (status.status === "live" || status.status === "polling") {
      this.#wasLive = true;
      this.#handOn(this.#history ?? [], true);
      this.#history = undefined;
    }
    this.#listener.onStatus(this.#isCaughtUp ? status : CONNECTING);
  }

  #handOn(/** @type {ChatMessage[]} */ messages, /** @type {boolean} */ isHistory) {
    if (messages.length === 0 && this.#missed === 0) return;
    this.#listener.onMessages(messages, isHistory, this.#missed);
    this.#missed = 0;
  }

  /** The shared connection has moved on, to a cursor. */
  async #catchUp(/** @type {string=} */ cursor) {
    if (!this.#isCaughtUp) return;
    this.#isCaughtUp = false;
    for (;;) {
      try {
        await this.#fetch(!this.#wasLive);
        break;
      } catch {
        // RequestError: no server just now.
        await new Promise((resolve) => setTimeout(resolve, CATCH_UP_AGAIN_MS));
      }
    }
    // Where nothing is kept, the stream has a cursor all the same.
    if (this.#cursor === "all") this.#cursor = cursor;
    this.#isCaughtUp = true;
    this.#setStatus(this.#status);
  }

  async #fetch(/** @type {boolean} */ isHistory) {
    const since = this.#cursor;
    const { messages, removals, missed, cursor } = await fetchMessages(CHAT, { since });
    this.#cursor = cursor;
    this.#missed = missed;
    this.#listener.onRemoved(removals);
    this.#handOn(messages, isHistory);
  }
}
