/** How dialogs open and close. Their markup and their style sheet are loaded with the first one. */

import { find, MAIN, make } from "./page.js";

/** @type {Promise<unknown>=} */
let parts;

/** Loads the templates of all dialogs, and what styles them. */
export async function loadDialogs() {
  parts ??= Promise.all([loadTemplates(), loadStyle("dialogs")]);
  try {
    await parts;
  } catch (error) {
    // The next may have more luck.
    parts = undefined;
    throw error;
  }
}

/**
 * Shows the dialog in the template with that id; it is gone once it is closed.
 *
 * @param {string} id
 */
export async function openDialog(id) {
  await loadDialogs();
  // Whoever presses twice, and the question that follows. Focus goes back to where the first was opened.
  const before = document.querySelector("dialog");
  before?.close();
  before?.remove();
  const dialog = /** @type {HTMLDialogElement} */ (make(id));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks before something that can't be undone is done.
 *
 * @param {string} title
 * @param {string} words
 * @param {string} verb
 * @param {() => Promise<unknown>} act
 */
export async function ask(title, words, verb, act) {
  const dialog = await openDialog("question-template");
  find("h2", HTMLElement, dialog).textContent = title;
  find("#question-words", HTMLElement, dialog).textContent = words;
  const button = find(".do", HTMLButtonElement, dialog);
  button.textContent = verb;
  button.addEventListener("click", () => attempt(dialog, act));
}

/** Does something for which a dialog is open, then closes it; or says in it why that was not possible. */
export async function attempt(
  /** @type {HTMLDialogElement} */ dialog,
  /** @type {() => Promise<unknown>} */ act,
  problem = find(".problem", HTMLElement, dialog),
) {
  problem.textContent = "";
  try {
    await act();
    dialog.close();
  } catch (error) {
    // TypeError: no connection.
    const words = error instanceof TypeError ? "" : /** @type {Error} */ (error).message;
    problem.textContent = words || "The chat can't be reached just now. Try again.";
  }
}

async function loadTemplates() {
  const response = await fetch(`${MAIN}dialogs.html`);
  if (!response.ok) throw new Error(`The dialogs can't be loaded: ${response.status}`);
  const { head } = new DOMParser().parseFromString(await response.text(), "text/html");
  document.body.append(...head.querySelectorAll("template"));
}

/** Resolves also where it can't be loaded: without it a dialog is plain, no more. */
export function loadStyle(/** @type {string} */ name) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = `${MAIN}${name}.css`;
  return new Promise((resolve) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", resolve);
    find("head", HTMLElement).append(link);
  });
}
