/** Readers of histories: each is an array of its own, and the next may continue after it. */

import { RawResponse } from "../raw_stream.ts";
import { beAway, type Begin, Bites, type Pace, targetAfter, targetOf } from "./habits.ts";
import type { Random } from "./random.ts";
import type { Room } from "./room.ts";
import { isBroken } from "./run.ts";
import type { ChatMessage } from "../../chat_message.ts";
import { excerpt, type Item, type Part, type Transcript } from "./transcript.ts";

const BEGINS: readonly Begin[] = ["all", "latest", "none"];

/** Reads histories of a room until the run finishes. */
export async function readHistories(room: Room, name: string, pace: Pace): Promise<Transcript> {
  const { run } = room;
  const random = run.random(name);
  const parts: Part[] = [];
  let cursor: string | undefined;
  let begin: Begin | undefined = "all";
  while (!run.isFinishing) {
    try {
      const part = await readHistory(room, { name, begin, cursor, random, pace });
      if (part) {
        parts.push(part);
        cursor = part.items.at(-1)?.id ?? cursor;
        begin = cursor === undefined || random.chance(0.2) ? random.pick(BEGINS) : undefined;
        run.figures.histories++;
      }
    } catch (error) {
      if (!isBroken(error)) throw error;
    }
    await beAway(room, random);
  }
  return { name, parts, isToEnd: false };
}

/** Who reads a history, where from and how. */
interface Reading {
  readonly name: string;
  /** Undefined: after the cursor. */
  readonly begin: Begin | undefined;
  readonly cursor: string | undefined;
  readonly random: Random;
  readonly pace: Pace;
}

/** Reads one history to its end, or as far as it goes; nothing if the server can't reach its log. */
async function readHistory(
  room: Room,
  { name, begin, cursor, random, pace }: Reading,
): Promise<Part | undefined> {
  const { run, log, stored: minLength } = room;
  const instance = random.pick(run.instances);
  const { life } = instance;
  const isReachable = instance.watchLog();
  const bites = new Bites(run, instance, random, pace);
  const [path, headers] = begin === undefined
    ? targetAfter(room, cursor!, random)
    : targetOf(room, begin);
  using response = await RawResponse.get(instance.port, path, {
    ...headers,
    accept: "application/json",
  });
  if (response.status === 503 && !isReachable()) return undefined;
  if (response.status !== 200) {
    room.problem("a history got the wrong status", `${name}: ${response.status}`);
  }
  let text = "";
  for (;;) {
    const piece = await response.read(await bites.next());
    if (piece === undefined) break;
    run.note("replay");
    text += piece;
  }
  const end = response.end!;
  const maxLength = room.maxLength(log);
  const messages = parseMessages(text, end === "complete");
  if (!messages) {
    room.problem("a history is not JSON", `${name} got ${excerpt(text)}, ${end}`);
  }
  const header = response.headers.get("chat-gap");
  const gap = header === null || header === "unknown" ? header ?? undefined : Number(header);
  const items = (messages ?? []).map((message, n): Item => {
    room.receive(name, message.id, JSON.stringify(message));
    return { id: message.id, isMessage: true, ...n === 0 ? { gap, maxLength } : {} };
  });
  const wasRunning = life !== undefined && instance.life === life && isReachable() &&
    !run.isGivenUp;
  return { log, begin, minLength, items, history: { end, wasRunning, maxLength } };
}

/** The messages in an array, or in the part of one that arrived. */
function parseMessages(text: string, isComplete: boolean): ChatMessage[] | undefined {
  // Each message but the last is followed by a comma at the end of its line.
  const lastComma = text.lastIndexOf(",\n");
  try {
    return JSON.parse(isComplete ? text : lastComma < 0 ? "[]" : `${text.slice(0, lastComma)}]`);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}
