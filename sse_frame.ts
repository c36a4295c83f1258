/**
 * Frames of an event stream, as text: one block of fields and the blank line
 * that ends it (HTML, section 9.2.5, "Parsing an event stream"). The values
 * are ours, so none holds a line break: JSON escapes those of a message.
 */

import type { ChatMessage } from "./chat_message.ts";

/** A message as an event without a name, its JSON on one `data` line. */
export function messageFrame(message: ChatMessage): string {
  return `data: ${JSON.stringify(message)}\n\n`;
}

/** An event with a name; it never moves a reader's cursor. */
export function eventFrame(name: "online" | "ping", data: number | object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** How long a reader waits before it comes back, in milliseconds. */
export function retryFrame(delayMs: number): string {
  return `retry: ${delayMs}\n\n`;
}
