// @ts-check
/// <reference lib="dom" />
/** Kept messages, asked for as JSON. */

/** @import { ChatMessage } from "./message.js" */

/** The server gives this many at a time, unless asked for all since a message. */
export const PAGE_SIZE = 50;

/**
 * The latest messages, those since or those before a message; oldest first. `missed` says how many
 * before them are lost, null that this is not known.
 *
 * @param {{ since?: string, before?: string }} range
 * @returns {Promise<{ messages: ChatMessage[], missed: number | null }>}
 * @throws {TypeError} If the server can't be reached or does not give them.
 */
export async function fetchMessages({ since, before } = {}) {
  const query = since ? `?since=${since}` : before ? `?before=${before}` : "";
  const response = await fetch(`/chat${query}`, {
    headers: { accept: "application/json" },
    cache: "no-store",
  });
  if (!response.ok) throw new TypeError(`No messages: ${response.status}`);
  const gap = response.headers.get("chat-gap") ?? "0";
  return { messages: await response.json(), missed: gap === "unknown" ? null : Number(gap) };
}
