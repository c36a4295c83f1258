/** Chance that can be repeated: the same seed and name give the same numbers. */

/** A run of random numbers. Each actor has its own, so that none depends on another's timing. */
export class Random {
  #state: number;

  constructor(seed: number, name: string) {
    // FNV-1a of the name, from the seed on.
    this.#state = seed ^ 0x811c9dc5;
    for (const character of name) {
      this.#state = Math.imul(this.#state ^ character.codePointAt(0)!, 0x01000193);
    }
  }

  /** A number from 0 to below 1 (Mulberry32). */
  next(): number {
    this.#state = this.#state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed);
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  int(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.int(0, items.length - 1)];
  }
}
