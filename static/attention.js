// @ts-check
/// <reference lib="dom" />
/**
 * What tells somebody who is elsewhere that something was said: the count in the title, and, once
 * asked for with a click, a notification and a quiet sound.
 */

/** @import { ChatMessage } from "./message.js" */
import { find } from "./dom.js";

const SOUND = { hertz: 660, volume: 0.06, seconds: 0.25 };

export class Attention {
  #title = document.title;
  #unread = 0;
  #toggle = find(".notify", HTMLButtonElement);
  /** @type {AudioContext | undefined} */
  #audio;

  constructor() {
    this.#toggle.hidden = false;
    this.#toggle.addEventListener("click", () => this.#switch());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#count(0);
    });
  }

  /** How many messages came while nobody looked. */
  get unread() {
    return this.#unread;
  }

  /** @param {ChatMessage} message Of somebody else, while the page is hidden. */
  call(message) {
    this.#count(this.#unread + 1);
    if (this.#audio) this.#notify(message, this.#audio);
  }

  /** @param {number} unread */
  #count(unread) {
    this.#unread = unread;
    document.title = unread > 0 ? `(${unread}) ${this.#title}` : this.#title;
  }

  #switch() {
    if (this.#audio) this.#audio.close();
    this.#audio = this.#audio ? undefined : new AudioContext();
    this.#toggle.ariaPressed = String(this.#audio !== undefined);
    // There is none on plain HTTP, but for localhost; the sound is then all.
    if (this.#audio && "Notification" in globalThis) Notification.requestPermission();
  }

  /**
   * @param {ChatMessage} message
   * @param {AudioContext} audio
   */
  #notify({ nickname, message }, audio) {
    const { hertz, volume, seconds } = SOUND;
    const tone = new OscillatorNode(audio, { frequency: hertz });
    const gain = new GainNode(audio, { gain: volume });
    gain.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + seconds);
    tone.connect(gain).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + seconds);
    if (!("Notification" in globalThis) || Notification.permission !== "granted") return;
    try {
      // One tag: a busy chat replaces its notification, and twenty tabs show one.
      const notification = new Notification(nickname, { body: message, tag: "chat", silent: true });
      notification.addEventListener("click", () => focus());
    } catch {
      // TypeError: on phones only service workers may show one.
    }
  }
}
