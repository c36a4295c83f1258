/** The start on a Redis: what is waited for, refused or warned of, and what is never printed. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { openMessageStore } from "../message_log/open.ts";
import { openssl } from "./certificate_files.ts";
import { post, readTexts } from "./chat_client.ts";
import { ChatProcess, type Ended, runToEnd } from "./chat_process.ts";
import { newFolder } from "./folder.ts";
import { freePort } from "./free_port.ts";
import { openInstance, say } from "./instances.ts";
import { hasRedis, RedisServer } from "./redis_server.ts";
import { until } from "./until.ts";

const ignore = !hasRedis;
const PASSWORD = "correct-horse-battery";
/** Has the rights of the chat's user of Redis. */
const COMPOSE = new URL("../deploy/compose.yaml", import.meta.url);

/** A start that must end by itself, with one line. */
async function refusedStart(url: string): Promise<string> {
  const ended = await runToEnd(["--port", "0", "--verbose", "--message-log", url]);
  assertEquals(ended.code, 1, ended.stderr);
  assertEquals(ended.stdout, "");
  assertMatch(ended.stderr, /^Cannot start: .+\n$/);
  assertNoPassword(ended);
  return ended.stderr;
}

function assertNoPassword({ stdout, stderr }: Omit<Ended, "code">): void {
  assert(!`${stdout}${stderr}`.includes(PASSWORD), stdout + stderr);
}

Deno.test("the start waits for a Redis that is about to come up", { ignore }, async () => {
  await using redis = await RedisServer.start();
  await redis.kill();
  const starting = ChatProcess.start(["--message-log", redis.url]);
  // It has tried in vain at least once.
  await refuseOnce(redis.port);
  await redis.start();
  await using chat = await starting;
  await post(chat.numericUrl, "hi");
  assertEquals(await readTexts(chat.numericUrl), ["hi"]);
});

Deno.test("a start without Redis ends after ten seconds, with one line", { ignore }, async () => {
  const began = performance.now();
  const line = await refusedStart(`redis://ann:${PASSWORD}@127.0.0.1:${freePort()}`);
  const took = performance.now() - began;
  assert(took > 9000 && took < 15_000, `it took ${took} ms`);
  assertStringIncludes(line, "127.0.0.1");
});

Deno.test("a wrong password ends the start at once, with a line that does not have it", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await redis.run("ACL", "SETUSER", "chat", "on", ">another", "+@all", "~*");
  const began = performance.now();
  const line = await refusedStart(`redis://chat:${PASSWORD}@127.0.0.1:${redis.port}`);
  assert(performance.now() - began < 5000);
  assertMatch(line, /password/);
});

Deno.test("a newer version's data and a key of another type end the start at once", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  {
    await using _room = await openInstance(redis.url);
  }
  assertEquals(await redis.run("HSET", "{chat}", "version", "1000"), "0");
  assertMatch(await refusedStart(redis.url), /newer/);
  await redis.run("FLUSHALL");
  await redis.run("SET", "{chat}", "something else");
  assertMatch(await refusedStart(redis.url), /wrong kind of value; another program uses its keys/);
  assertEquals(await redis.run("GET", "{chat}"), "something else");
});

Deno.test("settings of Redis that endanger messages are warned of at the start", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  const warningsWith = async (...settings: [name: string, value: string][]) => {
    for (const [name, value] of settings) {
      assertEquals(await redis.run("CONFIG", "SET", name, value), "OK");
    }
    const warnings: string[] = [];
    await using _room = await openInstance(redis.url, { onWarning: (text) => warnings.push(text) });
    return warnings;
  };
  assertEquals(await warningsWith(), []);
  const [everysec, ...none] = await warningsWith(["appendfsync", "everysec"]);
  assertMatch(everysec, /appendfsync everysec: set it to always/);
  assertEquals(none, []);
  const [evicting] = await warningsWith(["appendfsync", "always"], [
    "maxmemory-policy",
    "allkeys-lru",
  ]);
  assertMatch(evicting, /noeviction/);
  const [aof] = await warningsWith(["maxmemory-policy", "noeviction"], ["appendonly", "no"]);
  assertMatch(aof, /appendonly yes/);
});

