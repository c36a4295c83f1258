/** Redis loses what it had acknowledged: what readers are told of that, at every instance. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { compareIds, parseId } from "../chat_message.ts";
import { LogUnavailableError } from "../message_log/message_log.ts";
import { FlakyNetwork } from "./e2e/flaky_network.ts";
import { Follower, insist, openInstance, say } from "./instances.ts";
import { hasRedis, RedisServer } from "./redis_server.ts";
import { until } from "./until.ts";
import type { Room } from "../room.ts";

const ignore = !hasRedis;
/** Otherwise it waits for more replicas. */
const SYNC_AT_ONCE = ["--repl-diskless-sync-delay", "0"];

/** Posts messages m1, m2 and so on, and returns their ids. */
async function sayMany({ log }: Room, from: number, to: number): Promise<string[]> {
  const ids = [];
  for (let n = from; n <= to; n++) ids.push((await insist(log, `m${n}`)).entry.id);
  return ids;
}

function texts(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, n) => `m${from + n}`);
}

/** What somebody gets who comes back with a cursor. */
async function comeBack(room: Room, since: string): Promise<string[]> {
  await using follower = await Follower.join(room, { since });
  return follower.got;
}

function isGap(text: string): boolean {
  return text.startsWith("gap ");
}

function assertIncreasing(ids: readonly string[]): void {
  for (const [n, id] of ids.entries()) assert(n === 0 || compareIds(ids[n - 1], id) < 0);
}

/** A Redis with a replica, and the network by which instances reach the one or the other. */
async function startReplicated() {
  await using stack = new AsyncDisposableStack();
  const primary = stack.use(await RedisServer.start({ settings: SYNC_AT_ONCE }));
  const replica = stack.use(
    await RedisServer.start({ settings: ["--replicaof", "127.0.0.1", `${primary.port}`] }),
  );
  const network = stack.use(new FlakyNetwork(primary.port));
  const servers = stack.move();
  return {
    primary,
    replica,
    network,
    url: network.url.replace("http", "redis"),
    [Symbol.asyncDispose]: () => servers.disposeAsync(),
  };
}

Deno.test(
  "without an AOF, live readers go on without a gap, and others learn exactly what is lost",
  {
    ignore,
  },
  async () => {
    await using redis = await RedisServer.start({ settings: ["--appendonly", "no"] });
    await using a = await openInstance(redis.url);
    await using b = await openInstance(redis.url);
    const live = [await Follower.join(a), await Follower.join(b)] as const;
    await using _atA = live[0];
    await using _atB = live[1];
    const ids = await sayMany(a, 1, 10);
    await until(() => live.every(({ got }) => got.length === 10));
    await redis.kill();
    await redis.start();
    ids.push(...await sayMany(b, 11, 12), ...await sayMany(a, 13, 13));
    await until(() => live.every(({ got }) => got.length === 13));
    for (const { got } of live) assertEquals(got, texts(1, 13));
    assertIncreasing(ids);
    for (const room of [a, b]) {
      assertEquals(await comeBack(room, ids[6]), ["gap 3", ...texts(11, 13)]);
      assertEquals(await comeBack(room, ids[9]), texts(11, 13));
      assertEquals(await comeBack(room, ids[11]), ["m13"]);
    }
    // Who comes to know the log later knows of it, too.
    await using c = await openInstance(redis.url);
    assertEquals(await comeBack(c, ids[6]), ["gap 3", ...texts(11, 13)]);
  },
);

Deno.test("what readers were not told before Redis was emptied is told as a gap", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstance(redis.url);
  await using b = await openInstance(redis.url);
  await using atA = await Follower.join(a);
  await using atB = await Follower.join(b);
  /** The ids that were answered, by the texts, at each of the two. */
  const answered = [new Map<string, string>(), new Map<string, string>()];
  let isFinishing = false;
  const writers = Array.from({ length: 6 }, async (_, writer) => {
    for (let n = 0; !isFinishing; n++) {
      const text = `${writer}-${n}`;
      const { entry } = await insist([a, b][writer % 2].log, text);
      answered[writer % 2].set(text, entry.id);
    }
  });
  const more = async (count: number) => {
    const enough = answered[0].size + count;
    await until(() => answered[0].size >= enough);
  };
  for (let n = 0; n < 5; n++) {
    await more(50);
    await redis.run("FLUSHALL");
  }
  await more(50);
  isFinishing = true;
  await Promise.all(writers);
  await insist(a.log, "last");
  for (const [index, { got, ids }] of [atA, atB].entries()) {
    await until(() => got.at(-1) === "last");
    const given = ids.filter((id) => id !== "");
    assertIncreasing(given);
    let seq = 0;
    for (const [n, text] of got.entries()) {
      if (isGap(text)) continue;
      const { seq: next } = parseId(ids[n])!;
      const before = got[n - 1] ?? "";
      const missed = isGap(before) ? before.slice(4) : "0";
      if (missed !== "null") assertEquals(next - seq - 1, Number(missed), `before ${ids[n]}`);
      seq = next;
    }
    // What one instance alone knew of, another may have numbered again.
    const numbers = new Set(given.map((id) => parseId(id)!.seq));
    for (const [text, id] of answered[index]) {
      if (got.includes(text) || numbers.has(parseId(id)!.seq)) continue;
      const after = ids.findIndex((other) => other !== "" && compareIds(other, id) > 0);
      assert(isGap(got[after - 1] ?? ""), `${id}, ${text} is missing before ${got[after]}`);
    }
  }
});

