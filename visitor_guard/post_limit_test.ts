import { assert, assertEquals } from "@std/assert";
import { PostLimit } from "./post_limit.ts";

function newLimit(perMinute = 240) {
  const clock = { now: 0 };
  return { limit: new PostLimit({ perMinute, now: () => clock.now }), clock };
}

/** How many of a number of tries are let in. */
function countIn(limit: PostLimit, tries: number, keyOf: (n: number) => string): number {
  return Array.from({ length: tries }, (_, n) => limit.take(keyOf(n))).filter((full) => !full)
    .length;
}

Deno.test("PostLimit lets an address have 200 at once and 240 a minute", () => {
  const { limit, clock } = newLimit();
  assertEquals(countIn(limit, 300, () => "ann"), 200);
  assertEquals(limit.take("ann"), { waitMs: 250, isOfAll: false });
  clock.now = 60_000;
  assertEquals(countIn(limit, 300, () => "ann"), 200);
});

Deno.test("PostLimit takes a token more for each full 1,000 bytes, and lets the next wait", () => {
  const { limit } = newLimit();
  limit.take("ann");
  limit.charge("ann", 999);
  assertEquals(countIn(limit, 300, () => "ann"), 199);
  limit.charge("ann", 3999);
  assertEquals(limit.take("ann"), { waitMs: 4 * 250, isOfAll: false });
});

Deno.test("PostLimit lets those who were there in before any crowd", () => {
  const { limit, clock } = newLimit();
  assertEquals(limit.take("ann"), undefined);
  clock.now = 1000;
  const stranger = (n: number) => `stranger ${n % 1000}`;
  assertEquals(countIn(limit, 10_000, stranger), 500);
  // For an hour and longer, each tenth of a second.
  for (let n = 1; n <= 20_000; n++) {
    clock.now += 100;
    const count = countIn(limit, 20, stranger);
    assert(count >= 4 && count <= 5, `${count}`);
    if (n % 10 === 0) assertEquals(limit.take("ann"), undefined, `after ${clock.now} ms`);
  }
});

Deno.test("PostLimit takes a crowd for known once it has been calm, and for an hour", () => {
  const { limit, clock } = newLimit();
  const stranger = (n: number) => `stranger ${n}`;
  assertEquals(countIn(limit, 600, stranger), 500);
  clock.now += 20_000;
  assertEquals(limit.take("ann"), undefined);
  clock.now += 20_000;
  // The reserve is theirs now too.
  assertEquals(countIn(limit, 500, stranger), 500);
  assertEquals(countIn(limit, 500, stranger), 500);
  clock.now += 60 * 60_000 + 1;
  assertEquals(countIn(limit, 500, stranger), 500);
  assertEquals(limit.take(stranger(0)), { waitMs: 20, isOfAll: true });
});
