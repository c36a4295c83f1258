// @ts-check
/// <reference lib="dom" />
/**
 * What was written and is not known to have arrived. It is kept by the browser until the server has
 * it, and goes out in order, one at a time, from one tab at a time; every try of a message has the
 * same key, so that the server takes it once.
 */

/** @import { ChatMessage } from "./message.js" */
import { forget, keep, keysOf, onKeptElsewhere, recall } from "./store.js";

/**
 * @typedef {{
 *   place: string,
 *   key: string,
 *   nickname: string,
 *   message: string,
 *   state: "ready" | "sending" | "waiting" | "failed",
 *   tries: number,
 *   notBefore?: number,
 *   isPaced?: boolean,
 *   problem?: string,
 * }} Unsent It is kept at its `place`, which sorts by the time of writing. `waiting` goes out by itself after `notBefore`, unless it `isPaced` by the server even
 * earlier when the connection is back; `failed` waits for a person.
 *
 * @typedef {{
 *   onChange(): void,
 *   onSent(message: ChatMessage): void,
 *   onRefused(unsent: Unsent, field: string, detail: string): void,
 * }} OutboxListener
 */

/** A server that has not answered by then may or may not have it. */
const ANSWER_MS = 15_000;
const FIRST_DELAY_MS = 2000;
const LONGEST_DELAY_MS = 30_000;
/** Ids of own messages that are remembered: as many as the page shows. */
const MOST_OWN = 1000;
/** Every message has a place of its own, so that no tab writes over what another has written. */
const PLACES = "outbox.";

export class Outbox {
  #listener;
  #isSending = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Set<string>} */
  #own = new Set(recall("own"));
  /** The keys of what was written in this tab. @type {Set<string>} */
  #writtenHere = new Set();
  #writtenAt = 0;

  /** @param {OutboxListener} listener */
  constructor(listener) {
    this.#listener = listener;
    onKeptElsewhere([PLACES, "own"], () => {
      for (const id of recall("own") ?? []) this.#own.add(id);
      this.#changed(navigator.locks ? 0 : ANSWER_MS);
    });
    this.#schedule();
  }

  /** @returns {readonly Unsent[]} */
  get entries() {
    // Another tab may have sent one since the places were asked for.
    return keysOf(PLACES).flatMap((place) => recall(place) ?? []);
  }

  /** Whether this browser sent the message with that id. */
  isOwn(/** @type {string} */ id) {
    return this.#own.has(id);
  }

  /** Whether this may be the message that is being sent: its answer will tell. */
  expects(/** @type {ChatMessage} */ { nickname, message }) {
    return this.entries.some((entry) =>
      entry.state === "sending" && entry.nickname === nickname && entry.message === message
    );
  }

  /** @param {{ nickname: string, message: string }} post */
  add({ nickname, message }) {
    const random = crypto.getRandomValues(new Uint8Array(16));
    const key = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.#writtenHere.add(key);
    this.#writtenAt = Math.max(Date.now(), this.#writtenAt + 1);
    const place = `${PLACES}${this.#writtenAt}.${key}`;
    this.#write({ place, key, nickname, message, state: "ready", tries: 0 });
  }

  retry(/** @type {string} */ key) {
    this.#update(key, { state: "ready", notBefore: undefined });
  }

  discard(/** @type {string} */ key) {
    this.#forget(key);
    this.#changed();
  }

  /** The connection is back: what waited for it goes out. */
  hurry() {
    for (const { key, state, isPaced } of this.entries) {
      if (state === "waiting" && !isPaced) this.#update(key, { notBefore: undefined });
    }
  }

  /** @param {Unsent} entry */
  #write(entry) {
    keep(entry.place, entry);
    this.#changed();
  }

  /** @param {string} key */
  #find(key) {
    return this.entries.find((entry) => entry.key === key);
  }

  /** @param {string} key */
  #forget(key) {
    const entry = this.#find(key);
    if (entry) forget(entry.place);
  }

  /**
   * @param {string} key
   * @param {Partial<Unsent>} change
   */
  #update(key, change) {
    const entry = this.#find(key);
    if (entry) this.#write({ ...entry, ...change });
  }

  #changed(delay = 0) {
    this.#listener.onChange();
    this.#schedule(delay);
  }

  /** The first that does not wait for a person; those behind it wait for it. */
  get #next() {
    return this.entries.find(({ state }) => state !== "failed");
  }

  /** @param {number} least Milliseconds that another tab has to send it. */
  #schedule(least = 0) {
    clearTimeout(this.#timer);
    const next = this.#next;
    if (!next || this.#isSending) return;
    const delay = Math.max(least, (next.notBefore ?? 0) - Date.now());
    this.#timer = setTimeout(() => this.#send(), delay);
  }

  async #send() {
    this.#isSending = true;
    try {
      await alone(async () => {
        const next = this.#next;
        // While this tab waited for its turn another may have sent it.
        if (next && (next.notBefore ?? 0) <= Date.now()) await this.#post(next);
      });
    } finally {
      this.#isSending = false;
      this.#schedule();
    }
  }

  /** @param {Unsent} entry */
  async #post(entry) {
    const { key, nickname, message } = entry;
    this.#update(key, { state: "sending" });
    try {
      const response = await fetch("/chat", {
        method: "POST",
        headers: { accept: "application/json" },
        body: new URLSearchParams({ nickname, message, key }),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (response.ok) this.#sent(key, await response.json());
      else await this.#refused(entry, response);
    } catch {
      // TypeError: no connection. TimeoutError: no answer. SyntaxError: half an answer.
      this.#wait(entry, "Goes out when the connection is back.", {
        seconds: Math.min(FIRST_DELAY_MS * 2 ** entry.tries, LONGEST_DELAY_MS) / 1000,
        isPaced: false,
      });
    }
  }

  /**
   * @param {string} key
   * @param {ChatMessage} message
   */
  #sent(key, message) {
    this.#own.add(message.id);
    keep("own", [...this.#own].slice(-MOST_OWN));
    // Shown in the transcript before it is gone from the outbox's view.
    this.#forget(key);
    this.#listener.onSent(message);
    this.#changed();
  }

  /**
   * @param {Unsent} entry
   * @param {Response} response
   */
  async #refused(entry, response) {
    /** @type {{ detail?: string, field?: string }} */
    const { detail = `The server answered ${response.status}.`, field } = await response.json()
      .catch(() => ({}));
    const seconds = Number(response.headers.get("retry-after"));
    if (seconds > 0) return this.#wait(entry, detail, { seconds, isPaced: true });
    this.#update(entry.key, { state: "failed", problem: detail });
    if (field && this.#writtenHere.has(entry.key)) this.#listener.onRefused(entry, field, detail);
  }

  /**
   * @param {Unsent} entry
   * @param {string} problem
   * @param {{ seconds: number, isPaced: boolean }} pace
   */
  #wait({ key, tries }, problem, { seconds, isPaced }) {
    const notBefore = Date.now() + seconds * 1000;
    this.#update(key, { state: "waiting", tries: tries + 1, notBefore, problem, isPaced });
  }
}

/**
 * Runs while no other tab does. Where there are no locks (plain HTTP, but for localhost) others
 * wait a while instead; should two send the same message, its key makes that harmless.
 *
 * @param {() => Promise<void>} task
 */
function alone(task) {
  return navigator.locks ? navigator.locks.request("chat.outbox", task) : task();
}
