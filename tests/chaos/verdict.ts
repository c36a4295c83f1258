/** What must hold when a run is over, told as a list of what does not. */

import { type ChatMessage, compareIds } from "../../chat_message.ts";
import type { Transcript } from "./reader.ts";
import type { Room } from "./room.ts";

/** A newcomer begins with so many messages. */
const LATEST_COUNT = 50;

/** What is wrong with the log: each post is in it once, as it was sent, answered and received. */
export function findInLog(room: Room, log: readonly ChatMessage[]): string[] {
  const problems: string[] = [];
  const found = new Map<string, string>();
  const turns = new Map<string, number>();
  for (const [n, entry] of log.entries()) {
    const { id, nickname, message } = entry;
    const json = JSON.stringify(entry);
    if (n > 0 && compareIds(log[n - 1].id, id) >= 0) {
      problems.push(`${id} is behind ${log[n - 1].id} in the log`);
    }
    const key = message.split(/\s/, 1)[0];
    const sent = room.sent.get(key);
    if (sent?.nickname !== nickname || sent.message !== message) {
      problems.push(`nobody sent ${json}`);
      continue;
    }
    if (found.has(key)) problems.push(`${key} is in the log as ${found.get(key)} and as ${id}`);
    found.set(key, id);
    if (sent.answer !== json) {
      problems.push(`${key} was answered ${sent.answer}, stored is ${json}`);
    }
    const received = room.received.get(id) ?? json;
    if (received !== json) problems.push(`readers got ${received}, stored is ${json}`);
    // A writer begins a turn when all of the last is answered.
    const turn = Number(key.split("-")[1]);
    if (turn < turns.get(nickname)!) problems.push(`${key} is behind a later post of ${nickname}`);
    turns.set(nickname, turn);
  }
  for (const [key, { answer }] of room.sent) {
    if (!answer) problems.push(`${key} was never answered`);
    else if (!found.has(key)) problems.push(`${key} was answered ${answer}, and is not in the log`);
  }
  return problems;
}

/** What is wrong with a transcript: it is the log's run from where the reader began to the end. */
export function findInTranscript(transcript: Transcript, log: readonly ChatMessage[]): string[] {
  const { name, begin, ids, startCursor, answeredBefore, sentBefore } = transcript;
  const who = `${name} (${begin})`;
  const places = new Map(log.map(({ id }, place) => [id, place]));
  const unknown = ids.filter((id) => !places.has(id));
  if (unknown.length > 0) return [`${who} got ${unknown.join(", ")}, not in the log`];
  if (ids.length === 0) return [`${who} got nothing`];
  const problems: string[] = [];
  const first = places.get(ids[0])!;
  for (let n = 1; n < ids.length; n++) {
    const place = places.get(ids[n])!;
    const wanted = places.get(ids[n - 1])! + 1;
    if (place !== wanted) {
      problems.push(`${who} got ${ids[n]} where ${log[wanted]?.id ?? "the end"} was to come`);
    }
  }
  if (ids.at(-1) !== log.at(-1)!.id) problems.push(`${who} ended before the log, at ${ids.at(-1)}`);
  // Where the log ended when the reader came is known to lie between two counts.
  const [least, most] = begin === "all"
    ? [0, 0]
    : [answeredBefore, sentBefore].map((count) =>
      Math.max(0, begin === "latest" ? count - LATEST_COUNT : count)
    );
  if (first < least || first > most) {
    problems.push(`${who} began with message ${first}, not one of ${least} to ${most}`);
  }
  if (startCursor && (places.get(startCursor) ?? -1) !== first - 1) {
    problems.push(`${who} was to begin after ${startCursor} and got ${ids[0]}`);
  }
  return problems;
}
