/**
 * Requests to the chat. Its answers are told from those of a proxy that can't reach it, or of a page to
 * sign in at.
 */

import { isMessage, isRemoval } from "./message.js";

/** Messages in a page of history. */
export const PAGE_SIZE = 50;
/** After this the chat may or may not have received a request. */
const SILENCE_MS = 15_000;
/** @type {Record<number, "removed" | "signed-out">} */
const REASONS = { 401: "signed-out", 410: "removed" };

export class RequestError extends Error {
  /**
   * @param {"refused" | "removed" | "signed-out" | "unavailable"} reason `removed`: it was there.
   * `signed-out`: a reload leads to where one signs in. `unavailable`: it may pass.
   * @param {{ detail?: string, field?: string, retryAfterMs?: number }} more
   */
  constructor(reason, { detail = "", field, retryAfterMs } = {}) {
    super(detail);
    this.reason = reason;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * The latest messages, those since or those before a message; oldest first. `missed` is how many
 * before them are lost, null if unknown; `cursor` is where the next begin. For `since` the chat sends
 * all; only the first `max` are read. Only among all of them it says what is removed.
 *
 * @param {string} chat The address of the room's messages.
 * @param {{ since?: string, before?: string, max?: number }} range
 * @throws {RequestError}
 */
export async function fetchMessages(chat, { since, before, max = Infinity } = {}) {
  const query = new URLSearchParams({
    ...since && { since },
    ...before && { before },
    ...!before && max === Infinity && { removed: "" },
  });
  // Each message is a line.
  let end = 0;
  let lines = 0;
  const { text, headers } = await request(`${chat}?${query}`, {}, (text) => {
    for (let next; lines < max && (next = text.indexOf(",\n", end + 1)) > 0; lines++) end = next;
    return lines === max;
  });
  const entries = parse(lines === max ? `${text.slice(0, end)}]` : text);
  const isEntry = (/** @type {unknown} */ each) => isMessage(each) || isRemoval(each);
  if (!Array.isArray(entries) || !entries.every(isEntry)) throw new RequestError("unavailable");
  const gap = headers.get("chat-gap") ?? "0";
  return {
    entries,
    messages: entries.filter(isMessage),
    removals: entries.filter(isRemoval),
    missed: gap === "unknown" ? null : Number(gap),
    // What comes after nothing is all there will be.
    cursor: entries.at(-1)?.id ?? since ?? "all",
  };
}

/** Posts a message, even while the page goes; returns it as the chat has it. @throws {RequestError} */
export async function postMessage(
  /** @type {string} */ chat,
  /** @type {{ key: string, nickname: string, message: string }} */ { key, nickname, message },
) {
  const body = new URLSearchParams({ nickname, message, key });
  const sent = parse((await request(chat, { method: "POST", body, keepalive: true })).text);
  if (!isMessage(sent)) throw new RequestError("unavailable");
  return sent;
}

/** What is answered in JSON. @throws {RequestError} */
export async function request(
  /** @type {string} */ url,
  /** @type {RequestInit} */ init,
  /** @type {(text: string) => boolean} */ isEnough = () => false,
) {
  const aborter = new AbortController();
  const listen = () => setTimeout(() => aborter.abort(), SILENCE_MS);
  let timer = listen();
  try {
    const response = await fetch(url, {
      ...init,
      headers: { accept: "application/json" },
      cache: "no-store",
      redirect: "manual",
      signal: aborter.signal,
    });
    const type = response.headers.get("content-type") ?? "";
    if (type.startsWith("application/problem+json")) throw refusal(response, await response.json());
    if (!response.ok || !type.startsWith("application/json")) throw foreign(response);
    const { headers, body } = response;
    const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader();
    const decoder = new TextDecoder();
    for (let text = "";;) {
      const { done, value } = await reader.read();
      text += decoder.decode(value, { stream: true });
      if (!done && !isEnough(text)) {
        clearTimeout(timer);
        timer = listen();
        continue;
      }
      reader.cancel();
      return { text, headers };
    }
  } catch (error) {
    // TypeError: no connection. AbortError: silence. SyntaxError: half a refusal.
    throw error instanceof RequestError ? error : new RequestError("unavailable");
  } finally {
    clearTimeout(timer);
  }
}

function parse(/** @type {string} */ text) {
  try {
    return JSON.parse(text);
  } catch {
    // SyntaxError: half an answer.
  }
}

function refusal(
  /** @type {Response} */ { status, headers },
  /** @type {{ detail?: string, field?: string }} */ { detail, field },
) {
  const mayPass = status >= 500 || status === 408 || status === 429;
  const reason = mayPass ? "unavailable" : REASONS[status] ?? "refused";
  return new RequestError(reason, { detail, field, retryAfterMs: retryAfter(headers) });
}

function foreign(/** @type {Response} */ { status, ok, type, headers }) {
  const isSignIn = ok || type === "opaqueredirect" || [401, 403, 407, 511].includes(status);
  const reason = isSignIn ? "signed-out" : "unavailable";
  return new RequestError(reason, { retryAfterMs: retryAfter(headers) });
}

/** In seconds; a date would be by another clock. */
function retryAfter(/** @type {Headers} */ headers) {
  const ms = Number(headers.get("retry-after")) * 1000;
  return ms > 0 ? ms : undefined;
}
