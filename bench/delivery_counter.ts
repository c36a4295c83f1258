/** Counts what readers that stay connected receive, and how long each copy takes to arrive. */

import { Histogram } from "./histogram.ts";
import { type Arrival, MarkCounter } from "./mark.ts";
import { isInRoom } from "./rooms.ts";

/**
 * Counts each reader's copy of each message of its room once, in whatever order they arrive.
 * A message of another room counts as a duplicate: it is one copy too many.
 */
export class DeliveryCounter extends MarkCounter {
  /** How long each copy took to arrive, in microseconds. */
  readonly latency = new Histogram();
  /** One bit per copy: whether that reader has that message. */
  readonly #seen: Uint8Array;
  readonly #messages: number;
  readonly #rooms: number;

  constructor(readers: number, messages: number, rooms = 1) {
    super();
    this.#rooms = rooms;
    this.#messages = messages;
    this.#seen = new Uint8Array(Math.ceil(readers * messages / 8));
  }

  protected override arrived(reader: number, message: number, tookMicros: number): Arrival {
    if (message >= this.#messages) return "ignored";
    if (!isInRoom(reader, message, this.#rooms)) return "duplicate";
    const copy = reader * this.#messages + message;
    const bit = 1 << (copy % 8);
    const byte = Math.floor(copy / 8);
    if ((this.#seen[byte] & bit) !== 0) return "duplicate";
    this.#seen[byte] |= bit;
    this.latency.record(tookMicros);
    return "delivered";
  }
}
