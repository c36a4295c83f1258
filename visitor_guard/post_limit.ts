/**
 * How many messages may come: from each address, and from all together. Where strangers come in
 * crowds, those who were there before them go first.
 */

import { RateLimit } from "./rate_limit.ts";

/** This part of what is let in each minute is let in at once. */
const BURST_PART = 5 / 6;
/** Messages of all addresses together. */
const ALL = { perMinute: 50 * 60, burst: 1000 };
/** Strangers leave so many of those to others. */
const RESERVE = ALL.burst / 2;
/** A message costs one token, and one more for each of so many bytes of its body. */
const TOKEN_BYTES = 1000;
/** Whoever has posted in this time is no stranger. */
const MEMORY_MS = 60 * 60_000;
const MAX_KNOWN = 100_000;
/** The key of the one bucket for all. */
const EVERYBODY = "";

/** Options for {@linkcode PostLimit}. */
export interface PostLimitOptions {
  /** Messages a minute from one address. */
  readonly perMinute: number;
  /** The clock, in milliseconds that never go back. @default {performance.now} */
  readonly now?: () => number;
}

/** That there is no room for a message. */
export interface Full {
  /** Until there is, in milliseconds. */
  readonly waitMs: number;
  /** The limit is that of all addresses together. */
  readonly isOfAll: boolean;
}

/**
 * The limit on posts.
 *
 * A stranger is an address that had not posted when the messages of all were last few enough. So as
 * long as a crowd lasts nobody in it becomes known, however long it goes on.
 */
export class PostLimit {
  readonly #each: RateLimit;
  readonly #all: RateLimit;
  readonly #now: () => number;
  /** When each address posted for the first time, and for the last; that one at the end. */
  readonly #known = new Map<string, { readonly first: number; readonly last: number }>();
  /** When the bucket for all was full. */
  #lastCalm = -Infinity;

  constructor({ perMinute, now = () => performance.now() }: PostLimitOptions) {
    this.#each = new RateLimit({ perMinute, burst: Math.ceil(perMinute * BURST_PART), now });
    this.#all = new RateLimit({ ...ALL, now });
    this.#now = now;
  }

  /** Lets a message in, or says which limit it is over and for how long. */
  take(key: string): Full | undefined {
    const now = this.#now();
    if (this.#all.isFull(EVERYBODY)) this.#lastCalm = now;
    const waitMs = this.#each.waitMs(key);
    if (waitMs > 0) return { waitMs, isOfAll: false };
    const allWaitMs = this.#all.waitMs(EVERYBODY, this.isStranger(key) ? RESERVE : 0);
    if (allWaitMs > 0) return { waitMs: allWaitMs, isOfAll: true };
    this.#each.charge(key, 1);
    this.#all.charge(EVERYBODY, 1);
    const known = this.#known.get(key);
    this.#remember(key, known && known.last >= now - MEMORY_MS ? known.first : now, now);
  }

  /** Whether an address has not posted lately, or only since there is a crowd. */
  isStranger(key: string): boolean {
    const known = this.#known.get(key);
    return !known || known.first >= this.#lastCalm || known.last < this.#now() - MEMORY_MS;
  }

  /** Takes what the length of a message costs that was let in. */
  charge(key: string, bytes: number): void {
    this.#each.charge(key, Math.floor(bytes / TOKEN_BYTES));
  }

  #remember(key: string, first: number, last: number): void {
    this.#known.delete(key);
    this.#known.set(key, { first, last });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
  }
}
