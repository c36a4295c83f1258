/** What is under way: the connection, and messages that the server does not have. */

/** @import { Status } from "./client.js" */
/** @import { Outbox, Unsent } from "./outbox.js" */
import { startStopwatch } from "./client.js";
import { find, make, write } from "./page.js";
import { fillText, foldLong, momentWords, readEntry } from "./drawing.js";
import { continues } from "./message.js";

/** Its state is read out; the figures, which change all the time, are not. */
export class ConnectionView {
  #box = find(".connection", HTMLElement);
  #state = find(".state", HTMLElement);
  #detail = find(".detail", HTMLElement);
  #signIn = find(".sign-in", HTMLElement);
  /** @type {Status} */
  #status = { type: "status", status: "connecting" };
  #elapsed = startStopwatch();
  #wasLive = false;

  constructor() {
    const draw = () => this.#draw();
    addEventListener("online", draw);
    addEventListener("offline", draw);
    setInterval(() => this.#status.status === "waiting" && draw(), 1000);
  }

  update(/** @type {Status} */ status) {
    this.#status = status;
    this.#elapsed = startStopwatch();
    this.#wasLive ||= status.status === "live" || status.status === "polling";
    this.#draw();
  }

  #draw() {
    const { status, online, retryMs = 0 } = this.#status;
    const seconds = Math.max(1, Math.ceil((retryMs - this.#elapsed()) / 1000));
    const isConnected = status === "live" || status === "polling";
    // A server on this computer is there without a network.
    const isOffline = !isConnected && !navigator.onLine;
    const lost = this.#wasLive ? "Reconnecting" : "Connecting";
    const state = isOffline ? "offline" : status;
    const [words, detail] = {
      "connecting": [`${lost}…`, ""],
      "live": ["Live", `${online} online`],
      "polling": ["Delayed", "messages come late"],
      "waiting": [lost, `in ${seconds} s`],
      "offline": ["Offline", ""],
      "signed-out": ["Signed out", ""],
    }[state];
    this.#box.dataset.status = state;
    write(this.#state, words);
    write(this.#detail, detail);
    this.#signIn.hidden = state !== "signed-out";
  }
}

/** What is being sent, waits to be sent again, or waits for the person. */
export class OutboxView {
  #outbox;
  #list = find(".outbox", HTMLElement);
  #transcript = find(".transcript", HTMLElement);
  #news = find("#news", HTMLElement);
  /** @type {Map<string, HTMLElement>} */
  #elements = new Map();
  /** @type {ReturnType<typeof setTimeout>=} */
  #clock;
  #isConnected = true;

  constructor(/** @type {Outbox} */ outbox) {
    this.#outbox = outbox;
  }

  /** Without a connection every message waits, also one that is being tried. */
  set isConnected(/** @type {boolean} */ isConnected) {
    if (isConnected === this.#isConnected) return;
    this.#isConnected = isConnected;
    this.update();
  }

  update() {
    const { unsent } = this.#outbox;
    const keys = new Set(unsent.map(({ key }) => key));
    for (const [key, element] of this.#elements) {
      if (keys.has(key)) continue;
      element.remove();
      this.#elements.delete(key);
    }
    this.#showAll(unsent);
    clearInterval(this.#clock);
    if (unsent.some(({ isPaced }) => isPaced)) {
      this.#clock = setInterval(() => this.#showAll(this.#outbox.unsent), 1000);
    }
  }

  #showAll(/** @type {readonly Unsent[]} */ unsent) {
    const first = unsent.find(({ state }) => state !== "failed");
    let before = readEntry(this.#transcript.lastElementChild);
    for (const entry of unsent) {
      const element = this.#elements.get(entry.key) ?? this.#make(entry);
      // Grouped as it will be in the transcript, lest it move.
      const own = { ...entry, id: "", time: new Date().toISOString(), isOwn: true };
      element.classList.toggle("continued", before?.isOwn === true && continues(before, own));
      before = own;
      this.#show(element, entry, first);
    }
  }

  #show(
    /** @type {HTMLElement} */ element,
    /** @type {Unsent} */ entry,
    /** @type {Unsent=} */ first,
  ) {
    const isWaiting = first?.state === "waiting" || !this.#isConnected;
    const state = entry.state === "failed" ? "failed" : isWaiting ? "waiting" : "sending";
    const reason = this.#reason(entry, first);
    // Once, and not with every second that passes.
    if (element.dataset.state !== state && state !== "sending") this.#news.textContent = reason;
    element.dataset.state = state;
    write(find(".progress", HTMLElement, element), state === "sending" ? "Sending…" : "");
    write(find(".reason", HTMLElement, element), reason);
    find(".trouble", HTMLElement, element).hidden = state === "sending";
    find(".retry", HTMLElement, element).hidden = state === "waiting" &&
      (entry !== first || entry.isPaced === true);
  }

  #reason(/** @type {Unsent} */ entry, /** @type {Unsent=} */ first) {
    const { state, problem = "", mutedUntil } = entry;
    if (state === "failed") {
      const words = mutedUntil
        ? `A moderator has muted you until ${momentWords(new Date(mutedUntil))}.`
        : problem;
      return `Not sent. ${words}`;
    }
    if (entry.isPaced) {
      const seconds = Math.max(1, Math.ceil(this.#outbox.delayOf(entry) / 1000));
      return `${problem} Sending again in ${seconds} s.`;
    }
    if (first?.isPaced) return "Waiting for the one before";
    return first?.problem || "Waiting for the connection";
  }

  #make(/** @type {Unsent} */ { key, message }) {
    const element = make("unsent-template");
    fillText(find(".text", HTMLElement, element), message);
    const act = (/** @type {string} */ selector, /** @type {() => void} */ action) => {
      find(selector, HTMLElement, element).addEventListener("click", () => {
        action();
        // The button is gone.
        find("#message", HTMLElement).focus();
      });
    };
    act(".retry", () => this.#outbox.retry(key));
    act(".discard", () => this.#outbox.discard(key));
    this.#elements.set(key, element);
    this.#list.append(element);
    foldLong([element]);
    return element;
  }
}
