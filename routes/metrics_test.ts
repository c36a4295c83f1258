/** `GET /metrics`: who may have it, and that it counts what happens. */

import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { VERSION } from "../config.ts";
import { LogUnavailableError, type MessageStore } from "../message_log/message_log.ts";
import { openMessageStore } from "../message_log/open.ts";
import { basic } from "../tests/chat_client.ts";
import { changedLog, changedStore } from "../tests/open_log.ts";
import { assertProblem, form, openChat, openRoom } from "../tests/open_room.ts";
import { hasRedis, RedisServer } from "../tests/redis_server.ts";
import { until } from "../tests/until.ts";

type Chat = Awaited<ReturnType<typeof openChat>>;

const PASSWORD = "open sesame";
/** Every metric with its type and the names of its labels. */
const METRICS: Record<string, string> = {
  chat_append_seconds: "histogram le",
  chat_build_info: "gauge version",
  chat_gaps_total: "counter kind",
  chat_joins_total: "counter",
  chat_log_reconnects_total: "counter",
  chat_log_up: "gauge",
  chat_messages_total: "counter",
  chat_posts_total: "counter status",
  chat_reader_ends_total: "counter reason",
  chat_readers: "gauge",
  chat_rooms: "gauge",
  chat_tail_lag_seconds: "histogram le",
  process_cpu_seconds_total: "counter",
  process_resident_memory_bytes: "gauge",
  process_start_time_seconds: "gauge",
};

async function textOf(chat: Chat): Promise<string> {
  const response = await chat.askFrom("127.0.0.1", "/metrics");
  assertEquals(response.status, 200);
  return await response.text();
}

/** The values by their names and labels, as they are written. */
async function valuesOf(chat: Chat): Promise<Record<string, number>> {
  const lines = (await textOf(chat)).matchAll(/^([a-z].*) (\S+)$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, value]) => [name, Number(value)]));
}

/** Signs in; returns the cookie. */
async function signIn(chat: Chat): Promise<string> {
  const body = form({ password: PASSWORD });
  const { headers } = await chat.ask("/session", { method: "POST", body });
  return headers.get("set-cookie")!.split(";")[0];
}

/** Waits for a value, and checks it. */
async function untilIs(chat: Chat, name: string, value: number): Promise<void> {
  await until(async () => (await valuesOf(chat))[name] >= value);
  assertEquals((await valuesOf(chat))[name], value);
}

/** A store whose logs, once that is said, can't be read. */
async function openFailing(): Promise<{ store: MessageStore; fail(): void }> {
  const memory = await openMessageStore("memory:", { keep: 10 });
  let isFailing = false;
  const store = changedStore(memory, {
    async openLog(room) {
      const log = await memory.openLog(room);
      return changedLog(log, {
        read: (range) =>
          isFailing ? Promise.reject(new LogUnavailableError("The disk fails")) : log.read(range),
      });
    },
  });
  return { store, fail: () => isFailing = true };
}

Deno.test("GET /metrics is not there without --metrics, whatever password there is", async () => {
  await using open = await openRoom();
  assertStringIncludes(
    await assertProblem(await open.askFrom("127.0.0.1", "/metrics"), 404),
    "start the chat with --metrics",
  );
  await using closed = await openRoom("--password", PASSWORD);
  await signIn(closed);
  await assertProblem(await closed.askFrom("127.0.0.1", "/metrics"), 404);
});

Deno.test("GET /metrics is valid text with help, type and unit for each, and no other labels", async () => {
  await using chat = await openRoom("--metrics");
  await using _reader = await chat.read("/biology/chat");
  const text = await textOf(chat);
  const found: Record<string, string> = {};
  for (const block of text.trimEnd().split("\n\n")) {
    const [help, type, ...samples] = block.split("\n");
    const [, name, kind] = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(type)!;
    assertMatch(help, new RegExp(`^# HELP ${name} [A-Z].+\\.$`));
    assertNotEquals(samples, []);
    const labels = new Set<string>();
    for (const sample of samples) {
      const [, base, label] = /^(\w+)(?:\{(\w+)="[^"\\]*"\})? (?:[\d.]+(?:e[+-]\d+)?)$/.exec(
        sample,
      )!;
      assertEquals(base.replace(/_(bucket|sum|count)$/, ""), name);
      if (label) labels.add(label);
    }
    assertEquals(kind === "counter", name.endsWith("_total"));
    found[name] = [kind, ...labels].join(" ");
  }
  assertEquals(found, METRICS);
  assert(!text.includes("biology"));
  assertStringIncludes(text, `chat_build_info{version="${VERSION}"} 1`);
});

