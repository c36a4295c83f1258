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
 * The keys in localStorage that begin so, in order.
 *
 * @param {string} prefix
 */
export function keysOf(prefix) {
  const kept = new Set(memory.keys());
  try {
    for (const key of Object.keys(localStorage)) kept.add(key.replace(/^chat\./, ""));
  } catch {
    // SecurityError: storage is blocked.
  }
  return [...kept].filter((key) => key.startsWith(prefix)).sort();
}

/** @param {string} key */
export function forget(key) {
  memory.delete(key);
  try {
    localStorage.removeItem(`chat.${key}`);
  } catch {
    // SecurityError: storage is blocked.
  }
}

/**
 * Calls back when another tab keeps something under a key that begins so.
 *
 * @param {string[]} prefixes
 * @param {() => void} listener
 */
export function onKeptElsewhere(prefixes, listener) {
  addEventListener("storage", ({ key }) => {
    // null: everything was cleared.
    if (key === null || prefixes.some((prefix) => key.startsWith(`chat.${prefix}`))) listener();
  });
}
