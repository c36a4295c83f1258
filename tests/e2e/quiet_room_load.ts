/**
 * A room with few readers while another is flooded: its messages do not wait for the crowd's.
 * It prints the figures.
 */

import { assert, assertEquals } from "@std/assert";
import type { LoadOrder, LoadResult } from "../../bench/load.ts";
import { LoadProcess } from "../../bench/load_process.ts";
import { canPin, startServer } from "../../bench/server.ts";

type Load = Omit<LoadOrder, "port">;

const QUIET_SECONDS = 10;
const QUIET: Load = {
  paths: ["/quiet/chat"],
  readers: 10,
  publishers: 2,
  messages: 20 * QUIET_SECONDS,
  rate: 20,
  size: 32,
  seconds: 2 * QUIET_SECONDS,
};
/** Goes on until the quiet room has been measured. */
const FLOOD: Load = {
  paths: ["/crowd/chat"],
  readers: 1000,
  publishers: 20,
  messages: 200_000,
  rate: 0,
  size: 32,
  seconds: 10 * QUIET_SECONDS,
};
const WARM_UP: Load = { ...FLOOD, readers: 100, messages: 2000 };
/** The flood's load must not keep the quiet room's from looking at the clock. */
const NICENESS = 19;
/**
 * A flooded server is busy all the time: a message waits for some turns of its event loop, and
 * for whatever else the machine does. Were a crowd served in one turn, it would be much more.
 */
const MAX_P50_MS = 40;

Deno.test("messages in a quiet room do not wait for those of a flooded one", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  await using running = new AsyncDisposableStack();
  const pinned = await canPin();
  const options = { messageLog: "memory:", rooms: 10 };
  const { port } = await startServer("project", options, running, pinned ? 0 : undefined);
  const newLoad = (niceness = 0) => running.use(new LoadProcess(pinned ? 1 : undefined, niceness));
  const quiet = newLoad();
  const flood = newLoad(NICENESS);
  const measure = async (load: LoadProcess, order: Load): Promise<LoadResult> => {
    await load.send({ ...order, port });
    await load.until("connected");
    await load.send("go");
    return (await load.until("result")).result;
  };
  await measure(flood, WARM_UP);

  const alone = await measure(quiet, QUIET);
  await flood.send({ ...FLOOD, port });
  await flood.until("connected");
  await flood.send("go");
  const amidFlood = await measure(quiet, QUIET);

  for (const { lost, duplicates, refused } of [alone, amidFlood]) {
    assertEquals([lost, duplicates, refused], [0, 0, 0]);
  }
  console.log(
    `p50 and p99 alone: ${alone.p50Ms}, ${alone.p99Ms} ms; ` +
      `amid the flood: ${amidFlood.p50Ms}, ${amidFlood.p99Ms} ms`,
  );
  assert(amidFlood.p50Ms < MAX_P50_MS);
});
