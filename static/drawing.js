/**
 * How and when the conversation is drawn: messages, folded where they are long, and lines between
 * them. What people wrote only ever goes through `textContent`.
 */

/** @import { ChatMessage } from "./client.js" */
/** @import { Viewport } from "./viewport.js" */
/** @typedef {{ message: ChatMessage, element: HTMLElement, isOwn: boolean }} Entry */
import { find, make } from "./page.js";
import { continues, hueOf, isSameDay, splitLinks } from "./message.js";

/** More than the twenty that stay, lest a button hide the last one. */
const MAX_LINES = 24;
/** A text with fewer of both is not long anywhere. */
const SHORT = { characters: 300, lines: 10 };

/** More at a time would be felt by somebody who types. */
const MAX_MESSAGES = 50;
const MAX_CHARACTERS = 10_000;
/** Each time costs a layout of the whole list. */
const PAUSE_MS = 80;

const CLEARED = "A moderator cleared the room";

// Made once: that is costly.
const SHORT_TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const FULL_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

export function momentWords(/** @type {Date} */ date) {
  const isToday = date.toDateString() === new Date().toDateString();
  const time = SHORT_TIME.format(date);
  return isToday ? time : `${date.toLocaleDateString([], { weekday: "long" })}, ${time}`;
}

export function makeEntry(/** @type {ChatMessage} */ { nickname, message, time, by, moderator }) {
  const entry = make("entry-template");
  const author = find(".author", HTMLElement, entry);
  author.textContent = nickname;
  author.style.setProperty("--name", `var(--name-${hueOf({ nickname, by })})`);
  if (!moderator) find(".moderator", HTMLElement, entry).remove();
  fillText(find(".text", HTMLElement, entry), message);
  const stamp = find("time", HTMLTimeElement, entry);
  const date = new Date(time);
  stamp.dateTime = time;
  stamp.textContent = SHORT_TIME.format(date);
  stamp.title = FULL_TIME.format(date);
  return entry;
}

/** What an element shows, as far as the next may continue it. */
export function readEntry(/** @type {Element | null} */ element) {
  const author = element?.querySelector(".author");
  const time = element?.querySelector("time");
  if (!element || !author || !time) return undefined;
  const isOwn = element.classList.contains("own");
  return { id: "", nickname: author.textContent, message: "", time: time.dateTime, isOwn };
}

/** Puts in a text, with links. */
export function fillText(/** @type {HTMLElement} */ element, /** @type {string} */ text) {
  element.replaceChildren(
    ...splitLinks(text).map(({ text, href }) => {
      if (!href) return text;
      const link = Object.assign(document.createElement("a"), {
        href,
        target: "_blank",
        rel: "noopener noreferrer nofollow",
        textContent: text,
      });
      // Nothing before it turns round how the address reads.
      const isolated = document.createElement("bdi");
      isolated.append(link);
      return isolated;
    }),
  );
}

/** Fits an entry to the one before it: a group has one name, a new day a heading. */
export function fitEntry(
  /** @type {Entry} */ { message, element, isOwn },
  /** @type {Entry=} */ before,
) {
  element.classList.toggle(
    "continued",
    // Somebody else may use the same name.
    before !== undefined && before.isOwn === isOwn && continues(before.message, message),
  );
  element.classList.toggle("own", isOwn);
  const day = element.querySelector(".day");
  if (before && isSameDay(before.message, message)) return day?.remove();
  if (day) return;
  const heading = document.createElement("p");
  heading.className = "day";
  heading.textContent = DAY.format(new Date(message.time));
  element.prepend(heading);
}

/** Folds long messages. It reads their heights, so draw all before. */
export function foldLong(/** @type {readonly Element[]} */ elements) {
  const long = elements.map((element) => find(".text", HTMLElement, element)).filter((text) => {
    const { textContent } = text;
    if (textContent.length < SHORT.characters && textContent.split("\n").length < SHORT.lines) {
      return false;
    }
    const { lineHeight } = getComputedStyle(text);
    return text.getBoundingClientRect().height > MAX_LINES * parseFloat(lineHeight);
  });
  for (const text of long) {
    text.classList.add("folded");
    text.after(make("fold-template"));
  }
}

