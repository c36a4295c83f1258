/**
 * What a moderator does: a button at each message, of which one is on the way of the Tab key and the
 * arrow keys lead to the others; the dialog that it opens; and what is done to the room. What has been
 * done stands in a line over the form, with a way back where there is one. Loaded for moderators.
 */

/** @import { ChatMessage } from "./client.js" */
/** @import { Transcript } from "./transcript.js" */
import { ask, attempt, loadDialogs, loadStyle, openDialog } from "./dialog.js";
import { momentWords } from "./drawing.js";
import { CHAT, find, MAIN, make, write } from "./page.js";
import { request } from "./client.js";

/** @typedef {{ closed: boolean, muted: { by: string, until: string }[], removed?: number }} RoomState */

const MODERATION = CHAT.replace(/chat$/, "moderation");
/** For this long it is said what was done. */
const DEED_MS = 30_000;

/** @type {RoomState} */
let room = { closed: false, muted: [] };
/** By the mark of who was met here. @type {Map<string, string>} */
const names = new Map();

export async function moderate(/** @type {Transcript} */ transcript) {
  await Promise.all([loadDialogs(), loadStyle("moderation")]);
  find("main > form", HTMLFormElement).before(make("deed-template"));
  addButtons(transcript);
  await refresh();
  if (room.closed) sayClosed("Open");
}

/** Fills in the part of a dialog that is about the room. */
export async function showRoom(/** @type {HTMLDialogElement} */ dialog) {
  const section = find(".moderating", HTMLElement, dialog);
  const problem = find(".problem", HTMLElement, section);
  const close = find(".close-room", HTMLButtonElement, section);
  const clear = find(".clear-room", HTMLButtonElement, section);
  close.addEventListener("click", () => {
    attempt(dialog, () => setClosed(!room.closed), problem);
  });
  clear.addEventListener("click", () => {
    const words = "All messages are removed for everybody. This can't be undone.";
    ask("Clear the room", words, "Clear", () => act({ action: "clear" }));
  });
  const remove = find(".delete-room", HTMLButtonElement, section);
  remove.hidden = CHAT === `${MAIN}chat`;
  remove.addEventListener("click", () => {
    const words =
      "All messages are removed for everybody, and it is forgotten who is muted and that " +
      "the room is closed. This can't be undone. Whoever writes here begins it anew.";
    ask("Delete the room", words, "Delete", () => act({ action: "delete" }));
  });
  await refresh();
  write(close, room.closed ? "Open the room" : "Close the room");
  section.hidden = false;
  const items = room.muted.map(({ by, until }) => {
    const item = make("muted-template");
    find("bdi", HTMLElement, item).textContent = names.get(by) ?? by;
    fillTime(find("time", HTMLTimeElement, item), until);
    const button = find("button", HTMLButtonElement, item);
    button.ariaLabel = `Unmute ${names.get(by) ?? by}`;
    button.addEventListener("click", () => attempt(dialog, () => unmute(by), problem));
    return item;
  });
  find("ul", HTMLElement, section).replaceChildren(...items);
}

function addButtons(/** @type {Transcript} */ transcript) {
  const log = find("[role=log]", HTMLElement);
  const list = find(".transcript", HTMLElement);
  const template = find("#entry-template", HTMLTemplateElement).content;
  for (const entry of [template, list].flatMap((each) => [...each.querySelectorAll(".entry")])) {
    entry.append(make("act-template"));
  }
  /** The one that the Tab key leads to. @type {HTMLElement=} */
  let current;
  const point = (/** @type {Element | null | undefined} */ entry) => {
    const button = entry?.querySelector(".act");
    if (!(button instanceof HTMLElement)) return;
    if (current) current.tabIndex = -1;
    current = button;
    current.tabIndex = 0;
    const { nickname, message } = transcript.messageOf(entry ?? null) ?? {};
    current.ariaLabel = `Moderate ${nickname}: ${message?.slice(0, 80)}`;
  };
  let hadFocus = false;
  log.addEventListener("focusin", ({ target }) => {
    hadFocus = target instanceof Element && target.matches(".act");
    if (hadFocus) point(/** @type {Element} */ (target).parentElement);
  });
  // Later than what is removed is seen to be: it takes the focus with it.
  log.addEventListener(
    "focusout",
    () => setTimeout(() => hadFocus = document.activeElement?.matches(".act") ?? false),
  );
  new MutationObserver(() => {
    const isLost = current && !current.isConnected && hadFocus;
    if (isLost || !current?.isConnected || !hadFocus) point(entriesOf(list).at(-1));
    // What was removed took the focus with it.
    if (isLost && document.activeElement === document.body) current?.focus();
  }).observe(list, { childList: true });
  point(entriesOf(list).at(-1));

  log.addEventListener("keydown", (event) => {
    if (!(event.target instanceof Element) || !event.target.matches(".act")) return;
    const entries = entriesOf(list);
    const index = entries.findIndex((entry) => entry === current?.parentElement);
    const next = { ArrowUp: index - 1, ArrowDown: index + 1, Home: 0, End: entries.length - 1 }[
      event.key
    ];
    if (next === undefined) return;
    event.preventDefault();
    point(entries[next]);
    current?.focus();
  });
  log.addEventListener("click", ({ target }) => {
    if (!(target instanceof Element) || !target.matches(".act")) return;
    const entry = target.parentElement;
    const message = transcript.messageOf(entry);
    if (message) openMenu(message, entry?.classList.contains("own") ?? false);
  });
}

