/**
 * Whether somebody follows the conversation, and what came while nobody did: a count in the title and a
 * bell while they are elsewhere, and a line once they are back.
 */

/** @import { ChatMessage } from "./message.js" */
/** @import { Transcript } from "./transcript.js" */
import { compareIds } from "./message.js";
import { find, keep, onKeptElsewhere, recall, ROOM, write } from "./page.js";

/** @typedef {{ tab: number, isAway: boolean, unread: number }} Front */

const TONE = { hertz: 660, volume: 0.06, seconds: 0.25 };
const PAUSE_MS = 2000;

export class Attention {
  #title = document.title;
  #news = find("#news", HTMLElement);
  #bell = new Bell();
  #tabs;
  #transcript;
  #isConnected = true;
  #wasAway = true;
  /** The first that was missed. @type {string=} */
  #firstId;
  #missed = 0;

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
    if (unread === 0) this.#bell.hush();
    // For the list of rooms: up to here it has been seen.
    if (!this.#wasAway || !isAway) keep("seen", { id: this.#transcript.newestId, at: Date.now() });
    this.#wasAway = isAway;
    if (isAway || !this.#isConnected || this.#missed === 0) return;
    this.#news.textContent = this.#words;
    this.#missed = 0;
    this.#firstId = undefined;
  }

  /** Takes new messages of others. */
  receive(/** @type {ChatMessage[]} */ messages) {
    const last = messages.at(-1);
    if (!last || (this.#isConnected && !this.#tabs.isAway)) return;
    const [{ id }] = messages;
    if (!this.#firstId || compareIds(id, this.#firstId) < 0) this.#firstId = id;
    this.#missed += messages.length;
    this.#transcript.mark(this.#firstId, this.#words);
    if (!this.#tabs.isAway || !this.#tabs.isFront) return;
    this.#tabs.count(messages.length);
    this.#bell.ring(last);
  }

  get #words() {
    const messages = this.#missed === 1 ? "message" : "messages";
    return `${this.#missed.toLocaleString()} ${messages} while you were away`;
  }
}

/**
 * A quiet sound and a notification, once asked for. Where notifications are not allowed, as over plain
 * HTTP, the button says so.
 */
class Bell {
  #toggle = find(".notify", HTMLButtonElement);
  /** @type {AudioContext=} */
  #audio;
  /** @type {Notification=} */
  #notification;
  /** @type {ChatMessage=} */
  #latest;
  /** @type {ReturnType<typeof setTimeout>=} */
  #pause;

  constructor() {
    this.#toggle.hidden = false;
    this.#toggle.addEventListener("click", () => this.#switch());
    onKeptElsewhere("notify", () => this.#draw());
    this.#draw();
    // A page plays nothing before it has been touched.
    const unlock = () => this.#isOn && this.#openAudio();
    for (const type of ["pointerdown", "keydown"]) addEventListener(type, unlock);
    addEventListener("pagehide", () => this.hush());
  }

  get #isOn() {
    return recall("notify", (value) => value === true) ?? false;
  }

  ring(/** @type {ChatMessage} */ message) {
    if (!this.#isOn) return;
    this.#latest = message;
    if (this.#pause) return;
    this.#playTone();
    this.#notify(message);
    // In a busy chat it rings no more often, and then shows the last.
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      if (this.#latest && this.#latest !== message) this.#notify(this.#latest);
    }, PAUSE_MS);
  }

  hush() {
    this.#latest = undefined;
    this.#notification?.close();
    this.#notification = undefined;
  }

  async #switch() {
    keep("notify", !this.#isOn);
    this.#draw();
    if (!this.#isOn) return this.hush();
    this.#openAudio();
    try {
      await Notification.requestPermission();
    } catch {
      // ReferenceError, TypeError: there are no notifications here.
    }
    this.#draw();
  }

  #draw() {
    const isOn = this.#isOn;
    const permission = "Notification" in globalThis ? Notification.permission : "denied";
    const canNotify = isOn ? permission === "granted" : permission !== "denied";
    write(this.#toggle, canNotify ? "Notify" : "Sound");
    this.#toggle.title = canNotify
      ? "When you are elsewhere, with a quiet sound"
      : "When you are elsewhere; notifications are not allowed here";
    this.#toggle.setAttribute("aria-pressed", String(isOn));
  }

  #openAudio() {
    try {
      this.#audio ??= new AudioContext();
      this.#audio.resume();
    } catch {
      // ReferenceError, NotSupportedError: there is no sound here.
    }
  }

  #playTone() {
    if (!this.#audio) return;
    const { hertz, volume, seconds } = TONE;
    const { currentTime, destination } = this.#audio;
    const tone = new OscillatorNode(this.#audio, { frequency: hertz });
    const gain = new GainNode(this.#audio, { gain: volume });
    gain.gain.exponentialRampToValueAtTime(0.0001, currentTime + seconds);
    tone.connect(gain).connect(destination);
    tone.start();
    tone.stop(currentTime + seconds);
  }

  #notify(/** @type {ChatMessage} */ { nickname, message }) {
    try {
      // One tag: a busy chat replaces its notification.
      this.#notification = new Notification(nickname, { body: message, tag: ROOM, silent: true });
      this.#notification.addEventListener("click", () => focus());
    } catch {
      // ReferenceError: there are none here. TypeError: on phones only service workers may show one.
    }
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
