/**
 * The form: who is writing, what, and what is wrong with it. What is written is kept for the room:
 * whoever closes a tab finds the draft in the next.
 */

import { find, keep, onKeptElsewhere, recall } from "./page.js";

/** @typedef {"nickname" | "message"} FieldName */

/** What is typed in each field is kept under this key. */
const KEYS = { nickname: "nickname", message: "draft" };
/** @type {FieldName[]} */
const FIELDS = ["nickname", "message"];
/** The counter appears when this few characters are left. */
const NEAR = 200;

export class Composer {
  #form = find("form", HTMLFormElement);
  #nickname = find("#nickname", HTMLInputElement);
  #message = find("#message", HTMLTextAreaElement);
  #box = find(".box", HTMLElement);
  #counter = find("#message-count", HTMLElement);
  #onSend;

  constructor(/** @type {(post: { nickname: string, message: string }) => void} */ onSend) {
    this.#onSend = onSend;
    // The page itself says what is wrong, and keeps saying it.
    this.#form.noValidate = true;
    // There Enter is the only way to a new line.
    const isTouch = matchMedia("(pointer: coarse)").matches;
    this.#message.enterKeyHint = isTouch ? "enter" : "send";
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#message.addEventListener("keydown", (event) => {
      // 229: the Enter that ended composing, in some browsers.
      const isComposing = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || isComposing) return;
      if (isTouch && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    for (const name of FIELDS) {
      this.#field(name).addEventListener("input", () => this.#onInput(name));
      // Another tab; what somebody is typing stays theirs.
      onKeptElsewhere(KEYS[name], () => document.hasFocus() || this.#recall(name));
      this.#recall(name);
    }
  }

  /** Puts a refused message back, unless another has been started; returns whether it did. */
  takeBack(/** @type {string} */ message) {
    if (this.#message.value !== "") return false;
    this.#message.value = message;
    this.#onInput("message");
    return true;
  }

  /** Shows at a field what is wrong with it, if anything. Whoever is reading is not disturbed. */
  showProblem(/** @type {FieldName} */ name, /** @type {string} */ problem) {
    const field = this.#field(name);
    field.ariaInvalid = problem ? "true" : null;
    find(`#${name}-problem`, HTMLElement).textContent = problem;
    this.#fit();
    const { activeElement } = document;
    const isReading = activeElement !== document.body && !this.#form.contains(activeElement);
    if (problem && !isReading) field.focus();
  }

  #send() {
    const nickname = tidy(this.#nickname.value).replace(/\s+/gu, " ") || "anonymous";
    const message = tidy(this.#message.value);
    if (!message) return this.#message.focus();
    for (const name of FIELDS) {
      const excess = -this.#left(name);
      if (excess > 0) return this.showProblem(name, `${tooLong(excess)}; shorten it to send.`);
    }
    this.#onSend({ nickname, message });
    this.#message.value = "";
    this.#onInput("message");
    this.#message.focus();
  }

  #recall(/** @type {FieldName} */ name) {
    this.#field(name).value = recall(KEYS[name], (value) => typeof value === "string") ?? "";
    this.#fit();
  }

  #onInput(/** @type {FieldName} */ name) {
    keep(KEYS[name], this.#field(name).value);
    this.showProblem(name, "");
  }

  #field(/** @type {FieldName} */ name) {
    return name === "nickname" ? this.#nickname : this.#message;
  }

  #left(/** @type {FieldName} */ name) {
    const { value, dataset } = this.#field(name);
    // In Unicode code points, as the server counts; `maxlength` would cut off what is pasted.
    return Number(dataset.most) - [...tidy(value)].length;
  }

  /** The counter is silent while the problem says as much. */
  #fit() {
    // For the style sheet, where a text area can't grow by itself.
    this.#box.dataset.text = this.#message.value;
    const left = this.#left("message");
    const isSilent = left > NEAR || this.#message.ariaInvalid === "true";
    this.#counter.classList.toggle("over", left < 0);
    this.#counter.textContent = isSilent ? "" : left < 0 ? tooLong(-left) : `${left} left`;
  }
}

function tooLong(/** @type {number} */ excess) {
  return `Too long by ${excess.toLocaleString()}`;
}

/** As the server does, so that the page recognises its own message. */
function tidy(/** @type {string} */ text) {
  return text.toWellFormed()
    .replace(/[^\P{Cc}\t\n\r]/gu, "")
    .replace(/\r\n?/g, "\n")
    .normalize("NFC")
    .trim();
}