/** Lets people unfold and fold messages. */
export function watchFolds(/** @type {HTMLElement} */ within, /** @type {Viewport} */ viewport) {
  within.addEventListener("click", ({ target }) => {
    if (!(target instanceof HTMLButtonElement) || !target.matches(".fold")) return;
    const text = /** @type {Element} */ (target.previousElementSibling);
    // Whoever reads stays at the beginning of what unfolds, and at the button after what folds.
    viewport.keepElement(text.classList.contains("folded") ? text : target, () => {
      const isFolded = text.classList.toggle("folded");
      target.textContent = isFolded ? "Show all" : "Show less";
      target.setAttribute("aria-expanded", String(!isFolded));
    });
  });
}

/** Lines between messages: here begins what was missed, or some are lost. */
export class Notices {
  #list;
  /** By the id of the next message. @type {Map<string, HTMLElement>} */
  #gaps = new Map();
  /** @type {{ id: string, element: HTMLElement }=} */
  #mark;

  constructor(/** @type {HTMLElement} */ list) {
    this.#list = list;
  }

  /** Says where what was missed begins; returns whether that is to be placed. */
  mark(/** @type {string} */ id, /** @type {string} */ words) {
    const element = this.#mark?.element ?? makeLine("mark");
    const isMoved = this.#mark?.id !== id;
    element.textContent = words;
    if (isMoved) element.remove();
    this.#mark = { id, element };
    return isMoved;
  }

  /** Says that messages are lost, null if unknown how many, before another or at the end. */
  gap(/** @type {number | null} */ missed, /** @type {string=} */ id) {
    const words = missed === null
      ? "Some messages are no longer kept"
      : `${missed.toLocaleString()} ${missed === 1 ? "message is" : "messages are"} no longer kept`;
    const element = makeLine("gap", words);
    if (id === undefined) this.#list.append(element);
    else this.#gaps.set(id, element);
  }

  unmark() {
    this.#mark?.element.remove();
    this.#mark = undefined;
  }

  /** Says in the place of messages that they are removed, and once to be read out. */
  remove(/** @type {readonly HTMLElement[]} */ elements, isCleared = false) {
    if (isCleared) this.#list.replaceChildren(makeLine("removed", CLEARED));
    else elements.forEach(replace);
    find("#news", HTMLElement).textContent = isCleared ? CLEARED : removedWords(elements.length);
  }

  place(/** @type {string} */ id, /** @type {HTMLElement} */ element) {
    const gap = this.#gaps.get(id);
    if (gap) element.before(gap);
    if (this.#mark?.id === id) element.before(this.#mark.element);
  }
}

function makeLine(/** @type {"mark" | "gap" | "removed"} */ kind, words = "") {
  const line = document.createElement("li");
  line.className = `line ${kind}`;
  line.textContent = words;
  if (kind === "removed") line.ariaLive = "off";
  return line;
}

/** Puts a line in the place of what is removed, the same for all that stood together. */
function replace(/** @type {Element} */ element) {
  let count = 1;
  for (const near of [element.previousElementSibling, element.nextElementSibling]) {
    if (!(near instanceof HTMLElement && near.dataset.count)) continue;
    count += Number(near.dataset.count);
    near.remove();
  }
  const line = makeLine("removed", removedWords(count));
  line.dataset.count = String(count);
  element.replaceWith(line);
}

function removedWords(/** @type {number} */ count) {
  return `A moderator removed ${count === 1 ? "a message" : `${count.toLocaleString()} messages`}`;
}

/** Draws at once, unless there are so many messages that they would stop the page. */
export class DrawQueue {
  /** @type {ChatMessage[]} */
  #messages = [];
  #draw;
  #drawnAt = -PAUSE_MS;
  /** @type {ReturnType<typeof setTimeout>=} */
  #timer;

  constructor(/** @type {(messages: ChatMessage[]) => void} */ draw) {
    this.#draw = draw;
  }

  get size() {
    return this.#messages.length;
  }

  add(/** @type {readonly ChatMessage[]} */ messages) {
    this.#messages.push(...messages);
  }

  start() {
    if (this.#timer || this.size === 0) return;
    const delay = Math.max(0, this.#drawnAt + PAUSE_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#drawnAt = performance.now();
      this.#draw(this.#take());
      this.start();
    }, delay);
  }

  flush() {
    if (this.size > 0) this.#draw(this.clear());
  }

  clear() {
    return this.#messages.splice(0);
  }

  #take() {
    let [end, characters] = [0, 0];
    while (end < Math.min(this.size, MAX_MESSAGES) && characters < MAX_CHARACTERS) {
      characters += this.#messages[end++].message.length;
    }
    return this.#messages.splice(0, end);
  }
}
