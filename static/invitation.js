/**
 * The dialog that gets others into the room: its address, big enough to be read from the last row, as a
 * code to scan, and to copy or share. Loaded when somebody asks for it.
 */

import { openDialog } from "./dialog.js";
import { CHAT, find, write } from "./page.js";

export async function invite() {
  const dialog = await openDialog("invitation-template");
  try {
    const response = await fetch(CHAT.replace(/chat$/, "invite.svg"), { cache: "no-store" });
    if (!response.ok) throw new Error((await response.json()).detail);
    const image = new DOMParser().parseFromString(await response.text(), "image/svg+xml");
    show(dialog, document.adoptNode(image.documentElement));
  } catch (error) {
    // TypeError, SyntaxError: no server, or not ours.
    const words = error instanceof TypeError || error instanceof SyntaxError
      ? "The address could not be loaded. Close this and try again."
      : /** @type {Error} */ (error).message;
    write(find(".problem", HTMLElement, dialog), words);
  }
}

/**
 * @param {HTMLElement} dialog
 * @param {Element} image Its title is the address.
 */
function show(dialog, image) {
  const address = find("title", SVGTitleElement, image).textContent;
  image.role = "img";
  image.ariaLabel = address;
  find(".code", HTMLElement, dialog).replaceChildren(image);
  const text = find(".address", HTMLElement, dialog);
  text.textContent = address;
  // For the style sheet: as big as one line can be.
  text.style.setProperty("--length", String(address.length));
  const copy = find(".copy", HTMLButtonElement, dialog);
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    write(copy, await copyText(text) ? "Copied" : "Select it and copy");
  });
  const share = find(".share", HTMLButtonElement, dialog);
  share.hidden = !("share" in navigator);
  share.addEventListener("click", async () => {
    try {
      await navigator.share({ title: document.title, url: address });
    } catch {
      // AbortError: somebody thought better of it. NotAllowedError: the system does not want to.
    }
  });
}

/** Copies what an element says; whether that was possible. */
async function copyText(/** @type {HTMLElement} */ element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    // TypeError: there is no clipboard over plain HTTP. NotAllowedError: it is blocked.
    getSelection()?.selectAllChildren(element);
    return document.execCommand("copy");
  }
}
