/** The entries of a stream as those of a log. */

import { type ChatMessage, messageJson, momentOf } from "../../chat_message.ts";
import type { LogEntry } from "../message_log.ts";
import type { RawEntry } from "./tail.ts";

type Content = Pick<ChatMessage, "nickname" | "message" | "by" | "moderator">;

/** The last moment, since many messages share it. */
let lastMoment = { ms: NaN, moment: momentOf(new Date(0)) };

/** A message as JSON: its time is that in its id. */
export function toJson(id: string, { nickname, message, by, moderator }: Content): string {
  const ms = Number(id.slice(0, id.indexOf("-")));
  if (ms !== lastMoment.ms) lastMoment = { ms, moment: momentOf(new Date(ms)) };
  return messageJson({ id, nickname, message, ...lastMoment.moment, by, moderator });
}

export function toEntries(raw: readonly RawEntry[]): LogEntry[] {
  return raw.map(toEntry);
}

export function toEntry([id, list]: RawEntry): LogEntry {
  if (list[0] === "r") {
    const removes = list[1];
    return { id, json: JSON.stringify({ id, removes }), removes };
  }
  const fields: Record<string, string> = {};
  for (let index = 0; index < list.length; index += 2) fields[list[index]] = list[index + 1];
  const { n: nickname, m: message, b: by, o } = fields;
  return { id, json: toJson(id, { nickname, message, by, ...(o && { moderator: true }) }) };
}

/** Whether fields are of the removal of all that is before it. */
export function isClear([field, value]: readonly string[]): boolean {
  return field === "r" && value === "all";
}

/** The sequence number in an id. */
export function seqOf(id: string): number {
  return Number(id.slice(id.indexOf("-") + 1));
}
