/** Counts what returning readers receive: each must get all that it missed, in order. */

import { type Arrival, MarkCounter } from "./mark.ts";

/**
 * Counts copies of missed messages. A copy that arrives before its turn is ignored,
 * and so ends up as lost; a message from before the reader left is a duplicate.
 */
export class ReturnCounter extends MarkCounter {
  /** The index of each missed message, in log order. */
  readonly #indices: ReadonlyMap<number, number>;
  /** How many of them each reader has received. */
  readonly #received: Uint32Array;

  /** For this many readers, all of which have missed the same messages. */
  constructor(readers: number, missed: readonly number[]) {
    super();
    this.#indices = new Map(missed.map((message, index) => [message, index]));
    this.#received = new Uint32Array(readers);
  }

  protected override arrived(reader: number, message: number): Arrival {
    const index = this.#indices.get(message) ?? -1;
    const next = this.#received[reader];
    if (index > next) return "ignored";
    if (index < next) return "duplicate";
    this.#received[reader]++;
    return "delivered";
  }
}
