/**
 * Which messages are shown: in log order, each once, a bounded run without a hole. How they are looked
 * at, fetched and drawn is up to others.
 */

/** @import { Entry } from "./drawing.js" */
/** @import { ChatMessage, Removal } from "./client.js" */
/** @import { Outbox } from "./outbox.js" */
import { find } from "./page.js";
import { DrawQueue, fitEntry, foldLong, makeEntry, Notices, watchFolds } from "./drawing.js";
import { compareIds } from "./message.js";
import { PAGE_SIZE } from "./client.js";
import { Paging, Viewport } from "./viewport.js";

/** Messages in the page. To remove many costs no more than to remove one: all others move. */
const MAX_ENTRIES = 1000;
const KEPT_ENTRIES = 900;
/** Ids that are remembered, of each kind. */
const MAX_IDS = 20_000;
/** Longer than drawing takes, so that screen readers notice. */
const BUSY_MS = 200;

export class Transcript {
  #log = find("[role=log]", HTMLElement);
  #list = find(".transcript", HTMLElement);
  #button = find(".newer", HTMLButtonElement);
  #outbox;
  /** In log order. @type {Entry[]} */
  #entries = [];
  /** Of what is shown or will be drawn. @type {Set<string>} */
  #ids = new Set();
  /** Not shown, since they may be own ones. @type {Map<string, ChatMessage>} */
  #held = new Map();
  /** Messages that are removed. @type {Set<string>} */
  #removed = new Set();
  /** All before it are removed. */
  #clearedId = "0-0";
  /** Whether newer messages are cut off. */
  #isCut = false;
  /** The highest id there has been, in the page or not. */
  #newestId = "0-0";
  /** New messages below the view. @type {Set<string>} */
  #below = new Set();
  /** What has come since the latest messages were asked for. @type {ChatMessage[]=} */
  #meanwhile;
  #isWaiting = true;
  #queue = new DrawQueue((messages) => this.#draw(messages));
  #notices = new Notices(this.#list);
  #viewport = new Viewport(this);
  #paging = new Paging(this, this.#viewport);

