/** A writer that repeats every post, with its key, until it has a response. */

import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "./random.ts";
import type { Room } from "./room.ts";
import { isBroken, type Run } from "./run.ts";

const FILLERS = ["x", "word ", "line\n", "é", "👋🏽", "שלום ", '"\\'];
/** A long text has nearly 4,000 code points, the most there may be, and 16 KB. */
const LONG_TEXT = "👋🏽".repeat(1950);

/** Posts one by one and in bursts, to the main room as much as to all others, until the run finishes. */
export async function write(run: Run, name: string): Promise<void> {
  const random = run.random(name);
  const [mainRoom, ...otherRooms] = run.rooms;
  const keys: (readonly [Room, string])[] = [];
  for (let turn = 0; !run.isFinishing; turn++) {
    // Not awaited without need: a pause must not begin between here and the turn.
    if (run.pause) await run.pause;
    const room = random.chance(0.5) ? mainRoom : random.pick(otherRooms);
    for (const key of await writeTurn(room, name, turn, newTexts(random))) keys.push([room, key]);
    // A response that arrived long ago, perhaps before a restart, is given again.
    if (run.remembersKeys && random.chance(0.05)) await post(...random.pick(keys));
    await delay(random.int(0, 15));
  }
}

/** Posts this many long messages, a hundred at once, to one room after another. */
export async function writeLongMessages({ rooms }: Run, count: number): Promise<void> {
  for (let turn = 0; turn * 100 < count; turn++) {
    const room = rooms[turn % rooms.length];
    await writeTurn(room, "novelist", turn, new Array(100).fill(LONG_TEXT));
  }
}

/** Posts each text to a room, all at once, and returns their keys when all have a response. */
async function writeTurn(
  room: Room,
  name: string,
  turn: number,
  texts: readonly string[],
): Promise<string[]> {
  const keys = texts.map((_, n) => `${name}-${turn}-${n}`);
  for (const [n, key] of keys.entries()) {
    room.sent.set(key, { nickname: name, message: `${key} ${texts[n]}`.trim() });
  }
  await Promise.all(keys.map((key) => post(room, key)));
  return keys;
}

/** Sends a post until there is a response. One that had a response before is a repeat. */
export async function post(room: Room, key: string): Promise<void> {
  const { run } = room;
  const random = run.random(key);
  const sent = room.sent.get(key)!;
  const { nickname, message } = sent;
  const body = new URLSearchParams({ nickname, message });
  const headers: Record<string, string> = {};
  if (random.chance(0.5)) body.set("key", key);
  else headers["idempotency-key"] = key;
  const isRepeat = sent.stored !== undefined;
  for (let attempt = 1; !run.isGivenUp; attempt++) {
    const instance = random.pick(run.instances);
    const isReachable = instance.watchLog();
    const hangUp = new AbortController();
    const timer = random.chance(0.03)
      ? setTimeout(() => hangUp.abort(), random.int(0, 4))
      : undefined;
    try {
      run.note("post");
      const response = await fetch(`${room.urlAt(instance)}/chat`, {
        method: "POST",
        body,
        headers,
        signal: hangUp.signal,
      });
      const text = (await response.text()).trimEnd();
      const isFirst = attempt === 1 && !isRepeat;
      if (takeResponse(room, key, response.status, text, isFirst)) return;
      // Who can't reach the log, or is about to stop, refuses a post.
      if (response.status === 503 && (instance.life === undefined || !isReachable())) {
        run.figures.refused++;
      } else {
        room.problem("a post was refused", `${key} got ${response.status}: ${text}`);
      }
    } catch (error) {
      if (!isBroken(error)) throw error;
    } finally {
      clearTimeout(timer);
    }
    run.figures.retries++;
    await delay(random.int(0, 50));
  }
}

/** Takes a response: 201 to a new post, 200 to a repeat; returns whether it is one of these. */
function takeResponse(
  room: Room,
  key: string,
  status: number,
  text: string,
  isFirst: boolean,
): boolean {
  const { run } = room;
  const sent = room.sent.get(key)!;
  const isNew = sent.stored === undefined;
  if (status !== 201 && status !== 200) return false;
  if (status === 200 ? isFirst : !isNew) {
    room.problem("a post got the wrong status", `${key} got ${status}, ${isNew ? "new" : "again"}`);
  }
  if (status === 200) run.figures.repeats++;
  if (isNew) room.stored++;
  else if (sent.stored !== text) {
    room.problem("a repeat got another message", `${key} got ${sent.stored}, then ${text}`);
  }
  sent.stored = text;
  run.note("response");
  return true;
}

/** The texts of a turn: usually one, now and then a burst of short or of long ones. */
function newTexts(random: Random): string[] {
  if (random.chance(0.08)) return new Array(random.int(20, 40)).fill(LONG_TEXT);
  const count = random.chance(0.08) ? random.int(5, 40) : 1;
  return Array.from({ length: count }, () => {
    const filler = random.pick(FILLERS);
    const length = random.int(0, random.chance(0.3) ? 500 : 40);
    return filler.repeat(Math.floor(length / filler.length));
  });
}
