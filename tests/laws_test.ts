/**
 * The laws as properties: whatever happens to a chat, they hold. A failure prints a seed
 * and a path; with both, the schedule that failed runs again, as short as it was made:
 *
 * ```sh
 * deno test --allow-all tests/laws_test.ts -- --seed=-1234 --path=7:1:0
 * ```
 *
 * `--runs` sets how many schedules are tried.
 */

import fc from "fast-check";
import { parseArgs } from "node:util";
import { run } from "./laws/run.ts";
import { anySchedule } from "./laws/schedule.ts";
import { FileStorage, MemoryStorage, RedisStorage } from "./laws/storage.ts";
import { hasRedis, RedisServer } from "./redis_server.ts";

const { state } = await Deno.permissions.query({ name: "write" });
const { values } = parseArgs({
  args: Deno.args,
  options: { seed: { type: "string" }, path: { type: "string" }, runs: { type: "string" } },
});

/** How a property is tried. */
function parameters(runs: number) {
  return {
    numRuns: Number(values.runs ?? runs),
    ...(values.seed && { seed: Number(values.seed) }),
    ...(values.path && { path: values.path }),
  };
}

Deno.test("the laws hold whatever happens to a chat in memory", async () => {
  await fc.assert(
    fc.asyncProperty(anySchedule("memory"), (schedule) => run(schedule, new MemoryStorage())),
    parameters(800),
  );
});

Deno.test("the laws hold whatever happens to a chat in a file", {
  ignore: state !== "granted",
}, async () => {
  let runs = 0;
  const root = await newRamFolder();
  try {
    await fc.assert(
      fc.asyncProperty(anySchedule("file"), async (schedule) => {
        const folder = `${root}/${runs++}`;
        await Deno.mkdir(folder);
        await run(schedule, new FileStorage(folder));
        await Deno.remove(folder, { recursive: true });
      }),
      parameters(250),
    );
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("the laws hold whatever happens to a chat in Redis, of which there is another instance", {
  ignore: !hasRedis,
}, async () => {
  await using redis = await RedisServer.start({ settings: ["--appendonly", "no"] });
  await fc.assert(
    fc.asyncProperty(anySchedule("redis"), async (schedule) => {
      await using storage = await RedisStorage.begin(redis);
      await run(schedule, storage);
    }),
    parameters(30),
  );
});

/** A folder in memory where there is one: the files are closed, and so flushed, often. */
async function newRamFolder(): Promise<string> {
  try {
    return await Deno.makeTempDir({ dir: "/dev/shm" });
  } catch {
    return await Deno.makeTempDir();
  }
}
