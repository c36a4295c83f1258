/**
 * Sends what was written: in order, one message at a time, from one tab at a time, until the server
 * has it or refuses it. Every try of a message has the same key, so that the server takes it once.
 */

/** @import { ChatMessage, RequestError } from "./client.js" */
import { makeKey, postDelay, postMessage, startStopwatch } from "./client.js";
import { CHAT, forget, keep, keysOf, LOG, onKeptElsewhere, recall, ROOM } from "./page.js";

/**
 * `waiting`: is sent after `delayMs`, or once the connection is back unless the server has set the
 * delay (`isPaced`). `failed`: waits for the person.
 *
 * @typedef {{
 *   key: string,
 *   nickname: string,
 *   message: string,
 *   writtenAt: number,
 *   log: string,
 *   state: "ready" | "sending" | "waiting" | "failed",
 *   tries: number,
 *   delayMs?: number,
 *   isPaced?: boolean,
 *   problem?: string,
 *   mutedUntil?: number,
 * }} Unsent
 */

/** Where tabs can't take turns, each has this long to send its own. */
const TURN_MS = 15_000;
/** After this the talk may have moved on: the person decides. */
const MAX_AGE_MS = 24 * 60 * 60_000;
/** As many as the page shows. */
const MAX_OWN = 1000;
/** Each has a key of its own, lest a tab overwrite another's. */
const PREFIX = "unsent ";

export class Outbox {
  #listener;
  #posts = new Posts(() => this.#changed(navigator.locks ? 0 : TURN_MS));
  /** Since the last try of each. @type {Map<string, { tries: number, elapsed: () => number }>} */
  #waits = new Map();
  /** The keys of what was written in this tab. @type {Set<string>} */
  #writtenHere = new Set();
  #isSending = false;
  /** @type {ReturnType<typeof setTimeout>=} */
  #timer;

  /**
   * @param {{
   *   onChange(): void,
   *   onSent(message: ChatMessage): void,
   *   onRemoved(): void,
   *   onRefused(unsent: Unsent, field: string, detail: string): void,
   * }} listener
   */
  constructor(listener) {
    this.#listener = listener;
    // What was just written is on its way before the page goes.
    addEventListener("pagehide", () => {
      // Everything may have been forgotten.
      this.#posts.refresh();
      if (this.#next?.state === "ready") this.#post(this.#next);
    });
    this.#schedule();
  }

  get unsent() {
    return this.#posts.unsent;
  }

  isOwn(/** @type {string} */ id) {
    return this.#posts.isOwn(id);
  }

  /** Whether it may be one that was sent and not answered: the next try will tell. */
  mayBeOwn(/** @type {ChatMessage} */ { nickname, message }) {
    return this.unsent.some((post) =>
      post.nickname === nickname && post.message === message && post.state !== "failed" &&
      (post.state === "sending" || post.tries > 0)
    );
  }

  /** Until it is sent again, in ms. */
  delayOf(/** @type {Unsent} */ { key, tries, state, delayMs = 0 }) {
    if (state !== "waiting") return 0;
    let wait = this.#waits.get(key);
    if (wait?.tries !== tries) {
      wait = { tries, elapsed: startStopwatch() };
      this.#waits.set(key, wait);
    }
    return Math.max(0, delayMs - wait.elapsed());
  }

  add(/** @type {{ nickname: string, message: string }} */ post) {
    const key = makeKey();
    this.#writtenHere.add(key);
    this.#posts.add({ key, ...post });
    this.#changed();
  }

  retry(/** @type {string} */ key) {
    this.#update(key, { state: "ready", writtenAt: Date.now(), log: LOG });
  }

  discard(/** @type {string} */ key) {
    this.#posts.remove(key);
    this.#changed();
  }

  /** The connection is back: what waited for it is sent. */
  retryNow() {
    for (const { key, state, isPaced } of this.unsent) {
      if (state === "waiting" && !isPaced) this.#update(key, { state: "ready" });
    }
  }

  #update(/** @type {string} */ key, /** @type {Partial<Unsent>} */ change) {
    this.#posts.update(key, change);
    this.#changed();
  }

