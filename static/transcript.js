// @ts-check
/// <reference lib="dom" />
/**
 * The conversation as it is seen: messages in log order, each once, and a view that moves only when
 * the reader moves it or is at the end. However long the page stays open it holds a bounded run of
 * messages; what is cut off at either end comes back when the reader scrolls there.
 */

/** @import { Entry } from "./entry.js" */
/** @import { ChatMessage } from "./message.js" */
/** @import { Outbox } from "./outbox.js" */
import { find, make } from "./dom.js";
import { fitEntry, makeEntry } from "./entry.js";
import { fetchMessages, PAGE_SIZE } from "./history.js";
import { compareIds } from "./message.js";

/** Messages in the page; to cut off many at once is as dear as one, since all others move. */
const MOST_ENTRIES = 1000;
const KEPT_ENTRIES = 900;
/** Messages drawn at a time, so that ten thousand at once do not stop the page. */
const MOST_DRAWN = 50;
const DRAW_INTERVAL_MS = 80;
/** So near the end the reader is at the end; so near the beginning, older messages are fetched. */
const END_PX = 48;
const BEGINNING_PX = 300;
/** Longer than drawing takes, for screen readers to see that it was busy. */
const BUSY_MS = 200;

export class Transcript {
  #log = find("[role=log]", HTMLElement);
  #list = find(".transcript", HTMLElement);
  #button = find(".newer", HTMLButtonElement);
  #outbox;
  /** In log order. @type {Entry[]} */
  #entries = [];
  /** Not drawn yet. @type {ChatMessage[]} */
  #queue = [];
  /** Not shown, since they may be those that are being sent. @type {Map<string, ChatMessage>} */
  #held = new Map();
  /** The ids of entries and queue. @type {Set<string>} */
  #ids = new Set();
  /** The highest id there has been, in the page or not. */
  #newestId = "0-0";
  #beginsHere = false;
  #atEnd = true;
  #unseen = 0;
  #isLoading = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #drawnAt = 0;
  /** The line before what is new. @type {{ id: string, element: HTMLElement } | undefined} */
  #mark;