Deno.test("GET /metrics is for the same machine, not for what a proxy passes on", async () => {
  await using chat = await openRoom("--metrics", "--password", PASSWORD);
  await signIn(chat);
  for (const peer of ["127.0.0.1", "::1"]) {
    const response = await chat.askFrom(peer, "/metrics");
    assertEquals(response.status, 200, peer);
    await response.body?.cancel();
    const headers = { "x-forwarded-for": "127.0.0.1" };
    assertStringIncludes(
      await assertProblem(await chat.askFrom(peer, "/metrics", { headers }), 403),
      "--metrics-token",
    );
  }
  for (const headers of [{}, basic(PASSWORD), { authorization: `Bearer ${PASSWORD}` }]) {
    await assertProblem(await chat.askFrom("192.0.2.1", "/metrics", { headers }), 403);
  }
});

Deno.test("GET /metrics is for whoever sends the token of --metrics-token", async () => {
  await using chat = await openRoom("--metrics", "--metrics-token", "s3cret-token");
  const ask = (authorization: string, peer = "192.0.2.1") =>
    chat.askFrom(peer, "/metrics", { headers: { authorization } });
  for (const authorization of ["Bearer s3cret-token", "bearer  s3cret-token"]) {
    const response = await ask(authorization);
    assertEquals(response.status, 200);
    await response.body?.cancel();
  }
  const wrong = ["", "Bearer", "Bearer s3cret", "Bearer s3cret-token2", "Basic s3cret-token"];
  for (const authorization of [...wrong, ...Object.values(basic("s3cret-token"))]) {
    const response = await ask(authorization);
    assertEquals(response.headers.get("www-authenticate"), 'Bearer realm="metrics"');
    const detail = await assertProblem(response, 401);
    assertStringIncludes(detail, "--metrics-token");
    assert(!detail.includes("s3cret"));
  }
  // Nobody can go on to guess; others can go on to ask.
  let response = await ask("Bearer guess-000");
  for (let n = 0; response.status === 401; n++) {
    assertLess(n, 200);
    await response.body?.cancel();
    response = await ask("Bearer guess-000");
  }
  await assertProblem(response, 429);
  const other = await ask("Bearer s3cret-token", "198.51.100.1");
  assertEquals(other.status, 200);
  await other.body?.cancel();
});

Deno.test("GET /metrics counts readers, by why they are no longer there", async () => {
  await using chat = await openRoom("--metrics", "--password", PASSWORD);
  const known = basic(PASSWORD);
  const reader = await chat.read("/chat", known);
  await using _other = await chat.read("/biology/chat", known);
  const values = await valuesOf(chat);
  assertEquals([values.chat_readers, values.chat_rooms, values.chat_joins_total], [2, 2, 2]);
  await reader[Symbol.asyncDispose]();
  await untilIs(chat, 'chat_reader_ends_total{reason="left"}', 1);
  assertEquals((await valuesOf(chat)).chat_readers, 1);

  const cookie = await signIn(chat);
  await using _session = await chat.read("/chat", { cookie });
  await chat.ask("/session", { method: "DELETE", headers: { cookie } });
  await untilIs(chat, 'chat_reader_ends_total{reason="session"}', 1);

  chat.rooms.close();
  await untilIs(chat, 'chat_reader_ends_total{reason="shutdown"}', 1);
  // One that comes too late has not joined.
  await using _late = await chat.read("/chat", known);
  const { chat_joins_total: joins, chat_readers: readers } = await valuesOf(chat);
  assertEquals([joins, readers], [3, 0]);
});

Deno.test("GET /metrics counts readers whose log can't be read", async () => {
  const { store, fail } = await openFailing();
  await using chat = await openChat(["--metrics"], { store });
  fail();
  await using reader = await chat.read("/chat?since=all");
  while (await reader.next());
  await untilIs(chat, 'chat_reader_ends_total{reason="log"}', 1);
});

Deno.test("GET /metrics counts readers that take nothing", async () => {
  await using chat = await openRoom("--metrics", "--heartbeat", "1");
  const response = await chat.ask("/chat");
  for (let n = 0; n < 10; n++) await chat.post(form({ message: "👋".repeat(4000) }));
  await until(async () => (await valuesOf(chat))['chat_reader_ends_total{reason="slow"}'] === 1);
  await response.body!.cancel().catch(() => {});
});

