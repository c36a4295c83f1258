/** Time that passes only when a test says so, and that knows which timers still run. */

import { mock } from "node:test";

/** Time passes in steps of this many milliseconds. */
const STEP_MS = 250;

/**
 * Fakes the global timers for as long as it is not disposed of; `setImmediate` stays real, and so does a
 * pause of no time at all.
 */
export class FakeTime implements Disposable {
  readonly #running = new Set<unknown>();
  /** Milliseconds since the beginning; never steps back. */
  elapsed = 0;
  /** When an interval last ended, give or take a step. */
  intervalAt = 0;

  constructor() {
    mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
    const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
    const running = this.#running;
    // Around those of `mock`, which puts the real ones back.
    Object.assign(globalThis, {
      setTimeout: (callback: () => void, ms: number) => {
        if (ms === 0) return setImmediate(callback);
        const timer: unknown = setTimeout(() => {
          running.delete(timer);
          callback();
        }, ms);
        running.add(timer);
        return timer;
      },
      setInterval: (callback: () => void, ms: number) => {
        const timer = setInterval(() => {
          this.intervalAt = this.elapsed;
          callback();
        }, ms);
        running.add(timer);
        return timer;
      },
      clearTimeout: (timer: number) => {
        running.delete(timer);
        clearTimeout(timer);
      },
      clearInterval: (timer: number) => {
        running.delete(timer);
        clearInterval(timer);
      },
    });
  }

  /** How many timers run. */
  get timers(): number {
    return this.#running.size;
  }

  tick(ms: number): void {
    for (let left = ms; left > 0; left -= STEP_MS) {
      const step = Math.min(left, STEP_MS);
      this.elapsed += step;
      mock.timers.tick(step);
    }
  }

  [Symbol.dispose](): void {
    mock.timers.reset();
  }
}
