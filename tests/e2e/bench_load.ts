/** The benchmark in small: it delivers every copy, says so, and leaves nothing running. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Results } from "../../bench/report.ts";

const MAIN = new URL("../../bench/main.ts", import.meta.url).href;

/** Runs the benchmark to its end. */
async function bench(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", MAIN, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("the benchmark delivers every copy once, next to the baseline", async () => {
  const json = await Deno.makeTempFile();
  await using _removed = { [Symbol.asyncDispose]: () => Deno.remove(json) };
  const { code, stdout, stderr } = await bench(
    ...["--readers", "10,50", "--publishers", "4", "--messages", "100", "--seconds", "20"],
    ...["--baseline", "--json", json],
  );
  assertEquals([code, stderr], [0, ""], stdout);
  assertMatch(stdout, /^project +50 /m);
  assertMatch(stdout, /^ratio +[\d.]+ ×/m);

  const { measurements }: Results = JSON.parse(await Deno.readTextFile(json));
  assertEquals(
    measurements.map(({ target, readers, accepted, delivered, lost, duplicates }) =>
      [target, readers, accepted, delivered, lost, duplicates].join(" ")
    ),
    [
      "project 10 100 1000 0 0",
      "baseline 10 100 1000 0 0",
      "project 50 100 5000 0 0",
      "baseline 50 100 5000 0 0",
    ],
  );
  for (const { deliveriesPerSecond, p50Ms, p99Ms, maxMs } of measurements) {
    assert(deliveriesPerSecond > 0);
    assert(0 < p50Ms && p50Ms <= p99Ms && p99Ms <= maxMs && maxMs < 20_000);
  }
});

Deno.test("the benchmark delivers a message to the readers of its room alone", async () => {
  const json = await Deno.makeTempFile();
  await using _removed = { [Symbol.asyncDispose]: () => Deno.remove(json) };
  const { code, stdout, stderr } = await bench(
    ...["--rooms", "110", "--readers", "330", "--messages", "440", "--json", json],
  );
  assertEquals([code, stderr], [0, ""], stdout);
  assertMatch(stdout, /^110 rooms, /);
  const { measurements: [{ accepted, delivered, lost, duplicates }] }: Results = JSON.parse(
    await Deno.readTextFile(json),
  );
  assertEquals([accepted, delivered, lost, duplicates], [440, 1320, 0, 0]);
});

Deno.test("the benchmark lets all readers come back, each to what it missed", async () => {
  const json = await Deno.makeTempFile();
  await using _removed = { [Symbol.asyncDispose]: () => Deno.remove(json) };
  const { code, stdout, stderr } = await bench(
    ...["--readers", "50", "--messages", "30", "--return", "10", "--baseline", "--json", json],
  );
  assertEquals([code, stderr], [0, ""], stdout);
  assertMatch(stdout, / returned in +return CPU\n/);
  assertMatch(stdout, /^ratio +[\d.]+ × .* [\d.]+ ×/m);

  const { measurements }: Results = JSON.parse(await Deno.readTextFile(json));
  assertEquals(
    measurements.map(({ target, return: { delivered, lost, duplicates, broken } = {} }) =>
      [target, delivered, lost, duplicates, broken].join(" ")
    ),
    ["project 500 0 0 0", "baseline 0 0 0 0"],
  );
  for (const { return: back } of measurements) assert(0 < back!.seconds && back!.seconds < 20);
});

Deno.test("the benchmark measures a message log alone", async () => {
  const flags = ["--log-only", "--messages", "500", "--publishers", "5"];
  const { code, stdout, stderr } = await bench(...flags);
  assertEquals([code, stderr], [0, ""], stdout);
  assertMatch(stdout, /^memory: +1 +[\d,]+ .* 0 +0$/m);
});

Deno.test("the benchmark keeps the pace it is given", async () => {
  const start = performance.now();
  const { code, stdout } = await bench("--readers", "5", "--messages", "30", "--rate", "20");
  assertEquals(code, 0, stdout);
  assert(performance.now() - start > 1400);
});

Deno.test("the benchmark says what is wrong with an option", async () => {
  const { code, stderr } = await bench("--readers", "none");
  assertEquals(code, 2);
  assertEquals(
    stderr,
    'Cannot start: --readers must be a whole number from 1 to 25000, received "none"\n',
  );
});

Deno.test("the benchmark ends its servers when it is interrupted", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", MAIN, "--readers", "20", "--messages", "5000", "--rate", "50"],
    stdout: "null",
    stderr: "null",
  }).spawn();
  let pids: string[] = [];
  while (pids.length < 2) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    pids = await childrenOf(process.pid);
  }
  process.kill("SIGINT");
  assertEquals((await process.status).code, 130);
  for (const pid of pids) {
    const state = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "gone");
    assertEquals(state, "gone");
  }
});

/** The processes a process has started and that still run. */
async function childrenOf(parent: number): Promise<string[]> {
  const found = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await Deno.readTextFile(`/proc/${name}/stat`).catch(() => "");
    const [state, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(ppid) === parent && state !== "Z") found.push(name);
  }
  return found;
}
