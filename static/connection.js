/**
 * One connection to each room for many tabs, in a shared worker or in a page that has none. After every
 * loss it resumes at its cursor, with growing, randomised delays; silence is a loss. While something on
 * the way holds the stream back, it asks for the history instead.
 */

/** @import { ChatMessage, Removal } from "./message.js" */
/** @import { RequestError } from "./requests.js" */
import { fetchMessages } from "./requests.js";

/**
 * `polling`: asks for the history. `signed-out`: most likely waits in vain until the page is reloaded.
 * `cursor`: the last id it has seen.
 *
 * @typedef {{
 *   type: "status",
 *   status: "connecting" | "live" | "waiting" | "polling" | "signed-out",
 *   online?: number,
 *   retryMs?: number,
 *   cursor?: string,
 * }} Status
 *
 * @typedef {Status
 *   | { type: "entry", entry: ChatMessage | Removal }
 *   | { type: "gap", missed: number | null }
 * } StreamEvent
 */

/**
 * `check` asks whether the worker is alive; one that was started anew takes it for a `join`. The reply
 * to that is the status. From its cursor the tab knows whether to catch up; all after it follows.
 * `isMultiplexed`: whether all streams share one connection to the server.
 *
 * @typedef {{
 *   type: "join" | "check",
 *   chat: string,
 *   heartbeatMs: number,
 *   cursor?: string,
 *   isMultiplexed?: boolean,
 * } | { type: "leave" | "hide" | "online" | "offline" }
 * } TabRequest
 */

/** The first delay is half of this to all of it, as the server asks of its readers. */
const FIRST_DELAY_MS = 4000;
const MAX_DELAY_MS = 30_000;
const SILENT_HEARTBEATS = 2.5;
/** A stream begins at once; one that is silent for this long is held back. */
const MAX_START_MS = 10_000;
const POLL_MS = 5000;
const TRY_STREAM_MS = 60_000;
/** Over HTTP/1.1 a browser has six connections to a server. Some must be left for other requests. */
const MAX_STREAMS = 4;
/** Over HTTP/2 most servers take a hundred requests or more at a time. */
const MAX_MULTIPLEXED_STREAMS = 50;

/**
 * Starts to count milliseconds. One clock stands still while some computers sleep, the other can be
 * set back: the greater is right, or at worst too long.
 */
export function startStopwatch() {
  const monotonic = performance.now();
  const wall = Date.now();
  return () => Math.max(performance.now() - monotonic, Date.now() - wall);
}

/** An EventSource alone gives up on an error status, and waits forever where a connection is dead. */
export class Connection {
  #chat;
  #heartbeatMs;
  #emit;
  /** @type {Status} */
  #status = { type: "status", status: "waiting" };
  #statusAge = startStopwatch();
  /** @type {EventSource=} */
  #source;
  /** @type {string=} */
  #cursor;
  #failures = 0;
  /** How often the stream failed where the history did not. */
  #heldBack = 0;
  #silence = startStopwatch();
  #silentHeartbeats = SILENT_HEARTBEATS;
  #sinceTrial = startStopwatch();
  #mayStream = true;
  #cancelWait = () => {};
  /** @type {ReturnType<typeof setTimeout>=} */
  #watch;

  constructor(
    /** @type {string} */ chat,
    /** @type {number} */ heartbeatMs,
    /** @type {(event: StreamEvent) => void} */ emit,
  ) {
    this.#chat = chat;
    this.#heartbeatMs = heartbeatMs;
    this.#emit = emit;
  }

