/** Reproducible chance: the same seed and name give the same numbers. */

/** A sequence of random numbers. Each actor has its own, so none depends on another's timing. */
export class Random {
  #state: number;

  constructor(seed: number, name: string) {
    // FNV-1a of the name, starting from the seed.
    this.#state = seed ^ 0x811c9dc5;
    for (const character of name) {
      this.#state = Math.imul(this.#state ^ character.codePointAt(0)!, 0x01000193);
    }
  }

  /** A number from 0 up to, but not including, 1 (Mulberry32). */
  next(): number {
    this.#state = this.#state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed);
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.int(0, items.length - 1)];
  }

  /** The items in random order. */
  shuffle<Item>(items: readonly Item[]): Item[] {
    return items.map((item) => ({ item, rank: this.next() }))
      .sort((a, b) => a.rank - b.rank).map(({ item }) => item);
  }
}