  /** @param {Outbox} outbox Knows which messages are this browser's own. */
  constructor(outbox) {
    this.#outbox = outbox;
    this.#log.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#button.addEventListener("click", () => {
      this.showEnd();
      this.#log.focus();
    });
    // The box gets lower when a keyboard opens, what is in it higher when text is enlarged.
    const observer = new ResizeObserver(() => this.#atEnd && this.#scrollToEnd());
    for (const element of [this.#log, ...this.#log.children]) observer.observe(element);
    document.addEventListener("visibilitychange", () => this.#drawAll());
  }

  /**
   * Adds what is not there yet. New messages count for the button; those of the history do not.
   *
   * @param {readonly ChatMessage[]} messages
   * @param {boolean} isHistory
   */
  add(messages, isHistory) {
    if (isHistory && this.#ids.size === 0) this.#beginsHere = messages.length < PAGE_SIZE;
    const lastId = this.#isDetached ? this.#lastId : undefined;
    for (const message of messages) {
      const { id } = message;
      if (!this.#isMissing(message)) continue;
      const isNewest = compareIds(id, this.#newestId) > 0;
      if (isNewest) this.#newestId = id;
      if (isNewest && !isHistory && !this.#atEnd && !this.#outbox.isOwn(id)) this.#unseen++;
      // What is behind a part that was cut off comes back together with it.
      if (!lastId || compareIds(id, lastId) < 0) this.#enqueue(message);
    }
    this.#updateButton();
    // What was sent from here must not be nowhere for a moment, and a tab that nobody looks at draws
    // so seldom that what waits would grow without end.
    const isOwn = !isHistory && messages.some(({ id }) => this.#outbox.isOwn(id));
    if (isOwn || this.#queue.length > 2 * MOST_ENTRIES) this.#drawAll();
    else this.#scheduleDraw();
  }

  /** Whether a message has its place here, rather than in what older messages would bring. */
  covers(/** @type {string} */ id) {
    return this.#entries.length === 0 || compareIds(id, this.#entries[0].message.id) > 0;
  }

  /** Draws the line that says what is new, before that message. There is one such line at most. */
  mark(/** @type {string} */ id, /** @type {string} */ text) {
    this.#mark?.element.remove();
    this.#mark = { id, element: makeLine("mark", text) };
    const entry = this.#entries.find(({ message }) => message.id === id);
    if (entry) this.#keepView(() => this.#placeMark(entry));
  }

  /** Draws a line behind all that is there. */
  say(/** @type {string} */ text) {
    this.#drawAll();
    this.#keepView(() => this.#list.append(makeLine("gap", text)));
  }

  /** Whether messages are being loaded, so that they are not read out. */
  set isBusy(/** @type {boolean} */ isBusy) {
    if (isBusy) this.#log.ariaBusy = "true";
    // Once they are drawn, and a screen reader has seen them while busy.
    else setTimeout(() => this.#log.ariaBusy = String(this.#isLoading), BUSY_MS);
  }

  /** The outbox knows more: shows whose messages are whose, and what had been held. */
  update() {
    this.#entries.forEach((entry, index) => {
      entry.isOwn = this.#outbox.isOwn(entry.message.id);
      this.#fit(index);
    });
    const held = [...this.#held.values()];
    this.#held.clear();
    this.add(held, false);
  }

  /** Goes to the end of the conversation. */
  showEnd() {
    this.#atEnd = true;
    this.#unseen = 0;
    if (this.#isDetached) this.#load(async () => this.#startOver((await fetchMessages()).messages));
    this.#updateButton();
    this.#scrollToEnd();
  }

  get #lastId() {
    return this.#entries.at(-1)?.message.id ?? "0-0";
  }

  /** Whether the newest messages have been cut off. */
  get #isDetached() {
    return this.#queue.length === 0 && this.#entries.length > 0 && this.#lastId !== this.#newestId;
  }

  /** Whether a message is neither here nor held. */
  #isMissing(/** @type {ChatMessage} */ message) {
    if (this.#ids.has(message.id)) return false;
    if (!this.#outbox.expects(message)) return true;
    this.#held.set(message.id, message);
    return false;
  }

  #enqueue(/** @type {ChatMessage} */ message) {
    this.#ids.add(message.id);
    this.#queue.push(message);
  }

  /** At once, unless it has just drawn: each time costs a layout of the whole list. */
  #scheduleDraw() {
    if (this.#timer !== undefined || this.#queue.length === 0) return;
    const delay = Math.max(0, this.#drawnAt + DRAW_INTERVAL_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#draw(MOST_DRAWN);
      this.#scheduleDraw();
    }, delay);
  }

  #drawAll() {
    if (this.#queue.length > 0) this.#draw(this.#queue.length);
  }

  #draw(/** @type {number} */ most) {
    this.#drawnAt = performance.now();
    // What would be cut off at once is not drawn at all.
    if (this.#atEnd && this.#queue.length > MOST_ENTRIES) {
      const latest = this.#queue.slice(-KEPT_ENTRIES);
      this.#clear();
      latest.forEach((message) => this.#enqueue(message));
    }
    this.#keepView(() => {
      for (const message of this.#queue.splice(0, most)) this.#insert(message);
      this.#trim(this.#isNearBeginning);
    });
    this.#updateButton();
    if (this.#queue.length === 0) this.#loadMore();
  }

  #insert(/** @type {ChatMessage} */ message) {
    const { id } = message;
    const index = 1 +
      this.#entries.findLastIndex(({ message }) => compareIds(message.id, id) < 0);
    const entry = { message, element: makeEntry(message), isOwn: this.#outbox.isOwn(id) };
    const next = this.#entries[index];
    if (next) next.element.before(entry.element);
    else this.#list.append(entry.element);
    this.#entries.splice(index, 0, entry);
    this.#fit(index);
    if (next) this.#fit(index + 1);
    if (this.#mark?.id === id) this.#placeMark(entry);
  }

  #fit(/** @type {number} */ index) {
    fitEntry(this.#entries[index], this.#entries[index - 1]);
  }

  #placeMark(/** @type {{ element: HTMLElement }} */ entry) {
    if (this.#mark) entry.element.before(this.#mark.element);
  }

  /** Cuts off what is too much, at the end that the reader is farther from. */
  #trim(/** @type {boolean} */ isNearBeginning) {
    if (this.#entries.length <= MOST_ENTRIES) return;
    const cut = isNearBeginning
      ? this.#entries.splice(KEPT_ENTRIES)
      : this.#entries.splice(0, this.#entries.length - KEPT_ENTRIES);
    for (const { message } of cut) this.#ids.delete(message.id);
    const range = document.createRange();
    if (isNearBeginning) {
      // What is still to be drawn belongs behind what has just been cut off.
      for (const { id } of this.#queue.splice(0)) this.#ids.delete(id);
      range.setStartAfter(/** @type {Node} */ (this.#entries.at(-1)?.element));
      range.setEnd(this.#list, this.#list.childNodes.length);
    } else {
      range.setStart(this.#list, 0);
      range.setEndBefore(this.#entries[0].element);
      this.#beginsHere = false;
    }
    range.deleteContents();
    this.#fit(0);
  }

  get #isNearBeginning() {
    return !this.#atEnd && this.#log.scrollTop < this.#log.scrollHeight / 2;
  }

  /** Changes the list without moving what the reader sees; at the end, shows what is new. */
  #keepView(/** @type {() => void} */ change) {
    const anchor = this.#atEnd ? undefined : this.#firstInView();
    const top = anchor?.getBoundingClientRect().top ?? 0;
    change();
    if (this.#atEnd) this.#scrollToEnd();
    else if (anchor?.isConnected) this.#log.scrollTop += anchor.getBoundingClientRect().top - top;
  }

  /** The text of the topmost message in view: nothing that comes and goes is above it in its box. */
  #firstInView() {
    const { top } = this.#log.getBoundingClientRect();
    const entry = this.#entries.find(({ element }) => element.getBoundingClientRect().bottom > top);
    return entry?.element.querySelector(".text");
  }

  #scrollToEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  get #fromEnd() {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight;
  }

  #onScroll() {
    this.#atEnd = this.#fromEnd <= END_PX && !this.#isDetached;
    if (this.#atEnd) this.#unseen = 0;
    this.#updateButton();
    this.#loadMore();
  }

  /** Fetches what comes before or behind, if the reader is getting there. */
  #loadMore() {
    const first = this.#entries[0]?.message.id;
    if (this.#isLoading || !first) return;
    if (this.#log.scrollTop < BEGINNING_PX && !this.#beginsHere) {
      this.#load(async () => {
        const { messages } = await fetchMessages({ before: first });
        this.#insertPage(messages, true);
        this.#beginsHere = messages.length < PAGE_SIZE;
      });
    } else if (this.#isDetached && this.#fromEnd < BEGINNING_PX) {
      this.#load(async () => {
        const { messages } = await fetchMessages({ since: this.#lastId, most: PAGE_SIZE });
        this.#insertPage(messages, false);
      });
    }
  }

  /** @param {() => Promise<void>} load */
  async #load(load) {
    if (this.#isLoading) return;
    this.#isLoading = this.isBusy = true;
    try {
      await load();
    } catch {
      // TypeError: no server just now. To scroll on tries again.
    }
    this.#isLoading = this.isBusy = false;
  }

  #insertPage(/** @type {ChatMessage[]} */ messages, /** @type {boolean} */ isOlder) {
    const unknown = messages.filter((message) => this.#isMissing(message));
    this.#keepView(() => {
      for (const message of unknown) {
        this.#ids.add(message.id);
        this.#insert(message);
      }
      this.#trim(isOlder);
    });
    this.#updateButton();
  }

  #clear() {
    this.#entries = [];
    this.#ids.clear();
    this.#queue = [];
    this.#list.replaceChildren();
    this.#beginsHere = false;
  }

  #startOver(/** @type {ChatMessage[]} */ messages) {
    this.#clear();
    this.#atEnd = true;
    this.add(messages, true);
    this.#drawAll();
  }

  #updateButton() {
    this.#button.hidden = this.#unseen === 0 && !this.#isDetached;
    const s = this.#unseen === 1 ? "" : "s";
    this.#button.textContent = this.#unseen > 0
      ? `${this.#unseen} new message${s}`
      : "Newest messages";
  }
}

/**
 * @param {"mark" | "gap"} kind
 * @param {string} text
 */
function makeLine(kind, text) {
  const line = make("line-template");
  line.classList.add(kind);
  line.textContent = text;
  return line;
}