  /** @returns {Status} */
  get status() {
    const { retryMs } = this.#status;
    const left = retryMs && Math.max(0, retryMs - this.#statusAge());
    return { ...this.#status, retryMs: left, cursor: this.#cursor };
  }

  /**
   * Starts after a cursor, or with the latest messages. If already started, a tab has become
   * visible: no delay goes on, and one missed heartbeat is a loss.
   */
  start(/** @type {string=} */ cursor) {
    if (this.#watch) {
      if (!this.#source || this.#silence() > 1.2 * this.#heartbeatMs) this.#open();
      return;
    }
    this.#cursor = cursor;
    this.#failures = this.#heldBack = 0;
    // Not a timeout: those stand still while a computer sleeps.
    this.#watch = setInterval(() => this.#check(), Math.min(this.#heartbeatMs / 4, 2000));
    this.#open();
  }

  stop() {
    this.#close();
    clearInterval(this.#watch);
    this.#watch = undefined;
    this.#status = { type: "status", status: "waiting" };
  }

  /** While it may not, it asks for the history. */
  set mayStream(/** @type {boolean} */ mayStream) {
    if (mayStream === this.#mayStream) return;
    this.#mayStream = mayStream;
    if (this.#watch) this.#open();
  }

  /** The network has changed: whatever was open may be dead. */
  reconnect() {
    if (this.#watch && this.#status.status !== "connecting") this.#open();
  }

  #open() {
    this.#close();
    if (!this.#mayStream) return this.#poll();
    const { status } = this.#status;
    if (status !== "polling" && status !== "signed-out") this.#setStatus("connecting");
    this.#silence = startStopwatch();
    const query = this.#cursor ? `?since=${this.#cursor}` : "";
    const source = new EventSource(this.#chat + query);
    this.#source = source;
    /** @type {(name: string, handle: (data: any) => void) => void} */
    const on = (name, handle) => {
      source.addEventListener(name, ({ data, lastEventId }) => {
        this.#silence = startStopwatch();
        let value;
        try {
          value = JSON.parse(data);
        } catch {
          // SyntaxError: half an event. After the cursor it comes again.
          return this.#lose();
        }
        // Also of a block with no data, with the next event.
        this.#cursor = lastEventId || this.#cursor;
        handle(value);
      });
    };
    for (const name of ["message", "removed"]) {
      on(name, (entry) => this.#emit({ type: "entry", entry }));
    }
    on("gap", ({ missed }) => this.#emit({ type: "gap", missed }));
    on("ping", ({ heartbeat }) => {
      this.#silentHeartbeats = SILENT_HEARTBEATS;
      if (heartbeat > 0) this.#heartbeatMs = heartbeat * 1000;
    });
    on("online", (online) => {
      this.#failures = this.#heldBack = 0;
      this.#setStatus("live", { online });
    });
    source.addEventListener("error", () => this.#lose());
  }

  #check() {
    if (!this.#source) return;
    const isLive = this.#status.status === "live";
    const maxMs = this.#silentHeartbeats * this.#heartbeatMs;
    if (this.#silence() < (isLive ? maxMs : Math.min(maxMs, MAX_START_MS))) return;
    // A restarted server may have longer heartbeats, which a ping will tell.
    if (isLive) this.#silentHeartbeats *= 2;
    else this.#heldBack++;
    this.#lose();
  }

  #lose() {
    this.#close();
    // Not at once, if it was live: nor do the other readers of a server that went away.
    if (this.#status.status === "live") this.#wait("waiting");
    else this.#poll();
  }

  /** The stream does not come; the history may. */
  async #poll() {
    let isStale = false;
    this.#cancelWait = () => isStale = true;
    try {
      const { entries, missed, cursor } = await fetchMessages(this.#chat, { since: this.#cursor });
      if (isStale) return;
      if (missed !== 0) this.#emit({ type: "gap", missed });
      for (const entry of entries) this.#emit({ type: "entry", entry });
      this.#cursor = cursor;
    } catch (error) {
      const isSignedOut = /** @type {RequestError} */ (error).reason === "signed-out";
      if (!isStale) this.#wait(isSignedOut ? "signed-out" : "waiting");
      return;
    }
    if (this.#status.status !== "polling" && this.#mayStream) {
      // The server may only have been starting.
      if (this.#heldBack++ === 0) return this.#wait("waiting");
      this.#sinceTrial = startStopwatch();
    }
    this.#failures = 0;
    this.#setStatus("polling");
    const isTrial = this.#sinceTrial() > TRY_STREAM_MS;
    if (isTrial) this.#sinceTrial = startStopwatch();
    this.#after(POLL_MS, () => isTrial ? this.#open() : this.#poll());
  }

  #wait(/** @type {"waiting" | "signed-out"} */ status) {
    const maxMs = Math.min(FIRST_DELAY_MS * 2 ** this.#failures++, MAX_DELAY_MS);
    const retryMs = maxMs * (1 + Math.random()) / 2;
    this.#after(retryMs, () => this.#open());
    this.#setStatus(status, { retryMs });
  }

  #after(/** @type {number} */ ms, /** @type {() => void} */ act) {
    const timer = setTimeout(act, ms);
    this.#cancelWait = () => clearTimeout(timer);
  }

  #close() {
    this.#cancelWait();
    this.#source?.close();
    this.#source = undefined;
  }

  #setStatus(/** @type {Status["status"]} */ status, more = {}) {
    this.#status = { type: "status", status, ...more };
    this.#statusAge = startStopwatch();
    this.#emit(this.status);
  }
}

/** The connection to a room, open while a tab is there. */
class SharedConnection {
  /** @type {Set<MessagePort>} */
  #ports = new Set();
  #connection;

  constructor(/** @type {string} */ chat, /** @type {number} */ heartbeatMs) {
    this.#connection = new Connection(chat, heartbeatMs, (event) => {
      for (const each of this.#ports) each.postMessage(event);
    });
  }

  set mayStream(/** @type {boolean} */ mayStream) {
    this.#connection.mayStream = mayStream;
  }

  reconnect() {
    this.#connection.reconnect();
  }

  join(/** @type {MessagePort} */ port, /** @type {string=} */ cursor) {
    // Before the port is there: it must hear its reply first.
    this.#connection.start(cursor);
    this.#ports.add(port);
    port.postMessage({ ...this.#connection.status, joined: true });
  }

  has(/** @type {MessagePort} */ port) {
    return this.#ports.has(port);
  }

  /** Returns whether somebody is still there. */
  leave(/** @type {MessagePort} */ port) {
    this.#ports.delete(port);
    if (this.#ports.size > 0) return true;
    this.#connection.stop();
    return false;
  }
}

/** The connections to all rooms. Those to the rooms that were looked at last are streams. */
export class SharedConnections {
  /** By the address of the room's messages, that looked at last at the end. */
  /** @type {Map<string, SharedConnection>} */
  #rooms = new Map();
  #maxStreams = MAX_STREAMS;
  /** @type {string=} */
  #network;

  connect(/** @type {MessagePort} */ port) {
    let room = "";
    port.addEventListener("message", ({ data }) => {
      const request = /** @type {TabRequest} */ (data);
      if (request.type === "join" || request.type === "check") room = request.chat;
      this.#receive(port, room, request);
    });
    // When it crashes.
    port.addEventListener("close", () => this.#leave(port, room));
    port.start();
  }

  #receive(
    /** @type {MessagePort} */ port,
    /** @type {string} */ room,
    /** @type {TabRequest} */ request,
  ) {
    if (request.type === "check" && this.#rooms.get(room)?.has(port)) {
      port.postMessage({ type: "alive" });
    } else if (request.type === "join" || request.type === "check") {
      const connection = this.#rooms.get(room) ?? new SharedConnection(room, request.heartbeatMs);
      this.#rooms.delete(room);
      this.#rooms.set(room, connection);
      this.#maxStreams = request.isMultiplexed ? MAX_MULTIPLEXED_STREAMS : MAX_STREAMS;
      this.#share();
      connection.join(port, request.cursor);
    } else if (request.type === "leave") {
      this.#leave(port, room);
    } else if (request.type === "hide") {
      const connection = this.#rooms.get(room);
      if (connection) connection.mayStream = false;
    } else {
      // All tabs report the same change.
      if (request.type === this.#network) return;
      this.#network = request.type;
      for (const connection of this.#rooms.values()) connection.reconnect();
    }
  }

  #leave(/** @type {MessagePort} */ port, /** @type {string} */ room) {
    if (this.#rooms.get(room)?.leave(port) !== false) return;
    this.#rooms.delete(room);
    this.#share();
    if (this.#rooms.size === 0) this.#network = undefined;
  }

  #share() {
    let left = this.#rooms.size;
    for (const connection of this.#rooms.values()) {
      connection.mayStream = left-- <= this.#maxStreams;
    }
  }
}

// Tabs connect to nothing but the shared worker.
const shared = new SharedConnections();
addEventListener("connect", (event) => {
  shared.connect(/** @type {MessageEvent} */ (event).ports[0]);
});