Deno.test("a post that Redis loses before it is seen is refused, and stored when it is repeated", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstance(redis.url);
  await using b = await openInstance(redis.url);
  let refusals = 0;
  let isFlushing = true;
  let isOver = false;
  const flushing = redis.run("-r", "20000", "FLUSHALL").finally(() => isFlushing = false);
  const writing = Promise.all([a, b].map(async ({ log }, index) => {
    for (let n = 0; isFlushing; n++) refusals += (await insist(log, `${index} ${n}`)).refusals;
  })).then(() => isOver = true);
  await flushing;
  await until(() => isOver);
  await writing;
  assert(refusals > 0);
});

Deno.test("after a failover to a replica that was late, the hole is told exactly, and ids rise", {
  ignore,
}, async () => {
  await using pair = await startReplicated();
  const { primary, replica, network, url } = pair;
  await using a = await openInstance(url);
  await using b = await openInstance(url);
  await using atA = await Follower.join(a);
  await using atB = await Follower.join(b);
  const live = [atA, atB];
  const ids = await sayMany(a, 1, 10);
  await until(async () => (await replica.run("XLEN", "{chat}:log:")) === "10");
  await replica.run("REPLICAOF", "NO", "ONE");
  ids.push(...await sayMany(b, 11, 15));
  await until(() => live.every(({ got }) => got.length === 15));
  await primary.kill();
  network.serverPort = replica.port;
  ids.push(...await sayMany(b, 16, 17), ...await sayMany(a, 18, 18));
  await until(() => live.every(({ got }) => got.length === 18));
  for (const { got } of live) assertEquals(got, texts(1, 18));
  assertIncreasing(ids);
  assertEquals(new Set(ids.map((id) => parseId(id)!.seq)).size, 18);
  await using c = await openInstance(replica.url);
  for (const room of [a, b, c]) {
    assertEquals(await comeBack(room, ids[7]), [...texts(9, 10), "gap 5", ...texts(16, 18)]);
    assertEquals(await comeBack(room, ids[11]), ["gap 3", ...texts(16, 18)]);
    assertEquals(await comeBack(room, ids[14]), texts(16, 18));
  }
});

Deno.test("a replica that can only be read refuses posts until it is promoted", {
  ignore,
}, async () => {
  await using pair = await startReplicated();
  const { replica, network, url } = pair;
  const back = Promise.withResolvers<void>();
  await using room = await openInstance(url, { onBack: () => back.resolve() });
  await using live = await Follower.join(room);
  await say(room.log, "before");
  await until(async () => (await replica.run("XLEN", "{chat}:log:")) === "1");
  network.cut();
  network.serverPort = replica.port;
  network.mend();
  for (let n = 0; n < 3; n++) await assertRejects(() => say(room.log, "now"), LogUnavailableError);
  // As when its address is taken over before it is promoted.
  await until(async () =>
    /READONLY|EVALSHA|EVAL/.test(await replica.run("INFO", "errorstats", "commandstats"))
  );
  await assertRejects(() => say(room.log, "now"), LogUnavailableError);
  await replica.run("REPLICAOF", "NO", "ONE");
  await back.promise;
  await insist(room.log, "after");
  await until(() => live.got.at(-1) === "after");
  assertEquals(live.got, ["before", "after"]);
});

Deno.test(
  "a cursor that is no longer kept is told exactly how much is missing, at every instance",
  {
    ignore,
  },
  async () => {
    await using redis = await RedisServer.start();
    await using a = await openInstance(redis.url, { keep: 10 });
    await using b = await openInstance(redis.url, { keep: 10 });
    const ids = await sayMany(a, 1, 25);
    for (const room of [a, b]) {
      assertEquals(await comeBack(room, ids[4]), ["gap 10", ...texts(16, 25)]);
      assertEquals(await comeBack(room, ids[14]), texts(16, 25));
    }
  },
);

Deno.test("when Redis evicts a key, what is lost is told, and no id is given twice", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  for (let last = 0, key: string | undefined = ""; key !== undefined; last++) {
    await redis.run("FLUSHALL");
    await using a = await openInstance(redis.url);
    await using b = await openInstance(redis.url);
    await using atA = await Follower.join(a);
    await using atB = await Follower.join(b);
    const live = [atA, atB];
    const ids = await sayMany(a, 1, 5);
    await until(() => live.every(({ got }) => got.length === 5));
    const keys = (await redis.run("KEYS", "{chat}*")).split("\n").sort();
    key = keys[last];
    if (key === undefined) {
      assert(last > 3, `Redis has ${keys}`);
      break;
    }
    await redis.run("DEL", key);
    ids.push(...await sayMany(a, 6, 6), ...await sayMany(b, 7, 8));
    await until(() => live.every(({ got }) => got.at(-1) === "m8"));
    assertIncreasing(ids);
    const isLost = key.includes(":log:");
    for (const { got } of live) assertEquals(got, texts(1, 8), key);
    for (const room of [a, b]) {
      assertEquals(
        await comeBack(room, ids[1]),
        isLost ? ["gap 3", ...texts(6, 8)] : texts(3, 8),
        key,
      );
    }
  }
});

Deno.test(
  "when Redis has lost all and no instance remembers, a cursor is told that much is unknown",
  {
    ignore,
  },
  async () => {
    await using redis = await RedisServer.start();
    let ids: string[];
    {
      await using room = await openInstance(redis.url);
      ids = await sayMany(room, 1, 5);
    }
    await redis.run("FLUSHALL");
    await using room = await openInstance(redis.url);
    assertEquals(await comeBack(room, ids[4]), ["gap null"]);
    const [first] = await sayMany(room, 6, 6);
    assertEquals(await comeBack(room, ids[4]), ["gap null", "m6"]);
    assertIncreasing([...ids, first]);
  },
);
