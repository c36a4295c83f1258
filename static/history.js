// @ts-check
/// <reference lib="dom" />
/** Kept messages, asked for as JSON. */

/** @import { ChatMessage } from "./message.js" */

/** So many are fetched at a time when somebody scrolls. */
export const PAGE_SIZE = 50;

/**
 * The latest messages, those since or those before a message; oldest first. `missed` says how many
 * before them are lost, null that this is not known. Of those since a message the server gives all
 * there are; no more than the first `most` are read.
 *
 * @param {{ since?: string, before?: string, most?: number }} range
 * @returns {Promise<{ messages: ChatMessage[], missed: number | null }>}
 * @throws {TypeError} If the server can't be reached or does not give them.
 */
export async function fetchMessages({ since, before, most } = {}) {
  const query = since ? `?since=${since}` : before ? `?before=${before}` : "";
  const response = await fetch(`/chat${query}`, {
    headers: { accept: "application/json" },
    cache: "no-store",
  });
  if (!response.ok) throw new TypeError(`No messages: ${response.status}`);
  const gap = response.headers.get("chat-gap") ?? "0";
  const messages = most ? await readFirst(response, most) : await response.json();
  return { messages, missed: gap === "unknown" ? null : Number(gap) };
}

/**
 * The first messages of many: the server writes each in a line of its own.
 *
 * @param {Response} response
 * @param {number} most
 */
async function readFirst({ body }, most) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return JSON.parse(text);
    text += decoder.decode(value, { stream: true });
    const lines = text.split(",\n");
    if (lines.length <= most) continue;
    reader.cancel();
    return JSON.parse(`${lines.slice(0, most)}]`);
  }
}
