/** What concerns oneself: to become a moderator, to sign out, and to be forgotten by this browser. */

import { ask, attempt } from "./dialog.js";
import { find, forgetAll, keysOfAllRooms, MAIN } from "./page.js";

const SESSION = `${MAIN}session`;

export function showSelf(/** @type {HTMLDialogElement} */ dialog) {
  const { session, moderator } = document.documentElement.dataset;
  const become = find(".become", HTMLAnchorElement, dialog);
  become.hidden = moderator !== undefined;
  // A path of the server, which may itself be under one.
  const to = location.pathname.slice(new URL(MAIN).pathname.length - 1);
  become.href = `${SESSION}?to=${encodeURIComponent(to)}`;
  const signOut = find(".sign-out", HTMLButtonElement, dialog);
  signOut.hidden = session === undefined;
  signOut.addEventListener("click", () => {
    const section = find("section:last-of-type", HTMLElement, dialog);
    attempt(dialog, async () => {
      await post("leave");
      location.reload();
    }, find(".problem", HTMLElement, section));
  });
  find(".forget", HTMLButtonElement, dialog).addEventListener("click", () => {
    const unsent = keysOfAllRooms().filter((key) => / unsent /.test(key)).length;
    ask("Forget me", wordsFor(unsent, session !== undefined), "Forget me", async () => {
      await post("forget");
      forgetAll();
    });
  });
}

function wordsFor(/** @type {number} */ unsent, /** @type {boolean} */ isSignedIn) {
  const messages = unsent === 1 ? "1 message that has" : `${unsent} messages that have`;
  return [
    unsent > 0 && `This includes ${messages} not been sent.`,
    "This browser forgets your name, your drafts, which messages are yours, the rooms where you have been, and your settings, in all tabs.",
    isSignedIn && "You are signed out.",
    "What you have written stays in the chat.",
  ].filter(Boolean).join(" ");
}

/** @throws {Error} */
async function post(/** @type {string} */ field) {
  const body = new URLSearchParams({ [field]: "" });
  const headers = { accept: "application/json" };
  const response = await fetch(SESSION, { method: "POST", body, headers });
  if (!response.ok) throw new TypeError(`The answer is ${response.status}`);
}
