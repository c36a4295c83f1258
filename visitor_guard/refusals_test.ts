import { assertEquals } from "@std/assert";
import { mock } from "node:test";
import { Refusals } from "./refusals.ts";

Deno.test("Refusals are a line at once, then one a minute while there are any", () => {
  mock.timers.enable({ apis: ["setInterval"] });
  using _real = { [Symbol.dispose]: () => mock.timers.reset() };
  const lines: string[] = [];
  using refusals = new Refusals((line) => lines.push(line));
  refusals.add("10.0.0.1", "--rate-limit");
  assertEquals(lines.splice(0), ["1 request refused, from 10.0.0.1: --rate-limit"]);
  for (let n = 0; n < 50; n++) {
    refusals.add("10.0.0.1", "--rate-limit");
    if (n % 2 === 0) refusals.add("10.0.0.2", "--max-readers");
    if (n % 10 === 0) refusals.add(`10.0.1.${n}`, "--rate-limit");
  }
  assertEquals(lines, []);
  mock.timers.tick(60_000);
  assertEquals(lines.splice(0), [
    "80 requests refused, from 10.0.0.1 (50), 10.0.0.2 (25), 10.0.1.0 (1) and 4 more: " +
    "--rate-limit, --max-readers",
  ]);
  mock.timers.tick(600_000);
  assertEquals(lines, []);
  refusals.add("10.0.0.1", "--rate-limit");
  assertEquals(lines.length, 1);
});
