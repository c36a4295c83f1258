/// <reference lib="dom" />
/**
 * The page that a room is shown in: its elements, its address, which may be under any path, and what
 * the browser keeps for that path. Where it keeps nothing, the page itself does.
 */

/** Where messages are read and posted. */
export const CHAT = address(find("form", HTMLFormElement).action);
/** The page of the main room. Those of the others are next to it, as are the files of all. */
export const MAIN = address(new URL(".", import.meta.url).href);
export const WORKER = `${MAIN}connection.js`;
/** Names what the tabs of all rooms share. */
export const SITE = `chat ${new URL(MAIN).pathname}`;
/** Names what the tabs of this room share: locks, channels, notifications, stored values. */
export const ROOM = `chat ${new URL(CHAT).pathname}`;
/** Names the log; with another begins another conversation. */
export const LOG = document.documentElement.dataset.log ?? "";

/** Has the other tabs forget. */
const FORGET = `${SITE} forget`;
/** Names what is kept since everything was forgotten: a random number. */
const MEMORY = `${SITE} memory`;

/** What the browser refused to keep. @type {Map<string, unknown>} */
const memory = new Map();

/** @type {<Result>(use: (storage: Storage) => Result) => Result | undefined} */
const tryStorage = (use) => {
  try {
    return use(localStorage);
  } catch {
    // SecurityError, TypeError: it is blocked. QuotaExceededError: full. SyntaxError: not ours.
  }
};

/**
 * What is kept under a key, if it has the right shape: anybody at this address may have written it.
 *
 * @template Value
 * @param {string} key
 * @param {(value: unknown) => value is Value} isValid
 */
export function recall(key, isValid) {
  const value = memory.get(key) ??
    tryStorage((storage) => JSON.parse(storage.getItem(`${ROOM} ${key}`) ?? "null"));
  if (isValid(value)) return value;
}

export function keep(/** @type {string} */ key, /** @type {unknown} */ value) {
  memory.set(key, value);
  tryStorage((storage) => {
    storage.setItem(`${ROOM} ${key}`, JSON.stringify(value));
    memory.delete(key);
  });
}

export function forget(/** @type {string} */ key) {
  memory.delete(key);
  tryStorage((storage) => storage.removeItem(`${ROOM} ${key}`));
}

export function keysOfAllRooms() {
  const stored = tryStorage((storage) => Object.keys(storage)) ?? [];
  return stored.filter((key) => key.startsWith(SITE));
}

/** Forgets what is kept for any room, in all tabs. */
export function forgetAll() {
  tryStorage((storage) => storage.setItem(FORGET, ""));
  forgetHere();
}

function forgetHere() {
  const sweep = () => {
    tryStorage((storage) => keysOfAllRooms().forEach((key) => storage.removeItem(key)));
    memory.clear();
  };
  sweep();
  // Leaving keeps some things.
  addEventListener("pagehide", sweep);
  beginAnew();
}

function beginAnew() {
  // Lest it be filled in again.
  find("form", HTMLFormElement).reset();
  location.reload();
}

addEventListener("storage", ({ key, newValue }) => {
  if (key === FORGET && newValue !== null) forgetHere();
});
const currentMemory = () => tryStorage((storage) => storage.getItem(MEMORY));
tryStorage((storage) => currentMemory() ?? storage.setItem(MEMORY, String(Math.random())));
const ownMemory = currentMemory();
addEventListener("pageshow", ({ persisted }) => {
  // Everything was forgotten while nothing was reported here.
  if (persisted && currentMemory() !== ownMemory) beginAnew();
});

export function keysOf(/** @type {string} */ prefix) {
  const ours = keysOfAllRooms().filter((key) => key.startsWith(`${ROOM} `));
  return [...memory.keys(), ...ours.map((key) => key.slice(ROOM.length + 1))]
    .filter((key) => key.startsWith(prefix)).sort();
}

/** Listens for what another tab changes under a key that begins so. */
export function onKeptElsewhere(/** @type {string} */ prefix, /** @type {() => void} */ listener) {
  addEventListener("storage", ({ key }) => {
    // null: everything was cleared.
    if (key === null || key.startsWith(`${ROOM} ${prefix}`)) listener();
  });
}

/** Without a name and password, which no request may have. */
function address(/** @type {string} */ url) {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

/**
 * The one element that a selector names.
 *
 * @template {Element} Kind
 * @param {string} selector
 * @param {new () => Kind} kind
 * @param {ParentNode} within
 */
export function find(selector, kind, within = document) {
  const element = within.querySelector(selector);
  if (element instanceof kind) return element;
  throw new TypeError(`There is no ${kind.name} at ${selector}`);
}

/** A new element from the `<template>` with that id. */
export function make(/** @type {string} */ id) {
  const template = find(`#${id}`, HTMLTemplateElement);
  return /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
}

/** @type {WeakMap<Element, string>} */
const written = new WeakMap();

/** Writes a text unless it was the last, which may have been translated meanwhile. */
export function write(/** @type {Element} */ element, /** @type {string} */ text) {
  if (written.get(element) === text) return;
  written.set(element, text);
  element.textContent = text;
}
