/** How dialogs open and close, and the style sheet that is loaded for them. */

import { find, MAIN, make } from "./page.js";

/** @type {Promise<unknown>=} */
let style;

/**
 * Shows the dialog in the template with that id; it is gone once it is closed.
 *
 * @param {string} id
 */
export async function openDialog(id) {
  await (style ??= loadStyle());
  // Whoever presses twice.
  document.querySelector("dialog")?.remove();
  const dialog = /** @type {HTMLDialogElement} */ (make(id));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Resolves also where it can't be loaded: without it a dialog is plain, no more. */
function loadStyle() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = `${MAIN}dialogs.css`;
  return new Promise((resolve) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", resolve);
    find("head", HTMLElement).append(link);
  });
}
