// @ts-check
/// <reference lib="dom" />
/** The messages of the outbox, behind the conversation: sending, or not sent and what to do. */

/** @import { Outbox, Unsent } from "./outbox.js" */
import { find, make } from "./dom.js";
import { fillText } from "./entry.js";

export class OutboxView {
  #outbox;
  #list = find(".outbox", HTMLElement);
  /** @type {Map<string, HTMLElement>} */
  #elements = new Map();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #clock;

  /** @param {Outbox} outbox */
  constructor(outbox) {
    this.#outbox = outbox;
  }

  update() {
    const { entries } = this.#outbox;
    const keys = new Set(entries.map(({ key }) => key));
    for (const [key, element] of this.#elements) {
      if (keys.has(key)) continue;
      element.remove();
      this.#elements.delete(key);
    }
    for (const entry of entries) this.#show(entry);
    clearInterval(this.#clock);
    if (entries.some(({ isPaced }) => isPaced)) {
      this.#clock = setInterval(
        () => this.#outbox.entries.forEach((each) => this.#show(each)),
        1000,
      );
    }
  }

  /** @param {Unsent} entry */
  #show(entry) {
    const { key, state, problem = "" } = entry;
    const element = this.#elements.get(key) ?? this.#make(entry);
    const isSending = state === "sending" || state === "ready";
    element.classList.toggle("failed", !isSending);
    setText(find(".progress", HTMLElement, element), isSending ? "Sending…" : "Not sent");
    find(".trouble", HTMLElement, element).hidden = isSending;
    setText(find(".reason", HTMLElement, element), [problem, wait(entry)].join(" ").trim());
    find(".retry", HTMLElement, element).hidden = entry.isPaced === true && state === "waiting";
  }

  /** @param {Unsent} entry */
  #make({ key, message }) {
    const element = make("unsent-template");
    fillText(find(".text", HTMLElement, element), message);
    const act = (/** @type {string} */ selector, /** @type {() => void} */ action) => {
      find(selector, HTMLElement, element).addEventListener("click", () => {
        action();
        // The button is gone; whoever pressed it goes on writing.
        find("#message", HTMLElement).focus();
      });
    };
    act(".retry", () => this.#outbox.retry(key));
    act(".discard", () => this.#outbox.discard(key));
    this.#elements.set(key, element);
    this.#list.append(element);
    return element;
  }
}

/** @param {Unsent} entry */
function wait({ state, isPaced, notBefore = 0 }) {
  if (state !== "waiting" || !isPaced) return "";
  const seconds = Math.max(1, Math.ceil((notBefore - Date.now()) / 1000));
  return `Goes out in ${seconds} s.`;
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
