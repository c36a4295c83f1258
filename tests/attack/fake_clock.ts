/** A clock of the rate limits that passes as a test says. */

/** Replaces `performance.now()` until it is disposed of; timers stay real. */
export class FakeClock implements Disposable {
  readonly #real = performance.now;
  /** What it shows, in milliseconds. */
  now = this.#real.call(performance);

  constructor() {
    performance.now = () => this.now;
  }

  [Symbol.dispose](): void {
    performance.now = this.#real;
  }
}
