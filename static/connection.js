/**
 * One connection to each room for many tabs, in a shared worker or in a page that has none.
 */

/** @import { StreamEvent } from "./client.js" */
import { Connection } from "./client.js";

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

/** Over HTTP/1.1 a browser has six connections to a server. Some must be left for other requests. */
const MAX_STREAMS = 4;
/** Over HTTP/2 most servers take a hundred requests or more at a time. */
const MAX_MULTIPLEXED_STREAMS = 50;

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
