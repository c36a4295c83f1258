/**
 * What leads to another room: its name, or a list of those where this browser has been, with the number
 * of messages that have come there since.
 */

import { fetchMessages, PAGE_SIZE } from "./client.js";
import { CHAT, find, keysOfAllRooms, MAIN, make, SITE, write } from "./page.js";

/** Rooms that are listed, those of the last visits. */
const MAX_ROOMS = 20;
/** As the server has it, but for names that it needs itself. */
const NAME = /^[\p{L}\p{Nd}][\p{L}\p{M}\p{Nd}_-]{0,39}$/u;
/** The rooms that there are, if not any. */
const NAMES = document.documentElement.dataset.rooms;

export function listRooms(/** @type {HTMLElement} */ dialog) {
  if (NAMES === "") return find(".rooms", HTMLElement, dialog).remove();
  if (NAMES === undefined) watchForm(dialog);
  else find(".go", HTMLFormElement, dialog).remove();
  const seen = roomsSeen();
  const visited = seen.map(({ name }) => name);
  const names = NAMES?.split(",") ?? visited.slice(0, MAX_ROOMS);
  const rooms = [...new Set(["", ...names])].map((name) => {
    const prefix = name && encodeURIComponent(name);
    const chat = `${MAIN}${prefix && `${prefix}/`}chat`;
    const item = make("room-template");
    const link = find("a", HTMLAnchorElement, item);
    link.href = MAIN + prefix;
    link.textContent = name || "Main room";
    if (chat === CHAT) link.ariaCurrent = "page";
    find("ul", HTMLElement, dialog).append(item);
    const { id } = seen.find((room) => room.name === name) ?? {};
    return { chat, id, count: find(".unread", HTMLElement, item) };
  });
  countUnread(rooms.filter(({ chat }) => chat !== CHAT));
}

function watchForm(/** @type {HTMLElement} */ dialog) {
  const form = find(".go", HTMLFormElement, dialog);
  const field = find("input", HTMLInputElement, dialog);
  const problem = find(".problem", HTMLElement, dialog);
  form.noValidate = true;
  field.addEventListener("input", () => {
    field.ariaInvalid = null;
    write(problem, "");
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = field.value.trim().normalize("NFC").toLowerCase().replace(/\s+/g, "-");
    let words = "A name has up to 40 letters, digits, - and _, a letter or digit first.";
    if (NAME.test(name)) {
      try {
        // Some names the server keeps for itself.
        await fetchMessages(`${MAIN}${encodeURIComponent(name)}/chat`, { max: 1 });
        return location.assign(MAIN + encodeURIComponent(name));
      } catch (error) {
        words = /** @type {Error} */ (error).message || "The chat can't be reached just now.";
      }
    }
    field.ariaInvalid = "true";
    write(problem, words);
    field.focus();
  });
}

/** Where this browser has been, the last first, and the last message that was seen there, if any. */
function roomsSeen() {
  /** @type {{ name: string, id?: string, at: number }[]} */
  const rooms = [];
  for (const key of keysOfAllRooms()) {
    // As in "chat /biology/chat seen".
    const [, name] = /^((?:[^/]+\/)?)chat seen$/.exec(key.slice(SITE.length)) ?? [];
    if (name === undefined) continue;
    try {
      const { id, at } = JSON.parse(localStorage.getItem(key) ?? "");
      if (id !== undefined && !/^\d+-\d+$/.test(id)) continue;
      if (Number.isFinite(at)) rooms.push({ name: decodeURIComponent(name.slice(0, -1)), id, at });
    } catch {
      // SyntaxError, TypeError, URIError: not ours.
    }
  }
  return rooms.sort((a, b) => b.at - a.at);
}

/**
 * One room after another, since a browser has few connections.
 *
 * @param {{ chat: string, id?: string, count: HTMLElement }[]} rooms `id`: the last message seen there.
 */
async function countUnread(rooms) {
  for (const { chat, id, count } of rooms) {
    // The dialog was closed.
    if (!count.isConnected) return;
    try {
      const { messages: { length } } = await fetchMessages(chat, { since: id, max: PAGE_SIZE });
      if (length > 0) write(count, `${length}${length < PAGE_SIZE ? "" : " or more"} new`);
    } catch {
      // RequestError: no server just now, or no such room any more.
    }
  }
}
