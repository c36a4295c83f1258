import { assert, assertEquals } from "@std/assert";
import { RateLimit } from "./rate_limit.ts";

/** A limit of 60 a minute, 5 at once, with a clock of its own. */
function newLimit(maxKeys?: number) {
  const clock = { now: 0 };
  const limit = new RateLimit({ perMinute: 60, burst: 5, maxKeys, now: () => clock.now });
  return { limit, clock };
}

Deno.test("RateLimit lets a burst in, then as many as come back in the time", () => {
  const { limit, clock } = newLimit();
  for (let n = 0; n < 5; n++) assertEquals(limit.take("ann"), 0);
  assertEquals(limit.take("ann"), 1000);
  assertEquals(limit.take("ben"), 0);
  clock.now = 999;
  assertEquals(limit.take("ann"), 1);
  clock.now = 1000;
  assertEquals(limit.take("ann"), 0);
  assertEquals(limit.take("ann"), 1000);
  clock.now = 1_000_000;
  for (let n = 0; n < 5; n++) assertEquals(limit.take("ann"), 0);
  assert(limit.take("ann") > 0);
});

Deno.test("RateLimit.take() is refused no longer than it says, whatever the rate", () => {
  for (const perMinute of [1, 7, 59, 240, 1000]) {
    let now = 1e9;
    const limit = new RateLimit({ perMinute, burst: 3, now: () => now });
    for (let n = 0; n < 50; n++) {
      now += limit.take("ann");
      if (n % 2 === 0) assertEquals(limit.take("ann") >= 0, true);
    }
    const waitMs = limit.take("ann");
    now += waitMs;
    if (waitMs > 0) assertEquals(limit.take("ann"), 0);
  }
});

Deno.test("RateLimit.charge() takes tokens that are not there yet", () => {
  const { limit, clock } = newLimit();
  assertEquals(limit.take("ann"), 0);
  limit.charge("ann", 9);
  assertEquals(limit.take("ann"), 6000);
  clock.now = 6000;
  assertEquals(limit.take("ann"), 0);
});

Deno.test("RateLimit.charge() gives back what was taken, and no more than that", () => {
  const { limit } = newLimit();
  limit.take("ann");
  limit.charge("ann", -1);
  assertEquals([limit.isFull("ann"), limit.size], [true, 0]);
  limit.charge("ann", -1);
  for (let n = 0; n < 5; n++) assertEquals(limit.take("ann"), 0);
  assertEquals(limit.isFull("ann"), false);
  assert(limit.take("ann") > 0);
});

Deno.test("RateLimit.waitMs() leaves a reserve alone", () => {
  const { limit } = newLimit();
  limit.charge("ann", 2);
  assertEquals(limit.waitMs("ann", 2), 0);
  assertEquals(limit.waitMs("ann", 3), 1000);
  assertEquals(limit.waitMs("ben", 4), 0);
});

Deno.test("RateLimit keeps no bucket that is full, and no more than it may", () => {
  const { limit, clock } = newLimit(100);
  for (let n = 0; n < 1000; n++) limit.take(`visitor ${n}`);
  assertEquals(limit.size, 100);
  clock.now = 1001;
  limit.take("ann");
  assertEquals(limit.size, 1);
  // Whoever is in use is not forgotten for others' sake.
  for (let n = 0; n < 4; n++) limit.take("ann");
  for (let n = 0; n < 99; n++) limit.take(`visitor ${n}`);
  assert(limit.take("ann") > 0);
});
