/** A writer that sends every post, with its key, until it has an answer. */

import type { Random } from "./random.ts";
import { delay, isBroken, type Room } from "./room.ts";

const FILLERS = ["x", "word ", "line\n", "é", "👋🏽", "שלום ", '"\\'];

/** Posts one by one and in bursts until the run is over. */
export async function write(room: Room, name: string): Promise<void> {
  const random = room.random(name);
  const keys: string[] = [];
  for (let turn = 0; !room.over; turn++) {
    const size = random.chance(0.08) ? random.int(5, 40) : 1;
    const turnKeys = Array.from({ length: size }, (_, n) => `${name}-${turn}-${n}`);
    for (const key of turnKeys) {
      room.sent.set(key, { nickname: name, message: newText(key, random) });
    }
    await Promise.all(turnKeys.map((key) => post(room, key)));
    keys.push(...turnKeys);
    // An answer that came long ago, perhaps before a restart, comes again.
    if (random.chance(0.05)) await post(room, random.pick(keys));
    await delay(random.int(0, 15));
  }
}

/** Sends a post until it is answered. One that was answered before is a repeat. */
export async function post(room: Room, key: string): Promise<void> {
  const random = room.random(key);
  const sent = room.sent.get(key)!;
  const { nickname, message } = sent;
  const body = new URLSearchParams({ nickname, message });
  const headers: Record<string, string> = {};
  if (random.chance(0.5)) body.set("key", key);
  else headers["idempotency-key"] = key;
  const isRepeat = sent.answer !== undefined;
  for (let attempt = 1; !room.signal.aborted; attempt++) {
    const hangUp = new AbortController();
    const timer = random.chance(0.03)
      ? setTimeout(() => hangUp.abort(), random.int(0, 4))
      : undefined;
    try {
      room.note("post");
      const signal = AbortSignal.any([room.signal, hangUp.signal]);
      const response = await fetch(room.url, { method: "POST", body, headers, signal });
      const answer = (await response.text()).trimEnd();
      checkAnswer(room, key, response.status, attempt === 1 && !isRepeat);
      if (sent.answer !== undefined && sent.answer !== answer) {
        room.problem(`${key} was answered ${sent.answer}, and later ${answer}`);
      }
      if (sent.answer === undefined) room.answered++;
      sent.answer = answer;
      room.note("answer");
      return;
    } catch (error) {
      if (!isBroken(error)) throw error;
      room.figures.retries++;
      await delay(random.int(0, 50));
    } finally {
      clearTimeout(timer);
    }
  }
}

/** 201 for a new message; 200 for one that may have come before. */
function checkAnswer(room: Room, key: string, status: number, isFirst: boolean): void {
  if (status === 200 && !isFirst) room.figures.repeats++;
  else if (status !== 201 || room.sent.get(key)!.answer !== undefined) {
    room.problem(`${key} was answered ${status}${isFirst ? " when it was new" : ""}`);
  }
}

/** A text that begins with its key; most are short, some as long as can be. */
function newText(key: string, random: Random): string {
  const most = random.chance(0.03) ? 3900 : random.chance(0.3) ? 500 : 40;
  const filler = random.pick(FILLERS);
  const count = Math.floor(random.int(0, most) / [...filler].length);
  return `${key} ${filler.repeat(count)}`.trim();
}
