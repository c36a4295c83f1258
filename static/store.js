// @ts-check
/// <reference lib="dom" />
/**
 * Values that outlive the page: in localStorage for the whole browser, in sessionStorage for this
 * tab. Where the browser keeps nothing they last as long as the page.
 */

/** @typedef {"localStorage" | "sessionStorage"} Area */

/** What the browser would not keep. */
const memory = new Map();

/**
 * @param {string} key
 * @param {Area} area
 * @returns {any} undefined where there is none
 */
export function recall(key, area = "localStorage") {
  if (memory.has(key)) return memory.get(key);
  try {
    return JSON.parse(globalThis[area].getItem(`chat.${key}`) ?? "null") ?? undefined;
  } catch {
    // SecurityError: storage is blocked. SyntaxError: somebody else wrote there.
    return undefined;
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 * @param {Area} area
 */
export function keep(key, value, area = "localStorage") {
  try {
    globalThis[area].setItem(`chat.${key}`, JSON.stringify(value));
    memory.delete(key);
  } catch {
    // SecurityError: storage is blocked. QuotaExceededError: it is full.
    memory.set(key, value);
  }
}

/**
 * Calls back when another tab keeps something under one of the keys.
 *
 * @param {string[]} keys
 * @param {() => void} listener
 */
export function onKeptElsewhere(keys, listener) {
  addEventListener("storage", ({ key }) => {
    // null: everything was cleared.
    if (key === null || keys.some((name) => key === `chat.${name}`)) listener();
  });
}
