/** Redis is killed, hangs, is full or out of reach: what instances do meanwhile, and what is stored. */

import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import { parseId } from "../chat_message.ts";
import {
  LogUnavailableError,
  type MessageLog,
  StoreAwayError,
} from "../message_log/message_log.ts";
import { ChatProcess } from "./chat_process.ts";
import { post, sendPost } from "./chat_client.ts";
import { FlakyNetwork } from "./e2e/flaky_network.ts";
import { EventReader } from "./event_reader.ts";
import { Follower, insist, openInstance, say } from "./instances.ts";
import { assertProblem } from "./open_room.ts";
import { hasRedis, RedisServer } from "./redis_server.ts";
import { until } from "./until.ts";

const ignore = !hasRedis;
/** A stream that ends before anything else was sent. */
const SENT_AWAY = /^(?:retry: (?:[23]\d{3}|4000)\n\n)+$/;
const EVENT_SOURCE = { headers: { accept: "text/event-stream" } };

/** Two instances whose writers post until they are told to finish, and who reads at each. */
async function openBusyChat(url: string) {
  const stack = new AsyncDisposableStack();
  const rooms = [
    stack.use(await openInstance(url)),
    stack.use(await openInstance(url)),
  ];
  const followers = [
    stack.use(await Follower.join(rooms[0])),
    stack.use(await Follower.join(rooms[1])),
  ];
  let isFinishing = false;
  const stored: string[] = [];
  let refusals = 0;
  const write = async (log: MessageLog, name: string) => {
    for (let n = 0; !isFinishing; n++) {
      const told = await insist(log, `${name}-${n}`);
      stored.push(`${name}-${n}`);
      refusals += told.refusals;
    }
  };
  const writers = Array.from({ length: 6 }, (_, n) => write(rooms[n % 2].log, `writer${n}`));
  return {
    /** Waits until so many more posts are stored. */
    async more(count: number) {
      const enough = stored.length + count;
      await until(() => stored.length >= enough);
    },
    /** Ends the writers; returns how often they were refused. */
    async finish(): Promise<number> {
      isFinishing = true;
      await Promise.all(writers);
      return refusals;
    },
    /** Checks that the log and the readers at all instances have what is stored, once each, in one order. */
    async checkAll() {
      const all = stack.use(await Follower.join(rooms[0], { since: undefined }));
      await until(() => followers.every(({ got }) => got.length >= stored.length));
      assertEquals(all.got.toSorted(), stored.toSorted());
      for (const { got } of followers) assertEquals(got, all.got);
      assertEquals(all.ids.map((id) => parseId(id)!.seq), all.ids.map((_, n) => n + 1));
    },
    async [Symbol.asyncDispose]() {
      isFinishing = true;
      await stack[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a Redis that is killed and started again has lost and doubled nothing", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using chat = await openBusyChat(redis.url);
  for (let n = 0; n < 3; n++) {
    await chat.more(100);
    await redis.kill();
    await redis.start();
  }
  await chat.more(100);
  await chat.finish();
  await chat.checkAll();
});

Deno.test("connections that Redis ends cost no more than single posts, and flushed scripts none", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using chat = await openBusyChat(redis.url);
  for (let n = 0; n < 5; n++) {
    await chat.more(50);
    await redis.run("SCRIPT", "FLUSH");
  }
  await chat.more(50);
  assertEquals(await chat.finish(), 0);
  await chat.checkAll();

  await using cut = await openBusyChat(redis.url);
  for (let n = 0; n < 5; n++) {
    await cut.more(50);
    await redis.run("CLIENT", "KILL", "TYPE", "normal");
  }
  await cut.more(50);
  await cut.finish();
});

Deno.test(
  "while Redis is down posts are refused at once, streams stay open, and newcomers are to come again",
  {
    ignore,
  },
  async () => {
    await using redis = await RedisServer.start();
    const flags = ["--message-log", redis.url];
    await using a = await ChatProcess.start(flags);
    await using b = await ChatProcess.start(flags);
    const chats = [a, b];
    await using readerA = new EventReader(await fetch(`${a.numericUrl}/chat`));
    await using readerB = new EventReader(await fetch(`${b.numericUrl}/chat`));
    const readers = [readerA, readerB];
    for (const reader of readers) await reader.nextOf("online");
    await post(a.numericUrl, "before");
    for (const reader of readers) assertEquals((await reader.nextMessage()).message, "before");

    await redis.kill();
    const fields = { message: "meanwhile", key: "meanwhile" };
    const times: number[] = [];
    for (let n = 0; n < 20; n++) {
      const began = performance.now();
      const refused = await sendPost(chats[n % 2].numericUrl, fields);
      times.push(performance.now() - began);
      assertMatch(refused.headers.get("retry-after")!, /^[12]$/);
      await assertProblem(refused, 503);
    }
    assertLess(times.sort((a, b) => a - b)[10], 50);
    for (const { numericUrl: url } of chats) {
      for (const path of ["/chat", "/chat?since=all", "/biology/chat"]) {
        const newcomer = await fetch(url + path, EVENT_SOURCE);
        assertEquals(newcomer.status, 200);
        assertMatch(await newcomer.text(), SENT_AWAY);
        await assertProblem(
          await fetch(url + path, { headers: { accept: "application/json" } }),
          503,
        );
      }
    }

    await redis.start();
    const isStored = async () => {
      const response = await sendPost(a.numericUrl, fields);
      await response.body?.cancel();
      return response.status === 201;
    };
    await until(isStored);
    // The other instance may need a moment more.
    let repeat = await sendPost(b.numericUrl, fields);
    while (repeat.status === 503) {
      await repeat.body?.cancel();
      repeat = await sendPost(b.numericUrl, fields);
    }
    assertEquals(repeat.status, 200);
    const { id } = await repeat.json();
    for (const reader of readers) {
      let event = await reader.next();
      while (event?.event === "online" || event?.event === "ping") event = await reader.next();
      assertEquals([event?.event, event?.id], [undefined, id]);
    }
    for (const chat of chats) {
      await until(() => chat.output.includes("is back"));
      const lines = chat.output.trimEnd().split("\n").filter((line) => /^\d/.test(line));
      assertEquals(lines.length, 2, chat.output);
      assertMatch(lines[0], /^[\d:]{8} The message log can't be reached: .+\. Posts are refused/);
      assertMatch(lines[1], /^[\d:]{8} The message log is back, after [\d.]+ s\.$/);
    }
  },
);

Deno.test("a post to a Redis that hangs is refused in time, and is not stored when it wakes", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  const away: string[] = [];
  let backs = 0;
  const events = { onAway: (reason: string) => away.push(reason), onBack: () => backs++ };
  await using a = await openInstance(redis.url, events);
  await using b = await openInstance(redis.url);
  await using atA = await Follower.join(a);
  await using atB = await Follower.join(b);
  for (const { log } of [a, b]) await say(log, "before");
  redis.stop();
  const refuse = async (message: string) => {
    const began = performance.now();
    await assertRejects(() => say(a.log, message), StoreAwayError);
    assertLess(performance.now() - began, 2500);
  };
  await Promise.all([
    refuse("ghost 1"),
    refuse("ghost 2"),
    delay(1000).then(() => refuse("ghost 3")),
  ]);
  await refuse("ghost 4");
  assertEquals([away.length, backs], [1, 0]);
  redis.goOn();
  await insist(a.log, "after");
  await insist(b.log, "later");
  for (const { got } of [atA, atB]) {
    await until(() => got.at(-1) === "later");
    assertEquals(got, ["before", "after", "later"]);
  }
  assertEquals([away.length, backs], [1, 1]);
});

Deno.test("a Redis that hangs for less than a second refuses nothing", { ignore }, async () => {
  await using redis = await RedisServer.start();
  const away: string[] = [];
  await using room = await openInstance(redis.url, { onAway: (reason) => away.push(reason) });
  await say(room.log, "before");
  redis.stop();
  setTimeout(() => redis.goOn(), 800);
  await Promise.all([say(room.log, "one"), say(room.log, "two")]);
  assertEquals(away, []);
});

Deno.test("a connection that has gone silent is given up, and nothing is missed", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using network = new FlakyNetwork(redis.port);
  await using a = await openInstance(network.url.replace("http", "redis"));
  await using b = await openInstance(redis.url);
  await using atA = await Follower.join(a);
  await say(b.log, "before");
  await until(() => atA.got.length === 1);
  network.silence();
  await say(b.log, "meanwhile");
  const began = performance.now();
  await assertRejects(() => say(a.log, "ghost"), StoreAwayError);
  assertLess(performance.now() - began, 2500);
  network.mend();
  await insist(a.log, "after");
  await say(b.log, "later");
  await until(() => atA.got.at(-1) === "later");
  assertEquals(atA.got, ["before", "meanwhile", "after", "later"]);
});

