/** How much may be going on at once: for each key, and for all together. */

/** Options for {@linkcode Slots}. */
export interface SlotsOptions {
  /** For one key; 0 for no limit. */
  readonly perKey: number;
  /** For all keys; 0 for no limit. */
  readonly total: number;
  /** Strangers leave so many of those to others. @default {0} */
  readonly reserve?: number;
}

/** Why there is no slot. */
export type Full = "perKey" | "total";

/** Slots that are taken, and given back by disposing of them. */
export class Slots {
  readonly #perKey: number;
  readonly #total: number;
  readonly #reserve: number;
  readonly #taken = new Map<string, number>();
  #size = 0;

  constructor({ perKey, total, reserve = 0 }: SlotsOptions) {
    this.#perKey = perKey || Infinity;
    this.#total = total || Infinity;
    this.#reserve = reserve;
  }

  /** How many are taken. */
  get size(): number {
    return this.#size;
  }

  /** Takes a slot, until it is disposed of; or says which limit is reached. */
  take(key: string, isStranger = false): Disposable | Full {
    const taken = this.#taken.get(key) ?? 0;
    if (taken >= this.#perKey) return "perKey";
    if (this.#size >= this.#total - (isStranger ? this.#reserve : 0)) return "total";
    this.#taken.set(key, taken + 1);
    this.#size++;
    let isTaken = true;
    return {
      [Symbol.dispose]: () => {
        if (!isTaken) return;
        isTaken = false;
        this.#size--;
        const left = this.#taken.get(key)! - 1;
        if (left > 0) this.#taken.set(key, left);
        else this.#taken.delete(key);
      },
    };
  }
}