  #changed(minDelay = 0) {
    this.#listener.onChange();
    this.#schedule(minDelay);
  }

  /** Those after the first wait for it, unless it waits for a person. */
  get #next() {
    return this.unsent.find(({ state }) => state !== "failed");
  }

  #schedule(minDelay = 0) {
    clearTimeout(this.#timer);
    const next = this.#next;
    if (!next || this.#isSending) return;
    this.#timer = setTimeout(() => this.#send(), Math.max(minDelay, this.delayOf(next)));
  }

  async #send() {
    this.#isSending = true;
    await takeTurns(async () => {
      // Another tab may have sent it.
      this.#posts.refresh();
      const next = this.#next;
      if (next && this.delayOf(next) === 0) await this.#post(next);
    });
    this.#isSending = false;
    this.#schedule();
  }

  async #post(/** @type {Unsent} */ post) {
    this.#update(post.key, { state: "sending" });
    let sent;
    try {
      sent = await postMessage(CHAT, post);
    } catch (error) {
      return this.#fail(post, /** @type {RequestError} */ (error));
    }
    this.#posts.remove(post.key, sent.id);
    this.#waits.delete(post.key);
    // In the transcript before it leaves the outbox.
    this.#listener.onSent(sent);
    this.#changed();
  }

  #fail(
    /** @type {Unsent} */ post,
    /** @type {RequestError} */ { message: detail, reason, field, retryAfterMs },
  ) {
    const { key, tries } = post;
    if (reason === "removed") {
      this.discard(key);
      return this.#listener.onRemoved();
    }
    if (reason === "refused") {
      const mutedUntil = retryAfterMs && Date.now() + retryAfterMs;
      this.#update(key, { state: "failed", problem: detail, mutedUntil });
      if (field && this.#writtenHere.has(key)) this.#listener.onRefused(post, field, detail);
      return;
    }
    const words = reason === "signed-out"
      ? "Sign in, and it will be sent."
      : "Waiting for the connection";
    this.#update(key, {
      state: "waiting",
      tries: tries + 1,
      delayMs: postDelay(tries, retryAfterMs),
      isPaced: retryAfterMs !== undefined,
      problem: reason === "signed-out" ? words : detail || words,
    });
  }
}

/**
 * Runs while no other tab does. Without locks (plain HTTP, blocked storage) others wait instead; should
 * two send the same message, its key makes that harmless.
 */
async function takeTurns(/** @type {() => Promise<void>} */ task) {
  let hasRun = false;
  try {
    await navigator.locks.request(ROOM, () => {
      hasRun = true;
      return task();
    });
  } catch (error) {
    // TypeError, SecurityError: there are no locks here.
    if (hasRun) throw error;
    await task();
  }
}

/** What was posted in all tabs: messages that may not have arrived, and the ids of the others. */
class Posts {
  /** By storage key, oldest first. @type {Map<string, Unsent>} */
  #unsent = new Map();
  /** @type {Set<string>} */
  #own = new Set();
  #lastAt = 0;

  /** @param {() => void} onChange Another tab has changed something. */
  constructor(onChange) {
    for (const key of [PREFIX, "own"]) {
      onKeptElsewhere(key, () => {
        this.refresh();
        onChange();
      });
    }
    this.refresh();
  }

  get unsent() {
    return [...this.#unsent.values()];
  }

  isOwn(/** @type {string} */ id) {
    return this.#own.has(id);
  }

  refresh() {
    for (const id of recall("own", isStrings) ?? []) this.#own.add(id);
    this.#unsent.clear();
    for (const storageKey of keysOf(PREFIX)) {
      const post = recall(storageKey, isUnsent);
      if (post) this.#unsent.set(storageKey, whileCurrent(post));
      else forget(storageKey);
      this.#lastAt = Math.max(this.#lastAt, parseInt(storageKey.slice(PREFIX.length)) || 0);
    }
  }

  add(/** @type {{ key: string, nickname: string, message: string }} */ post) {
    // In the order of writing, also if the clock is set back.
    this.#lastAt = Math.max(Date.now(), this.#lastAt + 1);
    const unsent = { ...post, writtenAt: Date.now(), log: LOG, state: "ready", tries: 0 };
    keep(`${PREFIX}${this.#lastAt} ${post.key}`, unsent);
    this.refresh();
  }

  update(/** @type {string} */ key, /** @type {Partial<Unsent>} */ change) {
    const [storageKey, post] = this.#find(key);
    if (storageKey) keep(storageKey, { ...post, ...change });
    this.refresh();
  }

  /** The id is what it became, if it was sent. */
  remove(/** @type {string} */ key, id = "") {
    // Another tab may have added ids.
    this.refresh();
    if (id) keep("own", [...this.#own.add(id)].slice(-MAX_OWN));
    const [storageKey] = this.#find(key);
    if (storageKey) forget(storageKey);
    this.refresh();
  }

  #find(/** @type {string} */ key) {
    return [...this.#unsent].find(([, post]) => post.key === key) ?? [];
  }
}

/** An old message, or one for another log, is not sent unasked. @returns {Unsent} */
function whileCurrent(/** @type {Unsent} */ post) {
  const isOld = Date.now() - post.writtenAt > MAX_AGE_MS;
  if (post.state === "failed" || (post.log === LOG && !isOld)) return post;
  const problem = isOld
    ? "Written more than a day ago."
    : "Written for an earlier chat at this address.";
  return { ...post, state: "failed", problem };
}

/** @type {(value: any) => value is Unsent} */
function isUnsent(value) {
  return isStrings(["key", "nickname", "message", "log"].map((name) => value?.[name])) &&
    ["ready", "sending", "waiting", "failed"].includes(value.state) &&
    [value.writtenAt, value.tries, value.delayMs ?? 0, value.mutedUntil ?? 0].every(
      Number.isFinite,
    ) &&
    typeof (value.problem ?? "") === "string";
}

/** @type {(value: any) => value is string[]} */
function isStrings(value) {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
