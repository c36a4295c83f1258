/** A reader that follows the chat through all that happens, and keeps what it got. */

import { compareIds } from "../../chat_message.ts";
import { EventReader } from "../event_reader.ts";
import type { Random } from "./random.ts";
import { delay, isBroken, type Room } from "./room.ts";

/** Where a reader begins: with all messages, with none, or as a newcomer with the last 50. */
export type Begin = "all" | "none" | "latest";

/** What one reader got. */
export interface Transcript {
  readonly name: string;
  readonly begin: Begin;
  readonly ids: string[];
  /** The id it was given before its first message, if it was given one. */
  startCursor?: string;
  /** How many posts were answered when it asked, and sent when it got its first id. */
  answeredBefore: number;
  sentBefore: number;
}

/** Reads to the last message of the run, and comes back whenever the stream ends before. */
export async function read(room: Room, name: string, begin: Begin): Promise<Transcript> {
  const random = room.random(name);
  const transcript: Transcript = { name, begin, ids: [], answeredBefore: 0, sentBefore: 0 };
  let cursor: string | undefined;

  /** Whether there is more to come. */
  async function follow(response: Response): Promise<boolean> {
    await using events = new EventReader(response);
    let patience = random.chance(0.4) ? random.int(1, 400) : Infinity;
    for (let event = await events.next(); event; event = await events.next()) {
      if (event.event === "gap") room.problem(`${name} was told of a gap after ${cursor}`);
      if (event.id === undefined) continue;
      const id = String(event.id);
      if (cursor === undefined) {
        transcript.sentBefore = room.sent.size;
        if (event.data === undefined) transcript.startCursor = id;
      }
      const before = cursor;
      cursor = id;
      if (event.data === undefined) continue;
      if (before && compareIds(before, id) >= 0) room.problem(`${name} got ${id} after ${before}`);
      transcript.ids.push(id);
      note(room, name, id, event.data);
      if (event.data.includes(`"message":"${room.lastKey}"`)) return false;
      if (--patience <= 0) break;
    }
    return true;
  }

  while (!room.signal.aborted) {
    if (cursor === undefined) transcript.answeredBefore = room.answered;
    try {
      const response = await fetch(...request(room, begin, cursor, random));
      if (response.status !== 200) room.problem(`${name} was answered ${response.status}`);
      if (!await follow(response)) break;
    } catch (error) {
      if (!isBroken(error)) throw error;
    }
    room.figures.reconnects++;
    await delay(random.int(0, 150));
  }
  return transcript;
}

/** A cursor goes in the header, as an EventSource sends it, or in the address. */
function request(
  { url, signal }: Room,
  begin: Begin,
  cursor: string | undefined,
  random: Random,
): [string, RequestInit] {
  if (cursor && random.chance(0.3)) return [`${url}?since=${cursor}`, { signal }];
  const headers: Record<string, string> = cursor ? { "last-event-id": cursor } : {};
  return [begin === "latest" ? url : `${url}?since=${begin}`, { headers, signal }];
}

/** All readers get the same of a message. */
function note(room: Room, name: string, id: string, json: string): void {
  const first = room.received.get(id);
  if (first === undefined) room.received.set(id, json);
  else if (first !== json) room.problem(`${name} got ${json}, another ${first}`);
  room.note("message");
}
