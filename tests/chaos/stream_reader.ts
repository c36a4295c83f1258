/** Readers of the stream, which follow the chat through everything that happens. */

import { RawStream } from "../raw_stream.ts";
import { beAway, type Begin, Bites, type Pace, targetAfter, targetOf } from "./habits.ts";
import type { Instance } from "./instance.ts";
import type { Random } from "./random.ts";
import type { Room } from "./room.ts";
import { isBroken } from "./run.ts";
import { excerpt, type Item, type Part, type Transcript } from "./transcript.ts";

/** A whole block: an id with or without a message, an event, or a `retry`. */
const BLOCK =
  /^(?:id: (?<id>\d+-\d+)(?:\ndata: (?<json>[^\n]*))?|event: (?<event>\w+)\ndata: (?<data>[^\n]*)|retry: (?<retry>\d+))$/;

/** Reads to the last message of a room; comes back whenever the stream ends before that. */
export async function followRoom(
  room: Room,
  name: string,
  begin: Begin,
  pace: Pace,
): Promise<Transcript> {
  const { run } = room;
  const reader = new StreamReader(room, name, begin, pace);
  while (!run.isGivenUp) {
    try {
      if (!await reader.readStream()) break;
    } catch (error) {
      if (!isBroken(error)) throw error;
    }
    run.figures.reconnects++;
    await beAway(room, reader.random);
  }
  return { name, parts: reader.parts, isToEnd: true };
}

class StreamReader {
  readonly parts: Part[] = [];
  readonly random: Random;
  readonly #room: Room;
  readonly #name: string;
  readonly #begin: Begin;
  readonly #pace: Pace;
  #cursor: string | undefined;

  constructor(room: Room, name: string, begin: Begin, pace: Pace) {
    this.random = room.run.random(name);
    this.#room = room;
    this.#name = name;
    this.#begin = begin;
    this.#pace = pace;
  }

  /** Reads one stream; returns whether there is more to come. */
  async readStream(): Promise<boolean> {
    const room = this.#room;
    const { run, log, stored: minLength } = room;
    const instance = this.random.pick(run.instances);
    const { life } = instance;
    const isReachable = instance.watchLog();
    const bites = new Bites(run, instance, this.random, this.#pace);
    const [begin, target] = this.#cursor === undefined
      ? [this.#firstBegin, targetOf(room, this.#firstBegin)]
      : [undefined, targetAfter(room, this.#cursor, this.random)];
    let blocksLeft = this.random.chance(0.4) ? this.random.int(1, 400) : Infinity;
    using stream = await RawStream.open(instance.port, ...target);
    if (stream.response.status === 503 && !isReachable()) return true;
    if (stream.response.status !== 200) {
      room.problem("a stream got the wrong status", `${this.#name}: ${stream.response.status}`);
    }
    const items: Item[] = [];
    this.parts.push({ log, begin, minLength, items });
    let lastBlock = "";
    let gap: number | "unknown" | undefined;
    for (;;) {
      const blocks = await stream.read(await bites.next());
      if (!blocks) break;
      if (!stream.isLive) run.note("replay");
      for (const block of blocks) {
        lastBlock = block;
        const { id, json, missed } = this.#take(block);
        gap = missed ?? gap;
        if (id !== undefined) {
          const maxLength = items.length === 0 || gap !== undefined
            ? room.maxLength(log)
            : undefined;
          items.push({ id, isMessage: json !== undefined, gap, maxLength });
          gap = undefined;
        }
        if (json?.includes(`"message":"${run.lastKey}"`)) return false;
        if (--blocksLeft === 0 || room.recess) return true;
      }
    }
    this.#checkEnd(stream, lastBlock);
    if (!run.isGivenUp && life !== undefined) {
      this.#checkCause(stream, instance, life, isReachable());
    }
    return true;
  }

  /** Whoever begins when all has been written must not wait for the last message. */
  get #firstBegin(): Begin {
    return this.#begin === "none" && this.#room.run.isFinishing ? "latest" : this.#begin;
  }

  /**
   * Takes a block as an EventSource does: its id is the new cursor even if the
   * message is damaged.
   */
  #take(block: string): { id?: string; json?: string; missed?: number | "unknown" } {
    const room = this.#room;
    const { run } = room;
    const { id, json, event, data, retry } = BLOCK.exec(block)?.groups ?? {};
    this.#cursor = id ?? this.#cursor;
    if (json !== undefined && room.received.get(id) === json) {
      run.note("message");
      return { id, json };
    }
    const value = parseJson(json ?? data ?? retry ?? (id && "{}"));
    if (value === undefined || json !== undefined && value.id !== id) {
      const kind = json === undefined ? "a block is damaged" : "a message is damaged, and lost";
      room.problem(kind, `${this.#name} got ${excerpt(block)}`);
      return { id, json };
    }
    if (json !== undefined) room.receive(this.#name, id!, json);
    if (event !== "gap") return { id, json };
    run.figures.gaps++;
    return { missed: value.missed ?? "unknown" };
  }

  #checkEnd({ response: { end }, rest }: RawStream, lastBlock: string): void {
    if (end === "complete" && (rest !== "" || !lastBlock.startsWith("retry: "))) {
      const tail = excerpt(`${lastBlock}\n\n${rest}`);
      const problem = "a stream ended in order, but not with a retry";
      this.#room.problem(problem, `${this.#name} got ${tail}`);
    }
  }

  /** A stream ends only when its server does, or while that can't read the log for it. */
  #checkCause(
    { response: { end }, isLive }: RawStream,
    instance: Instance,
    life: number,
    wasReachable: boolean,
  ): void {
    const room = this.#room;
    // One that is live needs nothing that is in the log.
    const needsLog = !isLive || this.#pace !== "fast";
    if (instance.life === life) {
      if (!wasReachable && needsLog && end === "complete") return;
      const how = end === "complete" ? "ended" : "was broken off";
      const when = isLive ? "live" : "during the replay";
      room.problem(`a stream ${how} while the server was running`, `${this.#name}, ${when}`);
    } else if (end === "broken" && !needsLog && instance.signal !== "SIGKILL") {
      room.problem(`a live stream was broken off by ${instance.signal}`, this.#name);
    }
  }
}

/** The value, or undefined if the text is not JSON. */
function parseJson(text: string | undefined): { id?: string; missed?: number | null } | undefined {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}
