/** Time that passes only when a test says so, and that knows which timers still run. */

/** Time passes in steps of this many milliseconds. */
const STEP_MS = 250;

/** A timer that runs. */
interface Timer {
  at: number;
  /** Of an interval. */
  readonly everyMs?: number;
  readonly callback: () => void;
}

/**
 * Fakes the global timers for as long as it is not disposed of. `setImmediate` stays real, so does a pause
 * of no time at all, and so do the timers of `node:timers`, which a log elsewhere is waited for with.
 */
export class FakeTime implements Disposable {
  readonly #running = new Map<unknown, Timer>();
  readonly #real = { setTimeout, setInterval, clearTimeout, clearInterval };
  #lastId = 0;
  /** Milliseconds since the beginning; never steps back. */
  elapsed = 0;
  /** When an interval last ended, give or take a step. */
  intervalAt = 0;

  constructor() {
    const clear = (id: unknown) => void this.#running.delete(id);
    Object.assign(globalThis, {
      setTimeout: (callback: () => void, ms: number) =>
        ms === 0 ? setImmediate(callback) : this.#start({ at: this.elapsed + ms, callback }),
      setInterval: (callback: () => void, everyMs: number) =>
        this.#start({ at: this.elapsed + everyMs, everyMs, callback }),
      clearTimeout: clear,
      clearInterval: clear,
    });
  }

  /** How many timers run. */
  get timers(): number {
    return this.#running.size;
  }

  tick(ms: number): void {
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.elapsed += Math.min(left, STEP_MS);
      for (let next = this.#next(); next; next = this.#next()) this.#end(...next);
    }
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, this.#real);
  }

  #start(timer: Timer): number {
    this.#running.set(++this.#lastId, timer);
    return this.#lastId;
  }

  /** The timer that is to end next, if its time has come. */
  #next(): [unknown, Timer] | undefined {
    const due = [...this.#running].filter(([, { at }]) => at <= this.elapsed);
    return due.sort(([, a], [, b]) => a.at - b.at)[0];
  }

  #end(id: unknown, timer: Timer): void {
    if (timer.everyMs === undefined) this.#running.delete(id);
    else {
      timer.at += timer.everyMs;
      this.intervalAt = this.elapsed;
    }
    timer.callback();
  }
}
