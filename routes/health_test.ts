/** `GET /livez` and `GET /healthz`: what those learn who watch the server. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { VERSION } from "../config.ts";
import { LogUnavailableError, type MessageStore } from "../message_log/message_log.ts";
import { openMessageStore } from "../message_log/open.ts";
import { basic } from "../tests/chat_client.ts";
import { EventReader } from "../tests/event_reader.ts";
import { changedStore } from "../tests/open_log.ts";
import { assertProblem, openChat, openRoom } from "../tests/open_room.ts";
import { hasRedis, RedisServer } from "../tests/redis_server.ts";
import { until } from "../tests/until.ts";

/** What somebody sends who knows the password. */
const KNOWN = basic("open sesame");
/** What proxies add to what they pass on. */
const PASSED_ON: [name: string, value: string][] = [
  ["forwarded", "for=192.0.2.1"],
  ["x-forwarded-for", "192.0.2.1"],
  ["x-forwarded-proto", "https"],
  ["x-forwarded-host", "chat.local"],
  ["x-real-ip", "192.0.2.1"],
  ["via", "1.1 Caddy"],
];

Deno.test("GET /livez answers as long as the process does, never from a cache", async () => {
  await using chat = await openRoom();
  const response = await chat.ask("/livez");
  assertEquals(response.headers.get("cache-control"), "no-store");
  assertEquals([response.status, await response.text()], [200, "ok\n"]);
});

Deno.test("GET /healthz says how the server is, as one line of JSON", async () => {
  await using chat = await openRoom();
  {
    await using reader = await chat.read();
    await using other = await chat.read("/biology/chat");
    await Promise.all([reader.nextOf("online"), other.nextOf("online")]);
    const response = await chat.ask("/healthz");
    assertEquals(response.status, 200);
    assertEquals(response.headers.get("content-type"), "application/json");
    assertEquals(response.headers.get("cache-control"), "no-store");
    const text = await response.text();
    assertEquals(text.indexOf("\n"), text.length - 1);
    const { uptime, ...rest } = JSON.parse(text);
    assertEquals(rest, { status: "ok", version: VERSION, readers: 2, rooms: 2, log: "sqlite" });
    assert(Number.isInteger(uptime) && Math.abs(uptime - performance.now() / 1000) < 60);
  }
  const { readers } = await (await chat.ask("/healthz")).json();
  assertEquals(readers, 0);
});

Deno.test("GET /healthz names the kind of log, and nothing else of its URL", async () => {
  for (const [url, log] of [["rediss://ann:secret@redis.local", "redis"], ["memory:", "memory"]]) {
    await using store = await openMessageStore("memory:", { keep: 10 });
    await using chat = await openChat(["--message-log", url], { store });
    assertEquals((await (await chat.ask("/healthz")).json()).log, log);
  }
});

Deno.test("GET /healthz is a 503 with Retry-After while nothing can be stored, and the terminal says why", async () => {
  const memory = await openMessageStore("memory:", { keep: 10 });
  const store: MessageStore = changedStore(memory, {
    probe: () => Promise.reject(new LogUnavailableError("the disk is full")),
  });
  await using chat = await openChat([], { store });
  for (const method of ["GET", "HEAD"]) {
    const response = await chat.ask("/healthz", { method });
    assertEquals(response.status, 503);
    assertEquals(response.headers.get("retry-after"), "1");
    assertEquals((await response.json()).status, "unavailable");
  }
  assertEquals((await chat.ask("/livez")).status, 200);
  const errors = await chat.terminal.errors();
  assertEquals(errors.split("Cannot write to the message log: ").length, 2, errors);
  assertStringIncludes(errors, "the disk is full");
});

Deno.test("GET /healthz asks for the password, but not on the same machine", async () => {
  await using chat = await openRoom("--password", "open sesame", "--trust-proxy", "127.0.0.1");
  const statusOf = async (peer: string, headers: HeadersInit = {}, path = "/healthz") => {
    const response = await chat.askFrom(peer, path, { headers });
    await response.body?.cancel();
    return response.status;
  };
  for (const peer of ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]) {
    assertEquals(await statusOf(peer), 200, peer);
    assertEquals(await statusOf(peer, {}, "/rooms"), 401);
    for (const header of PASSED_ON) {
      assertEquals(await statusOf(peer, [header]), 401, `${peer} ${header}`);
      assertEquals(await statusOf(peer, [header, ...Object.entries(KNOWN)]), 200);
    }
  }
  for (const peer of ["192.0.2.1", "unknown", "128.0.0.1", "::2", "localhost"]) {
    assertEquals(await statusOf(peer), 401, peer);
    assertEquals(await statusOf(peer, KNOWN), 200, peer);
  }
});

Deno.test("GET /healthz on the same machine, sent to a name that is not the server's, is a 421", async () => {
  await using chat = await openRoom();
  const request = new Request("http://evil.example/healthz", { headers: { host: "evil.example" } });
  await assertProblem(await chat.handler(request), 421);
});

/** Something that is done to a Redis. */
type Change = (redis: RedisServer) => unknown;

/** What makes a Redis refuse to store anything, and what ends that. */
const FAILURES: [name: string, fail: Change, mend: Change][] = [
  ["is down", (redis) => redis.kill(), (redis) => redis.start()],
  ["hangs", (redis) => redis.stop(), (redis) => redis.goOn()],
  [
    "is full",
    (redis) => redis.run("CONFIG", "SET", "maxmemory", "1"),
    (redis) => redis.run("CONFIG", "SET", "maxmemory", "0"),
  ],
  [
    "is a replica that can only be read",
    (redis) => redis.run("REPLICAOF", "127.0.0.1", "1"),
    (redis) => redis.run("REPLICAOF", "NO", "ONE"),
  ],
];

for (const [name, fail, mend] of FAILURES) {
  Deno.test(`GET /healthz is a 503 while Redis ${name}, and a 200 again afterwards`, {
    ignore: !hasRedis,
  }, async () => {
    await using redis = await RedisServer.start();
    const store = await openMessageStore(redis.url, { keep: 10 });
    await using chat = await openChat(["--message-log", redis.url], { store });
    await using reader: EventReader = await chat.read();
    await reader.nextOf("online");
    const isHealthy = async () => {
      const response = await chat.ask("/healthz");
      const { status, log, readers } = await response.json();
      assertEquals([log, readers], ["redis", 1]);
      assertEquals([response.status, status], status === "ok" ? [200, "ok"] : [503, "unavailable"]);
      return status === "ok";
    };
    assert(await isHealthy());
    const ttl = Number(await redis.run("PTTL", "{chat}:probe"));
    assert(0 < ttl && ttl <= 10_000, "what a probe writes goes by itself");
    await fail(redis);
    await until(async () => !await isHealthy());
    await mend(redis);
    await until(isHealthy);
  });
}
