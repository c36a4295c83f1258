/** What is reported of those who are refused: once a minute, however many there are. */

/** With more addresses than this, the others are counted together. */
const MAX_ADDRESSES = 10_000;
const SHOWN = 3;
const PERIOD_MS = 60_000;

/** Refusals since the last report. */
export interface Refused {
  readonly requests: number;
  /** Who was refused most. */
  readonly addresses: readonly { readonly address: string; readonly requests: number }[];
  /** How many other addresses there were. */
  readonly others: number;
  /** The settings and limits that refused. */
  readonly reasons: readonly string[];
}

/** Refusals that are not reported yet. */
interface Period {
  count: number;
  readonly byAddress: Map<string, number>;
  /** The settings that refused. */
  readonly settings: Set<string>;
}

/** Counts refusals; the first is reported at once, and what follows once a minute. */
export class Refusals implements Disposable {
  readonly #onRefused: (refused: Refused) => void;
  #period: Period = newPeriod();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(onRefused: (refused: Refused) => void) {
    this.#onRefused = onRefused;
  }

  /** Takes note of a refusal, by a setting. */
  add(address: string, setting: string): void {
    const { byAddress, settings } = this.#period;
    this.#period.count++;
    settings.add(setting);
    const key = byAddress.has(address) || byAddress.size < MAX_ADDRESSES ? address : "others";
    byAddress.set(key, (byAddress.get(key) ?? 0) + 1);
    if (this.#timer !== undefined) return;
    this.#report();
    this.#timer = setInterval(() => this.#endPeriod(), PERIOD_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #endPeriod(): void {
    if (this.#period.count > 0) this.#report();
    else this[Symbol.dispose]();
  }

  #report(): void {
    const { count, byAddress, settings } = this.#period;
    this.#period = newPeriod();
    const most = [...byAddress].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
    this.#onRefused({
      requests: count,
      addresses: most.map(([address, requests]) => ({ address, requests })),
      others: byAddress.size - most.length,
      reasons: [...settings],
    });
  }
}

function newPeriod(): Period {
  return { count: 0, byAddress: new Map(), settings: new Set() };
}
