// @ts-check
/// <reference lib="dom" />
/** How a message looks. What people wrote only ever goes through `textContent`. */

/** @import { ChatMessage } from "./message.js" */
/** @typedef {{ message: ChatMessage, element: HTMLElement, isOwn: boolean }} Entry */
import { find, make } from "./dom.js";
import { continues, hueOf, isSameDay, splitLinks } from "./message.js";

// Made once: to make one takes longer than to use it a hundred times.
const SHORT_TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const FULL_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

/**
 * @param {ChatMessage} message
 * @returns {HTMLElement}
 */
export function makeEntry({ nickname, message, time }) {
  const entry = make("entry-template");
  const author = find(".author", HTMLElement, entry);
  author.textContent = nickname;
  author.style.setProperty("--hue", String(hueOf(nickname)));
  fillText(find(".text", HTMLElement, entry), message);
  const stamp = find("time", HTMLTimeElement, entry);
  const date = new Date(time);
  stamp.dateTime = time;
  stamp.textContent = SHORT_TIME.format(date);
  stamp.title = FULL_TIME.format(date);
  return entry;
}

/**
 * Puts text into an element, with links where there are any.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function fillText(element, text) {
  element.replaceChildren(
    ...splitLinks(text).map(({ text, href }) => {
      if (!href) return text;
      const link = document.createElement("a");
      link.href = href;
      link.target = "_blank";
      link.rel = "noopener noreferrer nofollow";
      link.textContent = text;
      return link;
    }),
  );
}

/**
 * Fits an entry to the one before it: a group has one name, a new day a heading.
 *
 * @param {Entry} entry
 * @param {Entry} [before]
 */
export function fitEntry({ message, element, isOwn }, before) {
  element.classList.toggle(
    "continued",
    // Somebody else may use the same name.
    before !== undefined && before.isOwn === isOwn && continues(before.message, message),
  );
  element.classList.toggle("own", isOwn);
  const day = element.querySelector(".day");
  if (before && isSameDay(before.message, message)) return day?.remove();
  if (day) return;
  const heading = make("day-template");
  heading.textContent = DAY.format(new Date(message.time));
  element.prepend(heading);
}