Deno.test("a connection that has gone silent is given up though nobody posts", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using network = new FlakyNetwork(redis.port);
  const [away, back] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using a = await openInstance(network.url.replace("http", "redis"), {
    onAway: () => away.resolve(),
    onBack: () => back.resolve(),
  });
  await using b = await openInstance(redis.url);
  await using atA = await Follower.join(a);
  await say(b.log, "before");
  await until(() => atA.got.length === 1);
  network.silence();
  await say(b.log, "meanwhile");
  await away.promise;
  network.mend();
  await back.promise;
  await until(() => atA.got.length === 2);
  assertEquals(atA.got, ["before", "meanwhile"]);
});

Deno.test("a full Redis refuses posts, leaves nothing half-written and can be read", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using room = await openInstance(redis.url);
  const { log } = room;
  await using live = await Follower.join(room);
  const { entry } = await say(log, "before");
  await redis.run("CONFIG", "SET", "maxmemory", "1");
  for (let n = 0; n < 3; n++) await assertRejects(() => say(log, `full ${n}`), LogUnavailableError);
  assertEquals((await log.update((state) => ({ ...state, closed: true }))).closed, true);
  await using newcomer = await Follower.join(room, { since: undefined });
  assertEquals(newcomer.got, ["before"]);
  await redis.run("CONFIG", "SET", "maxmemory", "0");
  assertEquals((await insist(log, "full 0")).repeated, false);
  await until(() => live.got.length === 2);
  assertEquals(live.got, ["before", "full 0"]);
  assertEquals(live.ids.map((id) => parseId(id)!.seq), [1, 2]);
  assertEquals(live.ids[0], entry.id);
});

