/** What all readers have in common: how they ask, how fast they read, how long they stay away. */

import { setTimeout as delay } from "node:timers/promises";
import type { Instance } from "./instance.ts";
import type { Random } from "./random.ts";
import type { Room } from "./room.ts";
import type { Run } from "./run.ts";

/** What a reader without a cursor begins with: all messages, new ones only, or the last 50. */
export type Begin = "all" | "none" | "latest";

/** How a reader takes what arrives: all there is, or at first a few bytes at a time. */
export type Pace = "fast" | "crawling";

/** A path, and the headers to request it with. */
export type Target = readonly [path: string, headers: Readonly<Record<string, string>>];

const MAX_CRAWL_BYTES = 1500;
/** Longest time to crawl and to be away, in messages that are stored meanwhile. */
const MAX_CRAWL = 1000;
const MAX_ABSENCE = 1000;

/** What a reader of a room asks for without a cursor. */
export function targetOf({ path }: Room, begin: Begin): Target {
  return [begin === "latest" ? path : `${path}?since=${begin}`, {}];
}

/** What a reader with a cursor asks for, in one of the two ways that there are. */
export function targetAfter({ path }: Room, cursor: string, random: Random): Target {
  return random.chance(0.3) ? [`${path}?since=${cursor}`, {}] : [path, { "last-event-id": cursor }];
}

/** The bites in which one response is read. */
export class Bites {
  readonly #run: Run;
  readonly #random: Random;
  /** The server that the response is from, and its life. */
  readonly #instance: Instance;
  readonly #life: number | undefined;
  /** As many messages as are to be stored before the reader stops crawling. */
  readonly #crawlUntil: number;

  constructor(run: Run, instance: Instance, random: Random, pace: Pace) {
    this.#run = run;
    this.#random = random;
    this.#instance = instance;
    this.#life = instance.life;
    this.#crawlUntil = pace === "fast" ? 0 : run.stored + random.int(1, MAX_CRAWL);
  }

  /** Waits as the reader does, and returns the size of its next bite; undefined for any size. */
  async next(): Promise<number | undefined> {
    const { stored, isFinishing } = this.#run;
    const isNew = this.#instance.life !== this.#life;
    if (stored >= this.#crawlUntil || isNew || isFinishing) return undefined;
    await delay(this.#random.int(1, 3));
    return this.#random.int(1, MAX_CRAWL_BYTES);
  }
}

/** Waits a moment, or until more may have been stored than is kept, and for the end of a recess. */
export async function beAway({ run, recess }: Room, random: Random): Promise<void> {
  if (random.chance(0.2)) await run.after(random.int(1, MAX_ABSENCE), "response");
  else await delay(random.int(0, 150));
  await recess;
}
