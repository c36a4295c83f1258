/** The readers at other instances of the chat, as a test says. */

import type { ReadersElsewhere } from "../message_log/message_log.ts";

export class FakeElsewhere implements ReadersElsewhere {
  /** What it was told, one after the other. */
  readonly told: number[] = [];
  readonly #listeners = new Set<() => void>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  set count(count: number) {
    this.#count = count;
    for (const listener of this.#listeners) listener();
  }

  /** How many follow it. */
  get followers(): number {
    return this.#listeners.size;
  }

  tell(readers: number): void {
    this.told.push(readers);
  }

  subscribe(onChange: () => void): Disposable {
    this.#listeners.add(onChange);
    return { [Symbol.dispose]: () => void this.#listeners.delete(onChange) };
  }
}
