/**
 * Whether somebody follows the conversation, and what came while nobody did: a count in the title and a
 * bell while they are elsewhere, and a line once they are back.
 */

/** @import { ChatMessage, Removal } from "./client.js" */
/** @import { Transcript } from "./transcript.js" */
import { compareIds } from "./message.js";
import { find, keep, onKeptElsewhere, recall, ROOM, write } from "./page.js";

/** @typedef {{ tab: number, isAway: boolean, unread: number }} Front */

/** Counted no further. */
const MAX_MISSED = 100_000;

export class Attention {
  #title = document.title;
  #news = find("#news", HTMLElement);
  #bell = new BellSwitch();
  #tabs;
  #transcript;
  #isConnected = true;
  #wasAway = true;
  /** The ids of what was missed, in log order. @type {Set<string>} */
  #missed = new Set();

  constructor(/** @type {Tabs} */ tabs, /** @type {Transcript} */ transcript) {
    this.#tabs = tabs;
    this.#transcript = transcript;
    addEventListener("pagehide", () => this.look());
  }

  set isConnected(/** @type {boolean} */ isConnected) {
    this.#isConnected = isConnected;
    this.look();
  }

  look() {
    const { unread, isAway } = this.#tabs;
    document.title = unread > 0 ? `(${unread}) ${this.#title}` : this.#title;
    if (unread === 0) this.#bell.with(({ hush }) => hush());
    // For the list of rooms: up to here it has been seen.
    if (!this.#wasAway || !isAway) keep("seen", { id: this.#transcript.newestId, at: Date.now() });
    this.#wasAway = isAway;
    if (isAway || !this.#isConnected || this.#missed.size === 0) return;
    this.#news.textContent = this.#words;
    this.#missed.clear();
  }

  /** Takes new messages of others. */
  receive(/** @type {ChatMessage[]} */ messages) {
    const last = messages.at(-1);
    if (!last || (this.#isConnected && !this.#tabs.isAway)) return;
    const [first = "0-0"] = this.#missed;
    for (const { id } of messages) if (this.#missed.size < MAX_MISSED) this.#missed.add(id);
    if (compareIds(messages[0].id, first) < 0) {
      this.#missed = new Set([...this.#missed].sort(compareIds));
    }
    this.#mark();
    if (!this.#tabs.isAway || !this.#tabs.isFront) return;
    this.#tabs.count(messages.length);
    this.#bell.with(({ ring }) => ring(last));
  }

  /** What is removed has not been missed. */
  remove(/** @type {readonly Removal[]} */ removals) {
    const { size } = this.#missed;
    for (const removal of removals) {
      const { id, removes } = removal;
      this.#bell.with(({ withdraw }) => withdraw(removal));
      if (removes !== "all") this.#missed.delete(removes);
      else for (const each of this.#missed) if (compareIds(each, id) < 0) this.#missed.delete(each);
    }
    const removed = size - this.#missed.size;
    if (removed === 0) return;
    this.#mark();
    if (this.#tabs.isFront) this.#tabs.count(-Math.min(removed, this.#tabs.unread));
  }

  #mark() {
    const [first] = this.#missed;
    if (first) this.#transcript.mark(first, this.#words);
    else this.#transcript.unmark();
  }

  get #words() {
    const { size } = this.#missed;
    return `${size.toLocaleString()} ${size === 1 ? "message" : "messages"} while you were away`;
  }
}

/** Whoever wants no bell does not load it. */
class BellSwitch {
  #button = find(".notify", HTMLButtonElement);

  constructor() {
    this.#button.hidden = false;
    this.#button.addEventListener("click", () => this.#switch());
    onKeptElsewhere("notify", () => this.#draw());
    this.#draw();
  }

  get #isOn() {
    return recall("notify", (value) => value === true) ?? false;
  }

  async with(/** @type {(bell: typeof import("./bell.js")) => unknown} */ act) {
    if (this.#isOn) await act(await import("./bell.js"));
  }

  async #switch() {
    if (this.#isOn) this.with(({ hush }) => hush());
    keep("notify", !this.#isOn);
    this.#draw();
    await this.with(({ askFor }) => askFor());
    this.#draw();
  }

  #draw() {
    const isOn = this.#isOn;
    const permission = "Notification" in globalThis ? Notification.permission : "denied";
    const canNotify = isOn ? permission === "granted" : permission !== "denied";
    write(this.#button, canNotify ? "Notify" : "Sound");
    this.#button.title = canNotify
      ? "When you are elsewhere, with a quiet sound"
      : "When you are elsewhere; notifications are not allowed here";
    this.#button.setAttribute("aria-pressed", String(isOn));
    this.with(() => {});
  }
}

/**
 * Which of the browser's tabs was looked at last, whether it still is, and how many messages have come
 * since. This front tab alone counts and rings. Without channels each tab is one.
 */
export class Tabs {
  #tab = Math.random();
  /** @type {Front} */
  #front = { tab: this.#tab, isAway: this.#isAway, unread: 0 };
  /** @type {BroadcastChannel=} */
  #channel;
  #onChange = () => {};

  start(/** @type {() => void} */ onChange) {
    this.#onChange = onChange;
    for (const type of ["focus", "blur"]) addEventListener(type, () => this.#look());
    document.addEventListener("visibilitychange", () => this.#look());
    // A page with an open channel may not be kept for going back.
    addEventListener("pagehide", () => this.#leave());
    addEventListener("pageshow", ({ persisted }) => persisted && this.#enter());
    this.#enter();
  }

  /** Whether nobody looks at any tab. */
  get isAway() {
    return this.#front.isAway;
  }

  get isFront() {
    return this.#front.tab === this.#tab;
  }

  get unread() {
    return this.#front.unread;
  }

  count(/** @type {number} */ messages) {
    this.#announce(this.unread + messages);
  }

  get #isAway() {
    return document.hidden || !document.hasFocus();
  }

  #enter() {
    try {
      this.#channel = new BroadcastChannel(ROOM);
    } catch {
      // ReferenceError, SecurityError: there are none here.
      return this.#onChange();
    }
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    if (!this.#isAway) return this.#announce(0);
    // There may be a front tab.
    this.#channel.postMessage("who?");
    this.#onChange();
  }

  #leave() {
    if (this.isFront) this.#channel?.postMessage("gone");
    this.#channel?.close();
    this.#channel = undefined;
  }

  #look() {
    if (!this.#isAway) this.#announce(0);
    else if (this.isFront) this.#announce(this.unread);
    else this.#onChange();
  }

  #announce(/** @type {number} */ unread) {
    this.#front = { tab: this.#tab, isAway: this.#isAway, unread };
    this.#channel?.postMessage(this.#front);
    this.#onChange();
  }

  #hear(/** @type {Front | "who?" | "gone"} */ said) {
    if (said === "who?") {
      if (this.isFront) this.#announce(this.unread);
    } else if (said === "gone") {
      this.#announce(this.unread);
    } else if ((this.isFront || (said.isAway && !this.#isAway)) && this.#outranks(said)) {
      this.#announce(this.#isAway ? Math.max(this.unread, said.unread) : 0);
    } else {
      this.#front = said;
      this.#onChange();
    }
  }

  /** Any order that all tabs agree on. */
  #outranks(/** @type {Front} */ { tab, isAway }) {
    return this.#isAway === isAway ? this.#tab > tab : isAway;
  }
}
