// @ts-check
/// <reference lib="dom" />
/** The form: who is writing, what, and what is wrong with it. What is written survives a reload. */

import { find } from "./dom.js";
import { keep, recall } from "./store.js";

/** @typedef {"nickname" | "message"} FieldName */

/** So near the server's limits, which are in the markup, the counter appears. */
const NEAR = { nickname: 5, message: 200 };

export class Composer {
  #form = find("form", HTMLFormElement);
  #nickname = find("#nickname", HTMLInputElement);
  #message = find("#message", HTMLTextAreaElement);
  #onSend;

  /** @param {(post: { nickname: string, message: string }) => void} onSend */
  constructor(onSend) {
    this.#onSend = onSend;
    this.#nickname.value = recall("nickname") ?? "";
    this.#message.value = recall("draft", "sessionStorage") ?? "";
    // The page says what is wrong at the field and keeps it there, as a screen reader needs it.
    this.#form.noValidate = true;
    this.#nickname.addEventListener("input", () => this.#onInput("nickname"));
    this.#message.addEventListener("input", () => this.#onInput("message"));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#message.addEventListener("keydown", (event) => {
      // 229: some browsers end composing before they tell of the Enter that did it.
      const isComposing = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || isComposing) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    for (const name of /** @type {FieldName[]} */ (["nickname", "message"])) this.#count(name);
  }

  /**
   * Gives a refused message back to be mended, unless another has been begun.
   *
   * @param {string} message
   * @returns {boolean} Whether it is in the form again.
   */
  takeBack(message) {
    if (this.#message.value !== "") return false;
    this.#message.value = message;
    this.#onInput("message");
    return true;
  }

  /**
   * Says at a field what is wrong with it; with nothing, that all is well.
   *
   * @param {FieldName} name
   * @param {string} problem
   */
  showProblem(name, problem) {
    const field = this.#field(name);
    field.ariaInvalid = problem ? "true" : null;
    find(`#${name}-problem`, HTMLElement).textContent = problem;
    if (problem) field.focus();
  }

  #send() {
    const nickname = tidy(this.#nickname.value).replace(/\s+/gu, " ") || "anonymous";
    const message = tidy(this.#message.value);
    if (!message) return this.#message.focus();
    for (const name of /** @type {FieldName[]} */ (["nickname", "message"])) {
      const over = -this.#left(name);
      if (over > 0) {
        return this.showProblem(name, `Too long by ${over.toLocaleString()}; shorten it to send.`);
      }
    }
    this.#onSend({ nickname, message });
    this.#message.value = "";
    this.#onInput("message");
    this.#message.focus();
  }

  /** @param {FieldName} name */
  #onInput(name) {
    if (name === "nickname") keep("nickname", this.#nickname.value);
    else keep("draft", this.#message.value, "sessionStorage");
    this.showProblem(name, "");
    this.#count(name);
  }

  /** @param {FieldName} name */
  #field(name) {
    return name === "nickname" ? this.#nickname : this.#message;
  }

  /** @param {FieldName} name */
  #left(name) {
    const { value, dataset } = this.#field(name);
    // In Unicode code points, as the server counts; `maxlength` would cut off what is pasted.
    return Number(dataset.most) - [...tidy(value)].length;
  }

  /** @param {FieldName} name */
  #count(name) {
    const left = this.#left(name);
    const words = left < 0 ? `${-left} too many` : left <= NEAR[name] ? `${left} left` : "";
    find(`#${name}-count`, HTMLElement).textContent = words;
  }
}

/**
 * As the server will have it, so that the page knows its own message again.
 *
 * @param {string} text
 */
function tidy(text) {
  return text.toWellFormed()
    .replace(/[^\P{Cc}\t\n\r]/gu, "")
    .replace(/\r\n?/g, "\n")
    .normalize("NFC")
    .trim();
}
