import { assertEquals, assertMatch } from "@std/assert";
import { parseOptions } from "./options.ts";
import { faults, heading, type Measurement, table } from "./report.ts";
import type { Return } from "./return.ts";

const RUN: Measurement = {
  target: "project",
  messageLog: "memory:",
  instances: 1,
  readers: 50,
  deliveriesPerSecond: 3000,
  connectSeconds: 1,
  accepted: 10,
  refused: 0,
  delivered: 500,
  lost: 0,
  duplicates: 0,
  broken: 0,
  seconds: 1,
  p50Ms: 1,
  p99Ms: 2,
  maxMs: 3,
};
const RETURN: Return = { delivered: 500, lost: 0, duplicates: 0, broken: 0, seconds: 3 };

function tableOf(...measurements: Measurement[]): string {
  const options = parseOptions([]);
  return table({ date: "", deno: "", system: "", pinned: true, options, measurements });
}

Deno.test("table() compares deliveries, and returns if there were any", () => {
  const baseline: Measurement = { ...RUN, target: "baseline", deliveriesPerSecond: 1000 };
  assertMatch(tableOf(RUN, baseline), /^ratio +3 ×$/m);
  const returned = tableOf(
    { ...RUN, return: { ...RETURN, cpuSeconds: 1 } },
    { ...baseline, return: { ...RETURN, seconds: 2, cpuSeconds: 2 } },
  );
  assertMatch(returned, /^ratio +3 × +1\.5 × +0\.5 ×$/m);
});

Deno.test("heading() says how many rooms there are", () => {
  assertMatch(heading(parseOptions([])), /^1 room, 20 publishers, 400 messages /);
  assertMatch(heading(parseOptions(["--rooms", "100"])), /^100 rooms, 20 publishers, /);
});

Deno.test("table() names message logs, without passwords, and instances where there are several", () => {
  const [one, two] = ["sqlite:chat.db", "redis://ann:secret@127.0.0.1:6379/1"].map((messageLog) => {
    return { ...RUN, messageLog };
  });
  const text = tableOf(one, { ...two, instances: 2, cpuShares: [0.25, 0.5] });
  assertMatch(text, /^project +sqlite:chat.db +1 +– +50 /m);
  assertMatch(text, /^project +redis:\/\/127.0.0.1:6379\/1 +2 +25 %, 50 % +50 /m);
  assertMatch(tableOf(RUN), /^project +50 /m);
});

Deno.test("faults() reports what went wrong on return", () => {
  const faulty = { ...RETURN, lost: 1, duplicates: 2, broken: 3 };
  assertEquals(faults([{ ...RUN, return: RETURN }]), []);
  assertEquals(faults([{ ...RUN, return: faulty }]), [
    "project, 50 readers: lost on return 1",
    "project, 50 readers: duplicates on return 2",
    "project, 50 readers: streams broken on return 3",
  ]);
});
