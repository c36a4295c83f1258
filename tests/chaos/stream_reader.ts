/** Readers of the stream, which follow the chat through everything that happens. */

import { RawStream } from "../raw_stream.ts";
import { beAway, type Begin, Bites, type Pace, targetAfter, targetOf } from "./habits.ts";
import type { Random } from "./random.ts";
import { isBroken, type Run } from "./run.ts";
import { excerpt, type Item, type Part, type Transcript } from "./transcript.ts";

/** A whole block: an id with or without a message, an event, or a `retry`. */
const BLOCK =
  /^(?:id: (?<id>\d+-\d+)(?:\ndata: (?<json>[^\n]*))?|event: (?<event>\w+)\ndata: (?<data>[^\n]*)|retry: (?<retry>\d+))$/;

/** Reads to the last message of the run; comes back whenever the stream ends before that. */
export async function followChat(
  run: Run,
  name: string,
  begin: Begin,
  pace: Pace,
): Promise<Transcript> {
  const reader = new StreamReader(run, name, begin, pace);
  while (!run.isGivenUp) {
    try {
      if (!await reader.readStream()) break;
    } catch (error) {
      if (!isBroken(error)) throw error;
    }
    run.figures.reconnects++;
    await beAway(run, reader.random);
  }
  return { name, parts: reader.parts, isToEnd: true };
}

class StreamReader {
  readonly parts: Part[] = [];
  readonly random: Random;
  readonly #run: Run;
  readonly #name: string;
  readonly #begin: Begin;
  readonly #pace: Pace;
  #cursor: string | undefined;

  constructor(run: Run, name: string, begin: Begin, pace: Pace) {
    this.random = run.random(name);
    this.#run = run;
    this.#name = name;
    this.#begin = begin;
    this.#pace = pace;
  }

  /** Reads one stream; returns whether there is more to come. */
  async readStream(): Promise<boolean> {
    const run = this.#run;
    const { log, life, stored: minLength } = run;
    const bites = new Bites(run, this.random, this.#pace);
    const [begin, target] = this.#cursor === undefined
      ? [this.#begin, targetOf(this.#begin)]
      : [undefined, targetAfter(this.#cursor, this.random)];
    let blocksLeft = this.random.chance(0.4) ? this.random.int(1, 400) : Infinity;
    using stream = await RawStream.open(run.port, ...target);
    if (stream.response.status !== 200) {
      run.problem("a stream got the wrong status", `${this.#name}: ${stream.response.status}`);
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
            ? run.maxLength(log)
            : undefined;
          items.push({ id, isMessage: json !== undefined, gap, maxLength });
          gap = undefined;
        }
        if (json?.includes(`"message":"${run.lastKey}"`)) return false;
        if (--blocksLeft === 0) return true;
      }
    }
    this.#checkEnd(stream, lastBlock, life);
    return true;
  }

  /**
   * Takes a block as an EventSource does: its id is the new cursor even if the
   * message is damaged.
   */
  #take(block: string): { id?: string; json?: string; missed?: number | "unknown" } {
    const run = this.#run;
    const { id, json, event, data, retry } = BLOCK.exec(block)?.groups ?? {};
    this.#cursor = id ?? this.#cursor;
    if (json !== undefined && run.received.get(id) === json) {
      run.note("message");
      return { id, json };
    }
    const value = parseJson(json ?? data ?? retry ?? (id && "{}"));
    if (value === undefined || json !== undefined && value.id !== id) {
      const kind = json === undefined ? "a block is damaged" : "a message is damaged, and lost";
      run.problem(kind, `${this.#name} got ${excerpt(block)}`);
      return { id, json };
    }
    if (json !== undefined) run.receive(this.#name, id!, json);
    if (event !== "gap") return { id, json };
    run.figures.gaps++;
    return { missed: value.missed ?? "unknown" };
  }

  #checkEnd({ response, rest, isLive }: RawStream, lastBlock: string, life?: number): void {
    const run = this.#run;
    const { end } = response;
    if (end === "complete" && (rest !== "" || !lastBlock.startsWith("retry: "))) {
      const tail = excerpt(`${lastBlock}\n\n${rest}`);
      run.problem("a stream ended in order, but not with a retry", `${this.#name} got ${tail}`);
    }
    if (run.isGivenUp || life === undefined) return;
    if (run.life === life) {
      const how = end === "complete" ? "ended" : "was broken off";
      const when = isLive ? "live" : "during the replay";
      run.problem(`a stream ${how} while the server was running`, `${this.#name}, ${when}`);
    } else if (end === "broken" && isLive && this.#pace === "fast" && run.signal !== "SIGKILL") {
      run.problem(`a live stream was broken off by ${run.signal}`, this.#name);
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
