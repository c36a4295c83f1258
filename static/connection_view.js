// @ts-check
/// <reference lib="dom" />
/**
 * The one line about the connection. The state is read out when it changes; the figures behind it,
 * which change all the time, are not.
 */

/** @import { Status } from "./connection.js" */
import { find } from "./dom.js";

export class ConnectionView {
  #box = find(".connection", HTMLElement);
  #state = find(".state", HTMLElement);
  #detail = find(".detail", HTMLElement);
  /** @type {Status} */
  #status = { type: "status", status: "connecting" };
  #wasLive = false;

  constructor() {
    const draw = () => this.#draw();
    addEventListener("online", draw);
    addEventListener("offline", draw);
    setInterval(() => this.#status.status === "waiting" && draw(), 1000);
  }

  /** @param {Status} status */
  update(status) {
    this.#status = status;
    this.#wasLive ||= status.status === "live";
    this.#draw();
  }

  #draw() {
    const { status, online, retryAt = 0 } = this.#status;
    const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
    // Only a hint: a server on this computer is there without a network.
    const isOffline = status !== "live" && !navigator.onLine;
    const lost = this.#wasLive ? "Reconnecting" : "Connecting";
    /** @type {[state: string, words: string, detail: string]} */
    const [state, words, detail] = status === "live"
      ? ["live", "Live", `${online} online`]
      : isOffline
      ? ["offline", "Offline", ""]
      : status === "waiting"
      ? ["waiting", lost, `in ${seconds} s`]
      : ["connecting", `${lost}…`, ""];
    this.#box.dataset.status = state;
    if (this.#state.textContent !== words) this.#state.textContent = words;
    this.#detail.textContent = detail;
  }
}