  constructor(/** @type {Outbox} */ outbox) {
    this.#outbox = outbox;
    this.#button.addEventListener("click", () => {
      this.showEnd();
      this.#log.focus();
    });
    document.addEventListener("visibilitychange", () => this.#queue.flush());
    watchFolds(this.#log, this.#viewport);
  }

  get elements() {
    return this.#entries.map(({ element }) => element);
  }

  /** Whether nothing is shown or will be drawn. */
  get isEmpty() {
    return this.#ids.size === 0;
  }

  get firstId() {
    return this.#entries[0]?.message.id;
  }

  get newestId() {
    return this.#newestId;
  }

  get lastId() {
    return this.#entries.at(-1)?.message.id;
  }

  /** Whether the newest messages are shown. */
  get endsHere() {
    return !this.#isCut;
  }

  /**
   * Adds what is not there yet and returns it. History does not count for the button.
   *
   * @param {readonly ChatMessage[]} messages
   * @param {boolean} isHistory
   * @param {number | null} missed How many before them are lost, null if unknown.
   */
  add(messages, isHistory, missed = 0) {
    if (isHistory && this.#ids.size === 0) this.#paging.beginsHere = messages.length < PAGE_SIZE;
    const lastId = this.endsHere ? undefined : this.lastId;
    const added = messages.filter((message) => this.#isMissing(message));
    this.#meanwhile?.push(...added);
    for (const { id } of added) {
      if (compareIds(id, this.#newestId) <= 0) continue;
      this.#newestId = id;
      const isNews = !isHistory && !this.#viewport.isAtEnd && !this.#outbox.isOwn(id);
      if (isNews && this.#below.size < MAX_IDS) this.#below.add(id);
    }
    // What was cut off is fetched together with what follows it.
    const drawn = added.filter(({ id }) => !lastId || compareIds(id, lastId) < 0);
    if (missed !== 0) this.#addGap(missed, drawn[0]?.id);
    this.#enqueue(drawn);
    this.#updateButton();
    // What was sent from here is never nowhere. A hidden tab seldom draws.
    const isOwn = !isHistory && drawn.some(({ id }) => this.#outbox.isOwn(id));
    if (isOwn || this.#queue.size > 2 * MAX_ENTRIES) this.#queue.flush();
    else this.#queue.start();
    return added;
  }

  /** Lets nothing in that is removed; returns what of it is news. */
  remove(/** @type {readonly Removal[]} */ removals) {
    const added = removals.filter(({ id, removes }) =>
      removes === "all" ? compareIds(id, this.#clearedId) > 0 : !this.#removed.has(removes)
    );
    for (const { id, removes } of added) {
      if (removes === "all") this.#clearedId = id;
      else this.#removed.add(removes);
      const [oldest] = this.#removed;
      if (this.#removed.size > MAX_IDS) this.#removed.delete(oldest);
    }
    return added;
  }

  /** The message that an element shows. */
  messageOf(/** @type {Element | null} */ element) {
    return this.#entries.find((entry) => entry.element === element)?.message;
  }

  inRange(/** @type {string} */ id) {
    return !this.firstId || compareIds(id, this.firstId) > 0;
  }

  /** Draws a line before what was missed. */
  mark(/** @type {string} */ id, /** @type {string} */ words) {
    if (!this.#notices.mark(id, words)) return;
    const entry = this.#entries.find(({ message }) => message.id === id);
    if (entry) this.#viewport.keep(() => this.#notices.place(id, entry.element));
  }

  unmark() {
    this.#viewport.keep(() => this.#notices.unmark());
  }

  /** While messages are still to come they are not read out. */
  setWaiting(/** @type {boolean} */ isWaiting) {
    if (this.#isWaiting && !isWaiting) this.#paging.tryAgain();
    this.#isWaiting = isWaiting;
    this.onLoading();
  }

  onLoading() {
    const isBusy = () => this.#isWaiting || this.#paging.isLoading;
    if (isBusy()) this.#log.setAttribute("aria-busy", "true");
    else setTimeout(() => isBusy() || this.#log.setAttribute("aria-busy", "false"), BUSY_MS);
  }

  /** The outbox knows more: which messages are own ones, and which were held for nothing. */
  update() {
    const isOwn = (/** @type {Entry} */ { message }) => this.#outbox.isOwn(message.id);
    if (this.#entries.some((entry) => entry.isOwn !== isOwn(entry))) {
      this.#viewport.keep(() => {
        for (const entry of this.#entries) entry.isOwn = isOwn(entry);
        this.#entries.forEach((_, index) => this.#fit(index));
      });
    }
    const held = [...this.#held.values()];
    this.#held.clear();
    this.add(held, false);
  }

  showEnd() {
    this.#below.clear();
    if (this.endsHere) this.#viewport.showEnd();
    else this.#paging.loadLatest();
    this.#updateButton();
  }

  /** Shows the latest messages instead, and after them what comes while they are loading. */
  async startOver(/** @type {Promise<{ messages: ChatMessage[] }>} */ loading) {
    /** @type {ChatMessage[]} */
    const meanwhile = this.#meanwhile = [];
    const { messages } = await loading.finally(() => this.#meanwhile = undefined);
    // What says that all were removed.
    const lines = this.#entries.length === 0 ? [...this.#list.children] : [];
    this.#clear();
    for (const each of [messages, meanwhile]) this.add(each, true);
    this.#queue.flush();
    this.#list.append(...lines);
    this.#viewport.showEnd();
  }

  insert(/** @type {ChatMessage[]} */ messages, /** @type {boolean} */ isOlder) {
    const missing = messages.filter((message) => this.#isMissing(message));
    for (const { id } of missing) this.#ids.add(id);
    this.#show(missing, isOlder);
  }

  /** All messages up to that one have been inserted. */
  endAt(/** @type {string} */ newestId) {
    if (newestId === this.#newestId) this.#isCut = false;
    this.#updateButton();
  }

  #isRemoved(/** @type {{ id: string }} */ { id }) {
    return this.#removed.has(id) || compareIds(id, this.#clearedId) < 0;
  }

  #isMissing(/** @type {ChatMessage} */ message) {
    if (this.#ids.has(message.id) || this.#isRemoved(message)) return false;
    if (!this.#outbox.mayBeOwn(message)) return true;
    this.#held.set(message.id, message);
    return false;
  }

  #addGap(/** @type {number | null} */ missed, /** @type {string} */ id) {
    if (id === undefined) this.#queue.flush();
    this.#viewport.keep(() => this.#notices.gap(missed, id));
  }

  #enqueue(/** @type {ChatMessage[]} */ messages) {
    for (const { id } of messages) this.#ids.add(id);
    this.#queue.add(messages);
  }

  /** A message is removed that was never shown. */
  sayRemoved() {
    const element = this.#list.appendChild(document.createElement("li"));
    this.#viewport.keep(() => this.#notices.remove([element]));
  }

  /** Takes out what is shown of what is removed. */
  takeOut() {
    for (const id of this.#below) if (this.#isRemoved({ id })) this.#below.delete(id);
    this.#updateButton();
    const [gone, left] = [true, false].map((isGone) =>
      this.#entries.filter(({ message }) => this.#isRemoved(message) === isGone)
    );
    const last = gone.at(-1)?.message.id;
    if (!last) return;
    const isCleared = left.length === 0 && compareIds(last, this.#clearedId) < 0;
    // The viewport keeps to what is left.
    this.#entries = left;
    this.#viewport.keep(() => {
      this.#notices.remove(gone.map(({ element }) => element), isCleared);
      left.forEach((_, index) => this.#fit(index));
    });
    for (const { message } of gone) this.#ids.delete(message.id);
    if (left.length === 0) this.#paging.beginsHere = isCleared && !this.#isCut;
    this.#paging.look();
  }

  #draw(/** @type {ChatMessage[]} */ coming) {
    const messages = coming.filter((message) => !this.#isRemoved(message));
    // What would be cut off at once is not drawn at all.
    const waiting = messages.length + this.#queue.size;
    if (this.#viewport.isAtEnd && waiting > MAX_ENTRIES) {
      const latest = [...messages, ...this.#queue.clear()].slice(-KEPT_ENTRIES);
      this.#clear();
      this.#enqueue(latest);
      return this.#queue.start();
    }
    this.#show(messages, this.#viewport.isNearerStart && !this.#viewport.isAtEnd);
    if (this.#queue.size === 0) this.#paging.look();
  }

  /** Removes what is too much at the end that the reader is far from. */
  #show(/** @type {ChatMessage[]} */ messages, /** @type {boolean} */ isNearStart) {
    this.#viewport.keep(() => {
      foldLong(messages.map((message) => this.#insert(message)));
      this.#trim(isNearStart);
    });
    this.#updateButton();
  }

  #insert(/** @type {ChatMessage} */ message) {
    const { id } = message;
    const index = 1 + this.#entries.findLastIndex(({ message }) => compareIds(message.id, id) < 0);
    const entry = { message, element: makeEntry(message), isOwn: this.#outbox.isOwn(id) };
    const next = this.#entries[index];
    if (next) next.element.before(entry.element);
    else this.#list.append(entry.element);
    this.#entries.splice(index, 0, entry);
    this.#fit(index);
    if (next) this.#fit(index + 1);
    this.#notices.place(id, entry.element);
    return entry.element;
  }

  #fit(/** @type {number} */ index) {
    fitEntry(this.#entries[index], this.#entries[index - 1]);
  }

  #trim(/** @type {boolean} */ isNearStart) {
    if (this.#entries.length <= MAX_ENTRIES) return;
    const cut = isNearStart
      ? this.#entries.splice(KEPT_ENTRIES)
      : this.#entries.splice(0, this.#entries.length - KEPT_ENTRIES);
    for (const { message } of cut) this.#ids.delete(message.id);
    const range = document.createRange();
    if (isNearStart) {
      // What is still to be drawn comes after what is cut off.
      for (const { id } of this.#queue.clear()) this.#ids.delete(id);
      this.#isCut = true;
      range.setStartAfter(/** @type {Node} */ (this.#entries.at(-1)?.element));
      range.setEnd(this.#list, this.#list.childNodes.length);
    } else {
      range.setStart(this.#list, 0);
      range.setEndBefore(this.#entries[0].element);
      this.#paging.beginsHere = false;
    }
    range.deleteContents();
    this.#fit(0);
  }

  onScroll() {
    if (this.#viewport.isAtEnd) this.#below.clear();
    this.#updateButton();
    this.#paging.look();
  }

  #clear() {
    this.#entries = [];
    this.#ids.clear();
    this.#queue.clear();
    this.#list.replaceChildren();
    this.#isCut = false;
    this.#paging.beginsHere = false;
  }

  #updateButton() {
    const { size } = this.#below;
    this.#button.hidden = size === 0 && this.endsHere;
    this.#button.textContent = size > 0
      ? `${size} new message${size === 1 ? "" : "s"}`
      : "Newest messages";
  }
}
