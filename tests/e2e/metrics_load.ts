/**
 * What it costs to be watched: the CPU time of a server that is asked for its metrics, and that of the same
 * server under the same load while it is not. It takes the machine for itself, and prints the figures.
 */

import { assert, assertEquals, assertLess } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import type { LoadOrder } from "../../bench/load.ts";
import { LoadProcess } from "../../bench/load_process.ts";
import { canPin, cpuSeconds, startServer } from "../../bench/server.ts";

const SECONDS = 32;
const RATE = 20;
const LOAD: Omit<LoadOrder, "port"> = {
  paths: ["/chat"],
  readers: 1000,
  publishers: 4,
  messages: RATE * SECONDS,
  rate: RATE,
  size: 32,
  seconds: 2 * SECONDS,
};
const WARM_UP: typeof LOAD = { ...LOAD, messages: 100 };
/** Between two scrapes: they are many, so that what they cost is more than the load varies by. */
const PAUSE_MS = 20;
/** What asking once a second may cost, as a part of what the server uses without. */
const MAX_SHARE = 0.01;

Deno.test("metrics that are asked for each second cost at most 1 % more CPU beside a paced load", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  await using running = new AsyncDisposableStack();
  const pinned = await canPin();
  const options = { messageLog: "memory:", rooms: 1, flags: ["--metrics"] };
  const { pid, port } = await startServer("project", options, running, pinned ? 0 : undefined);
  const load = running.use(new LoadProcess(pinned ? 1 : undefined));
  const scrape = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    assert((await response.text()).includes(`chat_readers ${LOAD.readers}\n`));
  };

  await load.send({ ...WARM_UP, port });
  await load.until("connected");
  await scrape();
  await load.send("go");
  await load.until("result");
  await load.send({ ...LOAD, port });
  await load.until("connected");
  await load.send("go");
  const used = { alone: 0, asked: 0 };
  let scrapes = 0;
  const start = performance.now();
  for (let second = 0; second < SECONDS; second++) {
    // Whatever grows or shrinks with time, or comes every second time, is in both alike.
    const isAsked = second % 4 === 1 || second % 4 === 2;
    const before = (await cpuSeconds(pid))!;
    while (performance.now() < start + 1000 * (second + 1)) {
      await Promise.all([delay(PAUSE_MS), isAsked && scrape()]);
      if (isAsked) scrapes++;
    }
    used[isAsked ? "asked" : "alone"] += (await cpuSeconds(pid))! - before;
  }
  const { result: { lost, duplicates, refused } } = await load.until("result");
  assertEquals([lost, duplicates, refused], [0, 0, 0]);

  const each = (used.asked - used.alone) / scrapes;
  const share = each / (used.alone / (SECONDS / 2));
  console.log(
    `CPU alone: ${used.alone.toFixed(2)} s, with ${scrapes} scrapes: ${used.asked.toFixed(2)} s; ` +
      `one a second: ${(1000 * each).toFixed(2)} ms, ${(100 * share).toFixed(2)} % more`,
  );
  assertLess(share, MAX_SHARE);
});
