import { assertEquals } from "@std/assert";
import { mark } from "./mark.ts";
import { ReturnCounter } from "./return_counter.ts";

/** Deliveries and duplicates when one of two readers that missed 7, 3 and 5 receives `numbers`. */
function count(...numbers: number[]): [number, number] {
  const counter = new ReturnCounter(2, [7, 3, 5]);
  const text = numbers.map((number) => `data: {"message":"${mark(number, 1000)}"}\n\n`).join("");
  const bytes = new TextEncoder().encode(text);
  counter.count(1, bytes, bytes.length, 1500);
  return [counter.delivered, counter.duplicates];
}

Deno.test("ReturnCounter.count() counts missed messages in log order", () => {
  assertEquals(count(7, 3, 5), [3, 0]);
});

Deno.test("ReturnCounter.count() counts what the reader already had as duplicates", () => {
  assertEquals(count(7, 7, 3, 5, 3), [3, 2]);
  assertEquals(count(2, 7, 3, 5), [3, 1]);
});

Deno.test("ReturnCounter.count() ignores what arrives before its turn", () => {
  assertEquals(count(7, 5), [1, 0]);
  assertEquals(count(3, 7, 5), [1, 0]);
});

Deno.test("ReturnCounter.count() counts each reader separately", () => {
  const counter = new ReturnCounter(2, [4]);
  const bytes = new TextEncoder().encode(mark(4, 1000));
  for (const reader of [0, 1]) counter.count(reader, bytes, bytes.length, 1500);
  assertEquals([counter.delivered, counter.duplicates, counter.lastMicros], [2, 0, 1500]);
});