Deno.test("the password in the URL is printed nowhere, whatever happens to Redis", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start({
    settings: ["--user", "chat", "on", `>${PASSWORD}`, "~*", "&*", "+@all"],
  });
  const url = `redis://chat:${PASSWORD}@127.0.0.1:${redis.port}/1`;
  await using chat = await ChatProcess.start(["--verbose", "--message-log", url]);
  await post(chat.numericUrl, "hi");
  await redis.kill();
  const refused = await fetch(`${chat.numericUrl}/chat`, {
    headers: { accept: "application/json" },
  });
  assertEquals(refused.status, 503);
  assert(!(await refused.text()).includes(PASSWORD));
  await until(() => chat.output.includes("can't be reached"));
  await redis.start();
  await until(() => chat.output.includes("is back"));
  const { output } = await chat.stop("SIGTERM");
  assertNoPassword({ stdout: chat.firstLine, stderr: output });
  assertStringIncludes(output, `redis://127.0.0.1:${redis.port}/1`);
});

Deno.test("a user of Redis with the rights that compose.yaml gives it is refused nothing", {
  ignore,
}, async () => {
  const compose = await Deno.readTextFile(COMPOSE);
  const [, words] = /--user chat on \S+ ([^:]+)\n\s+volumes:/.exec(compose) ?? [];
  assert(words, "compose.yaml makes no user of Redis for the chat");
  const rights = words.replaceAll("'", "").split(/\s+/);
  await using redis = await RedisServer.start();
  assertEquals(await redis.run("ACL", "SETUSER", "chat", "on", `>${PASSWORD}`, ...rights), "OK");
  const warnings: string[] = [];
  const url = `redis://chat:${PASSWORD}@127.0.0.1:${redis.port}`;
  const options = { keep: 5, keepDays: 1, onWarning: (text: string) => warnings.push(text) };
  await using a = await openInstance(url, options);
  await using b = await openInstance(url, options);
  for (let n = 0; n < 20; n++) await say(a.log, `m${n}`);
  const { entry } = await say(b.log, "rude");
  await b.log.remove({ id: entry.id });
  await a.log.remove("all");
  await a.log.update((state) => ({ ...state, closed: true }));
  await b.log.addressOf("nobody");
  await b.log.read({ latest: 5 });
  {
    await using store = await openMessageStore(url, options);
    await store.probe();
  }
  await redis.run("SCRIPT", "FLUSH");
  await say(b.log, "after");
  await redis.run("CLIENT", "KILL", "TYPE", "normal");
  await until(async () => {
    try {
      return !(await say(b.log, "back")).repeated;
    } catch {
      return false;
    }
  });
  assertEquals(warnings, []);
  // Whether appendfsync is as it should be is asked, and need not be answered.
  const denied = (await redis.run("ACL", "LOG")).matchAll(/^object\n(.*)$/gm);
  assertEquals(new Set(Array.from(denied, ([, command]) => command)), new Set(["config|get"]));
});

Deno.test("the databases of one Redis are chats of their own", { ignore }, async () => {
  await using redis = await RedisServer.start();
  await using one = await openInstance(`${redis.url}/1`);
  await using two = await openInstance(`${redis.url}/2`);
  await say(one.log, "one");
  await say(two.log, "two");
  for (const [room, text] of [[one, "one"], [two, "two"]] as const) {
    const { entries } = await room.log.read({ latest: 10 });
    assertEquals(entries.map(({ json }) => JSON.parse(json).message), [text]);
  }
  assertEquals(await redis.run("DBSIZE"), "0");
});

Deno.test("rediss:// is TLS, with a certificate that Deno trusts and no other", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const [ca, caKey, cert, key] = ["ca.crt", "ca.key", "redis.crt", "redis.key"].map((name) =>
    `${folder.path}/${name}`
  );
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  const common = [...request, "-nodes", "-days", "1"];
  await openssl(...common, "-subj", "/CN=school", "-keyout", caKey, "-out", ca);
  await openssl(
    ...[...common, "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-addext", "basicConstraints=critical,CA:FALSE", "-CA", ca, "-CAkey", caKey],
    ...["-keyout", key, "-out", cert],
  );
  const port = freePort();
  await using redis = await RedisServer.start({
    settings: [
      ...["--tls-port", `${port}`, "--tls-auth-clients", "no"],
      ...["--tls-cert-file", cert, "--tls-key-file", key],
    ],
  });
  const url = `rediss://127.0.0.1:${port}`;
  await using chat = await ChatProcess.start(["--message-log", url], { env: { DENO_CERT: ca } });
  await post(chat.numericUrl, "hi");
  assertEquals(await readTexts(chat.numericUrl), ["hi"]);
  assertStringIncludes(await redis.run("KEYS", "*"), "{chat}");
  assertMatch(await refusedStart(url), /certificate; .* DENO_CERT\n$/);
});

/** Takes one connection on a port, and ends it. */
async function refuseOnce(port: number): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port });
  (await listener.accept()).close();
}
