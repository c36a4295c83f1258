/** Counts what readers get that come back: each is to get what it missed, all of it and in order. */

import { type Arrival, MarkCounter } from "./mark.ts";

/**
 * Copies of missed messages that arrived at many readers. One that comes before
 * its turn is not counted, and so is lost; one from before the reader left is one
 * that it already had.
 */
export class ReturnCounter extends MarkCounter {
  /** Each missed message's place in the log, from the first that was missed. */
  readonly #places: ReadonlyMap<number, number>;
  /** How many of them each reader has. */
  readonly #has: Uint32Array;

  /** For so many readers, which all missed these messages. */
  constructor(readers: number, missed: readonly number[]) {
    super();
    this.#places = new Map(missed.map((message, place) => [message, place]));
    this.#has = new Uint32Array(readers);
  }

  protected override arrived(reader: number, message: number): Arrival {
    const place = this.#places.get(message) ?? -1;
    const next = this.#has[reader];
    if (place > next) return "ignored";
    if (place < next) return "duplicate";
    this.#has[reader]++;
    return "delivered";
  }
}
