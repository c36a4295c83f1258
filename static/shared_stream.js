// @ts-check
/// <reference lib="dom" />
/**
 * One connection for many tabs: what it brings goes to every port that has joined. It is open while
 * anybody is there. Lives in the shared worker, or in a page that has to do without one.
 */

import { Connection } from "./connection.js";

/**
 * What a tab says. To join is answered with the status; its cursor tells the tab whether it has to
 * catch up, and everything behind that cursor follows.
 *
 * @typedef {{ type: "join", heartbeatMs: number, cursor?: string }
 *   | { type: "leave" | "online" | "offline" }
 * } TabRequest
 */

export class SharedStream {
  /** @type {Set<MessagePort>} */
  #ports = new Set();
  /** @type {Connection | undefined} */
  #connection;
  /** What was last said of the network. @type {string | undefined} */
  #network;

  /** @param {MessagePort} port */
  connect(port) {
    port.addEventListener("message", ({ data }) => this.#answer(port, data));
    // A tab says when it leaves; if it crashes, the browser says so here.
    port.addEventListener("close", () => this.#leave(port));
    port.start();
  }

  /**
   * @param {MessagePort} port
   * @param {TabRequest} request
   */
  #answer(port, request) {
    if (request.type === "leave") return this.#leave(port);
    if (request.type !== "join") {
      // All tabs tell of a change of the network, one after the other.
      if (request.type !== this.#network) this.#connection?.reconnect();
      this.#network = request.type;
      return;
    }
    this.#connection ??= new Connection(request.heartbeatMs, (event) => {
      for (const each of this.#ports) each.postMessage(event);
    });
    // Before the port is there: the status must be the first it hears, for its cursor.
    this.#connection.start(request.cursor);
    this.#ports.add(port);
    port.postMessage({ ...this.#connection.status, joined: true });
  }

  /** @param {MessagePort} port */
  #leave(port) {
    this.#ports.delete(port);
    if (this.#ports.size > 0) return;
    this.#connection?.stop();
    // Changes from here on are told by nobody.
    this.#network = undefined;
  }
}