Deno.test("GET /metrics counts posts by status, messages once, and how long appends took", async () => {
  await using chat = await openRoom("--metrics");
  await chat.post(form({ message: "one", key: "k" }));
  await chat.post(form({ message: "one", key: "k" }));
  await chat.post(form({ message: "two", key: "k" }));
  await chat.post(form({ message: "two" }), { "sec-fetch-mode": "navigate" });
  await chat.ask("/biology/chat?x=/y", { method: "POST", body: form({ message: "three" }) });
  await chat.post("hi", { "content-type": "text/plain" });
  await chat.ask("/session?to=/chat", { method: "POST", body: form({ message: "no post" }) });
  const values = await valuesOf(chat);
  const posts = Object.entries(values).filter(([name]) => name.startsWith("chat_posts_total"));
  assertEquals(Object.fromEntries(posts), {
    'chat_posts_total{status="200"}': 1,
    'chat_posts_total{status="201"}': 2,
    'chat_posts_total{status="303"}': 1,
    'chat_posts_total{status="415"}': 1,
    'chat_posts_total{status="422"}': 1,
  });
  assertEquals(values.chat_messages_total, 3);
  // Three messages: a repeat and a refused key store nothing.
  assertEquals(values.chat_append_seconds_count, 3);
  assertLess(0, values.chat_append_seconds_sum);
  assertEquals(values.chat_tail_lag_seconds_count, 0);
});

Deno.test("GET /metrics counts removals as no messages", async () => {
  await using chat = await openRoom("--metrics");
  await chat.post(form({ message: "one" }));
  await chat.log.remove("all");
  assertEquals((await valuesOf(chat)).chat_messages_total, 1);
});

Deno.test("GET /metrics counts the gaps that readers are sent, a long page's once", async () => {
  await using chat = await openRoom("--metrics", "--keep", "10");
  const { id } = await (await chat.post(form({ message: "one" }))).json();
  for (let n = 0; n < 20; n++) await chat.post(form({ message: "x".repeat(3000) }));
  for (const cursor of [id, "1-1", undefined]) {
    await using reader = await chat.read(cursor ? `/chat?since=${cursor}` : "/chat");
    await reader.nextOf("online");
  }
  const values = await valuesOf(chat);
  for (const [kind, count] of [["trimmed", 1], ["unknown", 1], ["lost", 0]]) {
    assertEquals(values[`chat_gaps_total{kind="${kind}"}`], count, `${kind}`);
  }
});

Deno.test("chat_log_up is 0 while nothing can be stored", async () => {
  const memory = await openMessageStore("memory:", { keep: 10 });
  let isFull = true;
  const store = changedStore(memory, {
    probe: () => isFull ? Promise.reject(new LogUnavailableError("full")) : Promise.resolve(),
  });
  await using chat = await openChat(["--metrics"], { store });
  assertEquals((await valuesOf(chat)).chat_log_up, 0);
  isFull = false;
  await untilIs(chat, "chat_log_up", 1);
});

Deno.test(
  "GET /metrics counts what other instances have stored, how late, and what Redis has lost",
  {
    ignore: !hasRedis,
  },
  async () => {
    await using redis = await RedisServer.start();
    const options = { keep: 10 };
    const flags = ["--metrics", "--message-log", redis.url];
    await using here = await openChat(flags, { store: await openMessageStore(redis.url, options) });
    await using there = await openChat(flags, {
      store: await openMessageStore(redis.url, options),
    });
    for (let n = 0; n < 3; n++) await there.post(form({ message: "hi" }));
    for (const chat of [here, there]) {
      await untilIs(chat, "chat_messages_total", 3);
      const { chat_tail_lag_seconds_count: batches, chat_tail_lag_seconds_sum: seconds } =
        await valuesOf(chat);
      assert(1 <= batches && batches <= 3, `${batches}`);
      assertLess(seconds, 3);
    }
    assertEquals((await valuesOf(here)).chat_append_seconds_count, 0);

    await redis.run("FLUSHALL");
    await redis.run("CLIENT", "KILL", "TYPE", "normal");
    await untilIs(here, 'chat_gaps_total{kind="lost"}', 1);

    await redis.kill();
    assertEquals((await here.post(form({ message: "lost" }))).status, 503);
    assertEquals((await valuesOf(here)).chat_append_seconds_count, 1);
  },
);
