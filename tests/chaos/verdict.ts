/** What must hold when a run is over: notes every way in which it does not. */

import { type ChatMessage, compareIds, parseId } from "../../chat_message.ts";
import type { Begin } from "./habits.ts";
import type { Room } from "./room.ts";
import type { HistoryEnd, Item, Part, Transcript } from "./transcript.ts";

/** How many of the messages kept a reader begins with. */
const BEGIN_COUNTS: Readonly<Record<Begin, number>> = { all: Infinity, latest: 50, none: 0 };

/** Checks all of a room, given the messages that the server keeps of it at the end of the run. */
export function judge(
  room: Room,
  kept: readonly ChatMessage[],
  transcripts: readonly Transcript[],
): void {
  const logs = [...room.replacedLogs, room.messages()];
  for (const log of logs) checkLog(room, log);
  checkKept(room, kept, logs.at(-1)!);
  const verdict = new TranscriptCheck(room, logs);
  for (const transcript of transcripts) verdict.check(transcript);
}

/** Each post is in the log as it was sent and received, each writer's posts in order. */
function checkLog(room: Room, log: readonly ChatMessage[]): void {
  const turns = new Map<string, number>();
  let previous: ChatMessage | undefined;
  for (const entry of log) {
    const { id, nickname, message } = entry;
    const json = JSON.stringify(entry);
    if (previous && compareIds(previous.id, id) >= 0 || seqOf(id) !== seqOf(previous?.id) + 1) {
      room.problem("ids do not count the messages", `${id} comes after ${previous?.id}`);
    }
    previous = entry;
    const received = room.received.get(id) ?? json;
    if (received !== json) {
      room.problem("readers received another message than the writer", `${received}, ${json}`);
    }
    // A writer begins a turn when it has all responses of the one before.
    const turn = Number(message.split("-")[1]);
    if (turn < turns.get(nickname)!) {
      room.problem("a writer's posts are out of order", `${json} comes after a later one`);
    }
    turns.set(nickname, turn);
  }
}

/** The server keeps exactly the last messages that had a response. */
function checkKept(room: Room, kept: readonly ChatMessage[], log: readonly ChatMessage[]): void {
  for (const [key, { nickname, message, stored }] of room.sent) {
    if (stored === undefined) {
      room.problem("a post never got a response", key);
      continue;
    }
    const entry: ChatMessage = JSON.parse(stored);
    if (entry.nickname !== nickname || entry.message !== message) {
      room.problem("a post was stored with another text", `${key}: ${stored}`);
    }
  }
  const wanted = log.slice(-room.run.keep).map((entry) => JSON.stringify(entry));
  const found = kept.map((entry) => JSON.stringify(entry));
  for (const json of new Set(wanted).difference(new Set(found))) {
    room.problem("the log has lost a message that had a response", json);
  }
  for (const json of new Set(found).difference(new Set(wanted))) {
    room.problem("the log has a message that had no response", json);
  }
  if (found.length > new Set(found).size) room.problem("the log has a message twice", "");
}

/** A log that a reader may have read: which message is where. */
class Log {
  readonly length: number;
  readonly #positions: ReadonlyMap<string, number>;

  constructor(messages: readonly ChatMessage[]) {
    this.length = messages.length;
    this.#positions = new Map(messages.map(({ id }, position) => [id, position]));
  }

  /** The position of a message, -1 for the cursor before the first, undefined for any other id. */
  position(id: string): number | undefined {
    return seqOf(id) === 0 ? -1 : this.#positions.get(id);
  }
}

/** Checks that transcripts are exact runs of the log, and that gaps say exactly what is missing. */
class TranscriptCheck {
  readonly #room: Room;
  readonly #logs: readonly Log[];

  constructor(room: Room, logs: readonly (readonly ChatMessage[])[]) {
    this.#room = room;
    this.#logs = logs.map((log) => new Log(log));
  }

  check({ name, parts, isToEnd }: Transcript): void {
    let cursor: string | undefined;
    for (const part of parts) {
      for (const [n, item] of part.items.entries()) {
        const isFirst = n === 0 && part.begin !== undefined;
        const problem = isFirst ? this.#findAtBegin(part, item) : this.#find(part, item, cursor!);
        if (problem) this.#room.problem(problem, `${name} got ${item.id} after ${cursor}`);
        cursor = item.id;
      }
      const problem = part.history && this.#findAtEnd(part, part.history, cursor);
      if (problem) this.#room.problem(problem, `${name}, after ${cursor}`);
    }
    const log = this.#logs.at(-1)!;
    if (isToEnd && (cursor === undefined || log.position(cursor) !== log.length - 1)) {
      this.#room.problem("a reader did not get to the end", `${name} ended at ${cursor}`);
    }
  }

  /** What is wrong with what a reader begins with. */
  #findAtBegin(part: Part, item: Item): string | undefined {
    const start = this.#startOf(part, item);
    if (start === undefined) return "a reader got what is not in the log";
    if (item.gap !== undefined) return "a reader that begins was sent a gap";
    const count = Math.min(BEGIN_COUNTS[part.begin!], this.#room.run.keep);
    if (!isFromEnd(part, item, start, count)) return `a reader of ${part.begin} began elsewhere`;
  }

  /** What is wrong with an item that follows the one with the cursor. */
  #find(part: Part, item: Item, cursor: string): string | undefined {
    const start = this.#startOf(part, item);
    if (start === undefined) return "a reader got what is not in the log";
    const position = this.#logs[part.log].position(cursor);
    const next = position === undefined ? undefined : position + 1;
    if (item.gap === undefined) {
      if (next === undefined) return "a reader with a cursor that is not in the log got no gap";
      if (start === next) return undefined;
      return start < next ? "a reader got a repeat" : "a reader silently missed messages";
    }
    if (!isFromEnd(part, item, start, this.#room.run.keep)) return "a gap skips what is kept";
    if (item.gap === "unknown") {
      if (next !== undefined) return "a gap has no size after a cursor that is in the log";
    } else if (next === undefined) {
      return "a gap has a size after a cursor that is not in the log";
    } else if (item.gap !== start - next || item.gap === 0) {
      return "a gap has the wrong size";
    }
  }

  /** What is wrong with the end of a history; `cursor` is the last id before it. */
  #findAtEnd(part: Part, history: HistoryEnd, cursor: string | undefined): string | undefined {
    const position = cursor === undefined ? undefined : this.#logs[part.log].position(cursor);
    // One of new messages only has none; one after a cursor that is lost has at least a gap.
    if (position === undefined || part.items.length === 0 && part.begin !== undefined) return;
    const next = position + 1;
    if (history.end === "complete") {
      if (next < part.minLength) return "a history ended in order before the end of the log";
    } else if (history.wasRunning && next >= history.maxLength - this.#room.run.keep) {
      return "a history was broken off while the server was running, though all of it was kept";
    }
  }

  /** The position of an item's message, or of the first message after its cursor. */
  #startOf({ log }: Part, { id, isMessage }: Item): number | undefined {
    const position = this.#logs[log].position(id);
    return position === undefined || isMessage ? position : position + 1;
  }
}

/** Whether a start is `count` messages before the end that the log had at some moment. */
function isFromEnd({ minLength }: Part, item: Item, start: number, count: number): boolean {
  const [min, max] = [minLength, item.maxLength!].map((length) => Math.max(0, length - count));
  return min <= start && start <= max;
}

function seqOf(id: string | undefined): number {
  return id === undefined ? 0 : parseId(id)!.seq;
}
