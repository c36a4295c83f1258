import { assertEquals } from "@std/assert";
import { mock } from "node:test";
import { Refusals, type Refused } from "./refusals.ts";

Deno.test("Refusals are reported at once, then once a minute while there are any", () => {
  mock.timers.enable({ apis: ["setInterval"] });
  using _real = { [Symbol.dispose]: () => mock.timers.reset() };
  const reports: Refused[] = [];
  using refusals = new Refusals((refused) => reports.push(refused));
  refusals.add("10.0.0.1", "--rate-limit");
  assertEquals(reports.splice(0), [{
    requests: 1,
    addresses: [{ address: "10.0.0.1", requests: 1 }],
    others: 0,
    reasons: ["--rate-limit"],
  }]);
  for (let n = 0; n < 50; n++) {
    refusals.add("10.0.0.1", "--rate-limit");
    if (n % 2 === 0) refusals.add("10.0.0.2", "--max-readers");
    if (n % 10 === 0) refusals.add(`10.0.1.${n}`, "--rate-limit");
  }
  assertEquals(reports, []);
  mock.timers.tick(60_000);
  assertEquals(reports.splice(0), [{
    requests: 80,
    addresses: [
      { address: "10.0.0.1", requests: 50 },
      { address: "10.0.0.2", requests: 25 },
      { address: "10.0.1.0", requests: 1 },
    ],
    others: 4,
    reasons: ["--rate-limit", "--max-readers"],
  }]);
  mock.timers.tick(600_000);
  assertEquals(reports, []);
  refusals.add("10.0.0.1", "--rate-limit");
  assertEquals(reports.length, 1);
});