Deno.test("while Redis loads what it has on disk posts are refused, and nothing is missed", {
  ignore,
}, async () => {
  // Each command that it loads takes 0.2 ms more.
  await using redis = await RedisServer.start({ settings: ["--key-load-delay", "200"] });
  await using room = await openInstance(redis.url);
  await using live = await Follower.join(room);
  await say(room.log, "before");
  await redis.run("EVAL", "for n = 1, 4000 do redis.call('SET', n, n) end", "0");
  await redis.kill();
  const started = redis.start();
  await until(async () => (await redis.run("PING")).startsWith("LOADING"));
  await assertRejects(() => say(room.log, "refused"), StoreAwayError);
  assert((await redis.run("PING")).startsWith("LOADING"));
  await started;
  await insist(room.log, "after");
  await until(() => live.got.length === 2);
  assertEquals(live.got, ["before", "after"]);
});

Deno.test("a chat whose Redis hangs ends in under a second", { ignore }, async () => {
  await using redis = await RedisServer.start();
  await using chat = await ChatProcess.start(["--message-log", redis.url]);
  await post(chat.numericUrl, "hi");
  redis.stop();
  const { code, tookMs } = await chat.stop("SIGTERM");
  redis.goOn();
  assertEquals(code, 0);
  assert(tookMs < 1000, `took ${tookMs} ms`);
});