function entriesOf(/** @type {Element} */ list) {
  return [...list.querySelectorAll(".entry")];
}

/** What may be done about a message and who wrote it. */
async function openMenu(/** @type {ChatMessage} */ message, /** @type {boolean} */ isOwn) {
  const { id, nickname, message: text, by = "", moderator } = message;
  names.set(by, nickname);
  await refresh();
  const dialog = await openDialog("message-template");
  for (const name of dialog.querySelectorAll(".author")) name.textContent = nickname;
  find(".quoted", HTMLElement, dialog).textContent = text;
  const on = (/** @type {string} */ selector, /** @type {() => Promise<unknown>} */ deed) => {
    const button = find(selector, HTMLButtonElement, dialog);
    button.addEventListener("click", () => attempt(dialog, deed));
    return button;
  };
  on(".remove", () => act({ action: "remove", id }));
  const removeAll = find(".remove-all", HTMLButtonElement, dialog);
  removeAll.hidden = !by;
  removeAll.addEventListener("click", () => {
    const words =
      `Everything that ${nickname} has written here is removed for everybody. This can't be undone.`;
    ask(`Remove all by ${nickname}`, words, "Remove all", () => act({ action: "remove", by }));
  });
  const muted = room.muted.find((each) => each.by === by);
  // Moderators can't be muted.
  find(".mute", HTMLElement, dialog).hidden = !by || isOwn || moderator === true || !!muted;
  find(".unmute", HTMLElement, dialog).hidden = !muted;
  if (muted) fillTime(find(".unmute time", HTMLTimeElement, dialog), muted.until);
  for (const { value } of dialog.querySelectorAll("button")) {
    if (value) on(`[value="${value}"]`, () => mute(by, value));
  }
  on(".unmute button", () => unmute(by));
}

async function mute(/** @type {string} */ by, /** @type {string} */ minutes) {
  await act({ action: "mute", by, minutes });
  const { until = "" } = room.muted.find((each) => each.by === by) ?? {};
  say(`${names.get(by)} is muted until ${momentWords(new Date(until))}.`, "Undo", () => unmute(by));
}

async function unmute(/** @type {string} */ by) {
  await act({ action: "unmute", by });
  say(`${names.get(by) ?? by} may write again.`);
}

async function setClosed(/** @type {boolean} */ isClosed) {
  await act({ action: isClosed ? "close" : "open" });
  if (isClosed) sayClosed("Undo");
  else say("The room is open: everybody may write.", "Undo", () => setClosed(true));
}

function sayClosed(/** @type {string} */ verb) {
  say("The room is closed: only moderators may write.", verb, () => setClosed(false));
}

/** @type {ReturnType<typeof setTimeout>=} */
let quiet;

/**
 * Says what was done, and how it is undone.
 *
 * @param {string} words
 * @param {string} verb
 * @param {() => Promise<unknown>} undo
 */
function say(words, verb = "", undo = async () => {}) {
  const line = find(".deed", HTMLElement);
  const button = find("button", HTMLButtonElement, line);
  line.hidden = false;
  find("p", HTMLElement, line).textContent = words;
  find("#news", HTMLElement).textContent = words;
  button.hidden = !verb;
  button.textContent = verb;
  button.onclick = async () => {
    try {
      await undo();
    } catch (error) {
      say(
        /** @type {Error} */ (error).message || "The chat can't be reached just now.",
        verb,
        undo,
      );
    }
  };
  clearTimeout(quiet);
  quiet = setTimeout(() => line.hidden = !room.closed && !line.matches(":focus-within"), DEED_MS);
}

function fillTime(/** @type {HTMLTimeElement} */ element, /** @type {string} */ time) {
  element.dateTime = time;
  element.textContent = momentWords(new Date(time));
}

/** @throws {RequestError} */
async function act(/** @type {Record<string, string>} */ fields) {
  await exchange({ method: "POST", body: new URLSearchParams(fields) });
}

/** Asks how the room is; where that is not possible, what was known last has to do. */
async function refresh() {
  try {
    await exchange({});
  } catch {
    // RequestError: no server just now.
  }
}

async function exchange(/** @type {RequestInit} */ init) {
  room = JSON.parse(await request(MODERATION, init));
}
