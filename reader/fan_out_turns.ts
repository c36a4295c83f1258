/** How the hubs of all rooms share the turns of the event loop. */

/**
 * All rooms together reach this many readers in one turn of the event loop. Deno writes
 * to about that many sockets (tokio's 61 tasks) before it runs JavaScript again, so
 * each slice is sent when the next is due, and the posts that have come meanwhile
 * are answered and gathered in between. Were all readers served in one turn, a
 * post would wait for a thousand writes, and each would cost a fan-out.
 */
const SLICE = 64;

/** Sends a chunk to many readers, some in each turn. */
export interface FanOut {
  /**
   * Goes on, or begins, for at most `max` readers; asks for another turn if that was not all.
   * Returns how many it has reached.
   */
  advance(max: number): number;
}

/**
 * The fan-outs that are in progress or about to begin. Each leaves half of what it finds of a
 * turn to those that wait after it, and goes to the end of the queue if it is not done: a room
 * with few readers is served in the next turn, even while a crowded one is being served.
 */
export class FanOutTurns {
  readonly #waiting = new Set<FanOut>();
  #turn: ReturnType<typeof setImmediate> | undefined;

  /** Gives a fan-out a turn: the next one, when the posts that it is for have been answered. */
  add(fanOut: FanOut): void {
    this.#waiting.add(fanOut);
    this.#turn ??= setImmediate(() => this.#run());
  }

  /** Takes a fan-out out of the queue; whether it was in it. */
  remove(fanOut: FanOut): boolean {
    const wasWaiting = this.#waiting.delete(fanOut);
    if (this.#waiting.size === 0) {
      clearImmediate(this.#turn);
      this.#turn = undefined;
    }
    return wasWaiting;
  }

  #run(): void {
    this.#turn = undefined;
    let left = SLICE;
    let waiting = this.#waiting.size;
    for (const fanOut of [...this.#waiting]) {
      if (left <= 0) break;
      this.#waiting.delete(fanOut);
      // A room costs something even if nobody is in it.
      left -= Math.max(fanOut.advance(--waiting > 0 ? Math.ceil(left / 2) : left), 1);
    }
    if (this.#waiting.size > 0) this.#turn ??= setImmediate(() => this.#run());
  }
}
