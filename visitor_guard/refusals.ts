/** What is said at the terminal of those who are refused: a line a minute, however many there are. */

/** With more addresses than this, the others are counted together. */
const MAX_ADDRESSES = 10_000;
const SHOWN = 3;
const PERIOD_MS = 60_000;

/** Refusals since the last line. */
interface Period {
  count: number;
  readonly byAddress: Map<string, number>;
  /** The settings that refused. */
  readonly settings: Set<string>;
}

/** Counts refusals; the first is reported at once, and what follows once a minute. */
export class Refusals implements Disposable {
  readonly #report: (line: string) => void;
  #period: Period = newPeriod();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param report Called with a line to print. */
  constructor(report: (line: string) => void) {
    this.#report = report;
  }

  /** Takes note of a refusal, by a setting. */
  add(address: string, setting: string): void {
    const { byAddress, settings } = this.#period;
    this.#period.count++;
    settings.add(setting);
    const key = byAddress.has(address) || byAddress.size < MAX_ADDRESSES ? address : "others";
    byAddress.set(key, (byAddress.get(key) ?? 0) + 1);
    if (this.#timer !== undefined) return;
    this.#print();
    this.#timer = setInterval(() => this.#endPeriod(), PERIOD_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #endPeriod(): void {
    if (this.#period.count > 0) this.#print();
    else this[Symbol.dispose]();
  }

  #print(): void {
    const { count, byAddress, settings } = this.#period;
    this.#period = newPeriod();
    const most = [...byAddress].sort(([, a], [, b]) => b - a).slice(0, SHOWN)
      .map(([address, times]) => times === count ? address : `${address} (${times})`);
    const more = byAddress.size > SHOWN ? ` and ${byAddress.size - SHOWN} more` : "";
    const requests = count === 1 ? "1 request" : `${count} requests`;
    this.#report(
      `${requests} refused, from ${most.join(", ")}${more}: ${[...settings].join(", ")}`,
    );
  }
}

function newPeriod(): Period {
  return { count: 0, byAddress: new Map(), settings: new Set() };
}
