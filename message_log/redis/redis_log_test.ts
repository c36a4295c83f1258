import { assert, assertEquals } from "@std/assert";
import { compareIds, parseId } from "../../chat_message.ts";
import { hasRedis, RedisServer } from "../../tests/redis_server.ts";
import { until } from "../../tests/until.ts";
import { testMessageLog } from "../conformance.ts";
import type { Batch, MessageLog, MessageStore } from "../message_log.ts";
import { openMessageStore } from "../open.ts";

testMessageLog({
  name: "RedisLog",
  async newStorage() {
    const redis = await RedisServer.start();
    return {
      open: (options) => openMessageStore(redis.url, options),
      [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
    };
  },
  ignore: !hasRedis,
  survives: true,
  isRemote: true,
});

const DAY_MS = 24 * 60 * 60_000;

/** Redis, a clock to be set, and the loss of all connections to it. */
async function startRedis() {
  const redis = await RedisServer.start();
  return {
    redis,
    clock: { now: Date.UTC(2026, 0, 1) },
    /** Has a store lose its connections, and waits until it has new ones. */
    async reconnect(store: MessageStore) {
      await redis.run("CLIENT", "KILL", "TYPE", "normal");
      await until(() => store.rooms().then(() => true, () => false));
    },
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  };
}

/** As after a failover: the others have seen none of what there was, and have written another since. */
async function writeAnother(redis: RedisServer, ms: number): Promise<string> {
  const id = `${ms}-1`;
  await redis.run("DEL", "{chat}:log:");
  await redis.run("XADD", "{chat}:log:", id, "n", "ann", "m", "hi");
  return id;
}

Deno.test(
  "RedisLog goes on after all numbers that it knows of, also once it has been told lower ones",
  {
    ignore: !hasRedis,
  },
  async () => {
    await using test = await startRedis();
    const { redis, clock } = test;
    await using store = await openMessageStore(redis.url, { keep: 100, now: () => clock.now });
    const log = await store.openLog("");
    await appendAll(log, 3);
    const told = Promise.withResolvers<Batch>();
    log.subscribe(told.resolve);
    const other = await writeAnother(redis, clock.now + 5000);
    assertEquals((await told.promise).missed, null);
    const [next] = await appendAll(log, 1);
    assertEquals(parseId(next)!.seq, 4);
    assert(compareIds(other, next) < 0, `${next} comes after ${other}`);
  },
);

Deno.test(
  "RedisLog goes on after the last entry where the clock is behind it and numbers are lost",
  {
    ignore: !hasRedis,
  },
  async () => {
    await using test = await startRedis();
    const { redis, clock } = test;
    const options = { keep: 100, now: () => clock.now };
    let last;
    {
      await using store = await openMessageStore(redis.url, options);
      last = (await appendAll(await store.openLog(""), 3))[2];
    }
    const other = await writeAnother(redis, clock.now + 5000);
    // An instance has known of them.
    await redis.run("HSET", "{chat}:room:", "floor", last);
    await using store = await openMessageStore(redis.url, options);
    const [next] = await appendAll(await store.openLog(""), 1);
    assertEquals(parseId(next)!.seq, 4);
    assert(compareIds(other, next) < 0, `${next} comes after ${other}`);
  },
);

Deno.test(
  "RedisLog repeats no number that an instance knows of once all there was has become too old",
  {
    ignore: !hasRedis,
  },
  async () => {
    await using test = await startRedis();
    const { redis, clock } = test;
    const options = { keep: 100, keepDays: 1, now: () => clock.now };
    {
      await using store = await openMessageStore(redis.url, options);
      const log = await store.openLog("");
      const ids = await appendAll(log, 3);
      // As after a failover: the newest are lost, and an instance has had them.
      await redis.run("XDEL", "{chat}:log:", ...ids.slice(1));
      await test.reconnect(store);
      clock.now += DAY_MS + 1;
      await log[Symbol.asyncDispose]();
      const again = await store.openLog("");
      assertEquals((await again.read({ since: undefined })).entries, []);
    }
    await using store = await openMessageStore(redis.url, options);
    const [next] = await appendAll(await store.openLog(""), 1);
    assertEquals(parseId(next)!.seq, 4);
  },
);

Deno.test(
  "RedisLog keeps a message that is as old as it may be",
  { ignore: !hasRedis },
  async () => {
    await using test = await startRedis();
    const { redis, clock } = test;
    await using store = await openMessageStore(redis.url, {
      keep: 100,
      keepDays: 1,
      now: () => clock.now,
    });
    const log = await store.openLog("");
    await appendAll(log, 1);
    await log[Symbol.asyncDispose]();
    const counts: number[] = [];
    for (const ms of [DAY_MS, 1]) {
      clock.now += ms;
      await using log = await store.openLog("");
      counts.push((await log.read({ since: undefined })).entries.length);
    }
    assertEquals(counts, [1, 0]);
  },
);

async function appendAll(log: MessageLog, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    ids.push((await log.append({ nickname: "ann", message: `${n}` })).entry.id);
  }
  return ids;
}

