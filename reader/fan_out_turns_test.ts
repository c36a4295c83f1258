import { assertEquals } from "@std/assert";
import { type FanOut, FanOutTurns } from "./fan_out_turns.ts";

/** A fan-out to a number of readers. */
class Readers implements FanOut {
  readonly #turns: FanOutTurns;
  left: number;

  constructor(turns: FanOutTurns, count: number) {
    this.#turns = turns;
    this.left = count;
    turns.add(this);
  }

  advance(max: number): number {
    const count = Math.min(max, this.left);
    this.left -= count;
    if (this.left > 0) this.#turns.add(this);
    return count;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

Deno.test("FanOutTurns serve few readers in the next turn, while a crowd is being served", async () => {
  const turns = new FanOutTurns();
  const crowd = new Readers(turns, 1000);
  await turn();
  assertEquals(crowd.left, 1000 - 64);
  const few = new Readers(turns, 10);
  await turn();
  assertEquals(few.left, 0);
  while (crowd.left > 0) await turn();
});

Deno.test("FanOutTurns share a turn among rooms, and no room waits for ever", async () => {
  const turns = new FanOutTurns();
  const rooms = Array.from({ length: 100 }, () => new Readers(turns, 10));
  const left = () => rooms.reduce((sum, room) => sum + room.left, 0);
  for (let before = left(); before > 0; before = left()) {
    await turn();
    assertEquals(left(), Math.max(before - 64, 0));
  }
});
