/** Counts what readers get that stay: every message once, in any order, and how long it took. */

import { Histogram } from "./histogram.ts";
import { type Arrival, MarkCounter } from "./mark.ts";

/** Copies of messages that arrived at many readers, each counted once. */
export class DeliveryCounter extends MarkCounter {
  /** How long each copy took, in microseconds. */
  readonly latency = new Histogram();
  /** One bit a copy: whether that reader has that message. */
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
