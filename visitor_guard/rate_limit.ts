/**
 * How much each may do in a time: a bucket of tokens for each key, kept as one number (GCRA, the
 * generic cell rate algorithm, as in ITU-T I.371).
 */

/** Options for {@linkcode RateLimit}. */
export interface RateLimitOptions {
  /** Tokens that a bucket gets in a minute. */
  readonly perMinute: number;
  /** Tokens in a full bucket. */
  readonly burst: number;
  /** With more buckets than this, those that were used longest ago are taken for full. @default {100_000} */
  readonly maxKeys?: number;
  /** The clock, in milliseconds that never go back. @default {performance.now} */
  readonly now?: () => number;
}

const MAX_KEYS = 100_000;

/** A limit on what each key does. */
export class RateLimit {
  readonly #tokenMs: number;
  readonly #fullMs: number;
  readonly #maxKeys: number;
  readonly #now: () => number;
  /** When each bucket will be full again; that used last at the end. */
  readonly #fullAt = new Map<string, number>();

  constructor(
    { perMinute, burst, maxKeys = MAX_KEYS, now = () => performance.now() }: RateLimitOptions,
  ) {
    this.#tokenMs = 60_000 / perMinute;
    this.#fullMs = burst * this.#tokenMs;
    this.#maxKeys = maxKeys;
    this.#now = now;
  }

  /** How many buckets are not full. */
  get size(): number {
    return this.#fullAt.size;
  }

  /** Whether a bucket is full. */
  isFull(key: string): boolean {
    return (this.#fullAt.get(key) ?? 0) <= this.#now();
  }

  /** In how many milliseconds there will be a token beyond a reserve; 0 if there is one. */
  waitMs(key: string, reserve = 0): number {
    const now = this.#now();
    const fullAt = Math.max(this.#fullAt.get(key) ?? 0, now) + (1 + reserve) * this.#tokenMs;
    const waitMs = fullAt - now - this.#fullMs;
    // Fractions of tokens do not add up exactly.
    return waitMs > 1e-6 ? waitMs : 0;
  }

  /** Takes a token, if there is one: 0, or in how many milliseconds there will be. */
  take(key: string): number {
    const waitMs = this.waitMs(key);
    if (waitMs === 0) this.charge(key, 1);
    return waitMs;
  }

  /** Takes tokens, also those that are not there yet; gives some back if the number is negative. */
  charge(key: string, tokens: number): void {
    const now = this.#now();
    this.#set(key, Math.max(this.#fullAt.get(key) ?? 0, now) + tokens * this.#tokenMs, now);
  }

  #set(key: string, fullAt: number, now: number): void {
    this.#fullAt.delete(key);
    if (fullAt > now) this.#fullAt.set(key, fullAt);
    for (const [oldest, oldestFullAt] of this.#fullAt) {
      if (oldestFullAt > now && this.#fullAt.size <= this.#maxKeys) break;
      this.#fullAt.delete(oldest);
    }
  }
}
