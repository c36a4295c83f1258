/** Counts what readers that stay connected receive, and how long each copy takes to arrive. */

import { Histogram } from "./histogram.ts";
import { type Arrival, MarkCounter } from "./mark.ts";

/** Counts each reader's copy of each message once, in whatever order they arrive. */
export class DeliveryCounter extends MarkCounter {
  /** How long each copy took to arrive, in microseconds. */
  readonly latency = new Histogram();
  /** One bit per copy: whether that reader has that message. */
  readonly #seen: Uint8Array;
  readonly #messages: number;

  constructor(readers: number, messages: number) {
    super();
    this.#messages = messages;
    this.#seen = new Uint8Array(Math.ceil(readers * messages / 8));
  }

  protected override arrived(reader: number, message: number, tookMicros: number): Arrival {
    if (message >= this.#messages) return "ignored";
    const copy = reader * this.#messages + message;
    const bit = 1 << (copy % 8);
    const byte = Math.floor(copy / 8);
    if ((this.#seen[byte] & bit) !== 0) return "duplicate";
    this.#seen[byte] |= bit;
    this.latency.record(tookMicros);
    return "delivered";
  }
}
