import { assertEquals } from "@std/assert";
import { mark } from "./mark.ts";
import { ReturnCounter } from "./return_counter.ts";

/** What is counted when one of two readers that missed 7, 3 and 5 gets these: delivered, twice. */
function count(...numbers: number[]): [number, number] {
  const counter = new ReturnCounter(2, [7, 3, 5]);
  const text = numbers.map((number) => `data: {"message":"${mark(number, 1000)}"}\n\n`).join("");
  const bytes = new TextEncoder().encode(text);
  counter.count(1, bytes, bytes.length, 1500);
  return [counter.delivered, counter.duplicates];
}

Deno.test("ReturnCounter.count() counts what was missed, in the order of the log", () => {
  assertEquals(count(7, 3, 5), [3, 0]);
});

Deno.test("ReturnCounter.count() tells what came twice, and what the reader had before it left", () => {
  assertEquals(count(7, 7, 3, 5, 3), [3, 2]);
  assertEquals(count(2, 7, 3, 5), [3, 1]);
});

Deno.test("ReturnCounter.count() leaves out what came before its turn", () => {
  assertEquals(count(7, 5), [1, 0]);
  assertEquals(count(3, 7, 5), [1, 0]);
});

Deno.test("ReturnCounter.count() keeps the readers apart", () => {
  const counter = new ReturnCounter(2, [4]);
  const bytes = new TextEncoder().encode(mark(4, 1000));
  for (const reader of [0, 1]) counter.count(reader, bytes, bytes.length, 1500);
  assertEquals([counter.delivered, counter.duplicates, counter.lastMicros], [2, 0, 1500]);
});
