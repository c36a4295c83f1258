/**
 * Frames of an event stream, as text: one block of fields and the blank line
 * that ends it (HTML, section 9.2.5, "Parsing an event stream"). The values
 * are ours, so none holds a line break: JSON escapes those of a message.
 */

import type { LogEntry } from "../message_log/message_log.ts";

/**
 * Messages as events without a name, removals as events `removed`, each with its id and its JSON on one
 * `data` line.
 */
export function entryFrames(entries: readonly LogEntry[]): string {
  let frames = "";
  for (const { id, json, removes } of entries) {
    frames += `id: ${id}\n${removes === undefined ? "" : "event: removed\n"}data: ${json}\n\n`;
  }
  return frames;
}

/** An event with a name. It has no id, so it never moves a reader's cursor. */
export function eventFrame(name: "gap" | "online" | "ping", data: number | object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** A cursor without an event: the reader remembers it and hears nothing. */
export function cursorFrame(id: string): string {
  return `id: ${id}\n\n`;
}

/** How long a reader waits before it comes back, in milliseconds. */
export function retryFrame(delayMs: number): string {
  return `retry: ${delayMs}\n\n`;
}