Deno.test("RedisLog sees a loss when it is read, also where no connection was lost", {
  ignore: !hasRedis,
}, async () => {
  await using redis = await RedisServer.start();
  await using store = await openMessageStore(redis.url, { keep: 100 });
  const log = await store.openLog("");
  const appended = await appendAll(log, 5);
  const batches: Batch[] = [];
  log.subscribe((batch) => batches.push(batch));
  await redis.run("FLUSHALL");
  const page = await log.read({ latest: 50 });
  assertEquals(batches, [{ entries: [], missed: null }]);
  assert(compareIds(page.end, appended[4]) >= 0, page.end);
  const [next] = await appendAll(log, 1);
  assertEquals(parseId(next)!.seq, 6);
});

Deno.test("RedisLog answers repeats and changes of the state where the last messages are lost", {
  ignore: !hasRedis,
}, async () => {
  await using redis = await RedisServer.start();
  await using store = await openMessageStore(redis.url, { keep: 100 });
  const log = await store.openLog("");
  const post = { nickname: "ann", message: "hi", key: "k" };
  const { entry } = await log.append(post);
  const floor = entry.id.replace(/-1$/, "-9");
  await redis.run("HSET", "{chat}:room:", "floor", floor);
  assertEquals(await log.append(post), { entry, repeated: true });
  assertEquals((await log.update((state) => ({ ...state, closed: true }))).closed, true);
});

Deno.test("RedisLog hears of entries with earlier times than those that were lost", {
  ignore: !hasRedis,
}, async () => {
  await using test = await startRedis();
  const { redis, clock } = test;
  await using store = await openMessageStore(redis.url, { keep: 100, now: () => clock.now });
  const log = await store.openLog("");
  await appendAll(log, 2);
  await redis.run("DEL", "{chat}:log:");
  const heard: string[] = [];
  log.subscribe(({ entries }) => heard.push(...entries.map(({ id }) => id)));
  // Another instance has gone on with a clock that is behind.
  await redis.run("XADD", "{chat}:log:", `${clock.now - 5000}-3`, "n", "ben", "m", "hi");
  await test.reconnect(store);
  let seq = 4;
  await until(async () => {
    await redis.run("XADD", "{chat}:log:", `${clock.now - 4000}-${seq++}`, "n", "ben", "m", "hi");
    return heard.length > 0;
  });
});

Deno.test("RedisLog lets a full Redis be read and moderated, by rooms that open then too", {
  ignore: !hasRedis,
}, async () => {
  await using redis = await RedisServer.start();
  await using store = await openMessageStore(redis.url, { keep: 100 });
  {
    await using log = await store.openLog("biology");
    await appendAll(log, 3);
  }
  await redis.run("CONFIG", "SET", "maxmemory", "1");
  await using log = await store.openLog("biology");
  const { entries } = await log.read({ latest: 50 });
  const results = await Promise.allSettled([
    log.append({ nickname: "ann", message: "hi" }),
    log.remove({ id: entries[0].id }),
  ]);
  assertEquals(results.map(({ status }) => status), ["rejected", "fulfilled"]);
  assertEquals((await log.update((state) => ({ ...state, closed: true }))).closed, true);
  assertEquals(await log.remove("all"), 2);
});
