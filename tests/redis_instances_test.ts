/** Several instances on one Redis are one chat: what is done at one holds at all others. */

import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { KeyConflictError, RoomLimitError } from "../message_log/message_log.ts";
import { openMessageStore } from "../message_log/open.ts";
import { basic } from "./chat_client.ts";
import { ChatProcess } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { Follower, openInstance, say } from "./instances.ts";
import { assertProblem, form, openChat } from "./open_room.ts";
import { RawStream } from "./raw_stream.ts";
import { hasRedis, RedisServer } from "./redis_server.ts";
import { until } from "./until.ts";

const ignore = !hasRedis;
const PASSWORD = "correct horse";
const MODERATOR = "battery staple";

type Chat = Awaited<ReturnType<typeof openChat>>;

/** The chat at one more instance, with passwords. */
async function openInstanceOf({ url }: RedisServer): Promise<Chat> {
  const passwords = ["--password", PASSWORD, "--moderator-password", MODERATOR];
  return await openChat(passwords, { store: await openMessageStore(url, { keep: 1000 }) });
}

function sayTo(chat: Chat, message: string, room = "", headers: HeadersInit = basic(PASSWORD)) {
  const body = form({ message, nickname: "ann", key: message });
  return chat.ask(`${room}/chat`, { method: "POST", body, headers });
}

async function act(chat: Chat, fields: Record<string, string>, room = "") {
  const init = { method: "POST", body: form(fields), headers: basic(MODERATOR) };
  const response = await chat.ask(`${room}/moderation`, init);
  assertEquals(response.status, 200);
  return await response.json();
}

Deno.test("a key that was used at one instance is a repeat at another", { ignore }, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstance(redis.url);
  await using b = await openInstance(redis.url);
  const post = { nickname: "ann", message: "hi", key: "key" };
  const first = await a.log.append(post);
  assertEquals(await b.log.append(post), { entry: first.entry, repeated: true });
  await assertRejects(() => b.log.append({ ...post, message: "other" }), KeyConflictError);
  const both = await Promise.all([a, b, a, b].map(({ log }) => log.append({ ...post, key: "2" })));
  assertEquals(new Set(both.map(({ entry }) => entry.id)).size, 1);
  assertEquals(both.filter(({ repeated }) => !repeated).length, 1);
});

Deno.test("a cursor of one instance is good at another, and all have one order", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstance(redis.url);
  await using b = await openInstance(redis.url);
  await using atA = await Follower.join(a);
  await using atB = await Follower.join(b);
  const numbers = Array.from({ length: 200 }, (_, n) => n);
  await Promise.all(numbers.map((n) => say((n % 2 ? a : b).log, `m${n}`)));
  await until(() => [atA, atB].every(({ got }) => got.length === 200));
  assertEquals(atA.got, atB.got);
  for (const [room, { ids, got }] of [[a, atB], [b, atA]] as const) {
    await using back = await Follower.join(room, { since: ids[70] });
    assertEquals(back.got, got.slice(71));
  }
});

Deno.test(
  "what is answered at one instance can be read at another at once",
  { ignore },
  async () => {
    await using redis = await RedisServer.start();
    await using a = await openInstance(redis.url);
    await using b = await openInstance(redis.url);
    for (let n = 0; n < 20; n++) {
      const { entry } = await say(a.log, `m${n}`);
      assertEquals((await b.log.read({ latest: 1 })).entries, [entry]);
    }
  },
);

Deno.test("a mute and a closed room hold at every instance at once", { ignore }, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstanceOf(redis);
  await using b = await openInstanceOf(redis);
  const { by } = await (await sayTo(b, "rude words")).json();
  assertEquals((await sayTo(b, "hi", "/biology")).status, 201);
  await act(a, { action: "close" }, "/biology");
  await assertProblem(await sayTo(b, "more", "/biology"), 403);
  await act(a, { action: "open" }, "/biology");
  assertEquals((await sayTo(b, "more", "/biology")).status, 201);
  await act(a, { action: "mute", by });
  assertMatch(await assertProblem(await sayTo(b, "more"), 403), /muted/);
  assertEquals((await act(b, { action: "unmute", by })).muted, []);
  assertEquals((await sayTo(a, "sorry")).status, 201);
  // What one instance changes is not undone by what another changes.
  await act(a, { action: "close" }, "/physics");
  const state = await act(b, { action: "mute", by }, "/physics");
  assertEquals([state.closed, state.muted.length], [true, 1]);
});

Deno.test("what is removed at one instance is gone at another, for its readers too", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstance(redis.url);
  await using b = await openInstance(redis.url);
  await using atB = await Follower.join(b);
  const { entry } = await say(a.log, "a rude word");
  await say(b.log, "a kind word");
  await until(() => atB.got.length === 2);
  assertEquals(await a.log.remove({ id: entry.id }), 1);
  assertEquals(
    (await b.log.read({ latest: 9 })).entries.filter(({ json }) => /rude/.test(json)),
    [],
  );
  await until(() => atB.got.length === 3);
  assertEquals(atB.got[2], `removed ${entry.id}`);
  await using newcomer = await Follower.join(b, { since: undefined });
  assertEquals(newcomer.got[0], "a kind word");
  await assertRejects(() => say(b.log, "a rude word"), { name: "RemovedError" } as never);
});

Deno.test("a room that is deleted at one instance is so at all, and nothing of it is in Redis", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstance(redis.url);
  await using b = await openInstance(redis.url);
  await using atB = await Follower.join(b);
  const post = { nickname: "ann", message: "a rude word", key: "a rude key", by: "ann-mark" };
  await a.log.append({ ...post, address: "a rude address" });
  await a.log.update(() => ({ closed: true, muted: [] }));
  await until(() => atB.got.length === 1 && b.log.state.closed);
  assertEquals(await a.log.delete(), 1);
  await until(() => atB.got.length === 2 && !b.log.state.closed);
  assertEquals(atB.got[1], "removed all");
  assertEquals(await b.log.addressOf("ann-mark"), undefined);
  await until(async () => !(await redis.readFiles()).includes("a rude"));
  const closing = { closed: true, muted: [] };
  for (const state of [undefined, closing, { ...closing, closed: false }]) {
    if (state) await a.log.update(() => state);
    // What is left of it goes by itself, unless it is closed.
    for (const key of ["{chat}:log:", "{chat}:room:"]) {
      assertEquals(Number(await redis.run("PTTL", key)) > 0, state !== closing, key);
    }
  }
  const { entry, repeated } = await b.log.append(post);
  assertEquals([repeated, entry.id.endsWith("-3")], [false, true]);
  await until(() => atB.got.length === 3);
  for (const key of ["{chat}:log:", "{chat}:room:"]) {
    assertEquals(Number(await redis.run("PTTL", key)), -1, key);
  }
});

Deno.test("what is removed is gone from Redis and, once it is rewritten, from its AOF", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstance(redis.url);
  await using b = await openInstance(redis.url);
  // With a key of its own: that is kept, so that a repeat is known.
  const post = { nickname: "ann", message: "a rude word", key: "key" };
  const { entry } = await a.log.append(post);
  await say(a.log, "a kind word");
  assert((await redis.readFiles()).includes("a rude word"));
  await b.log.remove({ id: entry.id });
  await until(async () => !(await redis.readFiles()).includes("a rude word"));
  assert((await redis.readFiles()).includes("a kind word"));
});

Deno.test("a session that is ended at one instance ends its streams at all others", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstanceOf(redis);
  await using b = await openInstanceOf(redis);
  const signedIn = await a.ask("/session", { method: "POST", body: form({ password: PASSWORD }) });
  const cookie = signedIn.headers.get("set-cookie")!.split(";", 1)[0];
  await using other = new EventReader(await b.ask("/chat", { headers: basic(PASSWORD) }));
  await using stream = new EventReader(await b.ask("/chat", { headers: { cookie } }));
  await stream.nextOf("online");
  await a.ask("/session", { method: "DELETE", headers: { cookie } });
  while (await stream.next());
  await assertProblem(await b.ask("/chat", { headers: { cookie } }), 401);
  assertEquals((await sayTo(b, "hi")).status, 201);
  assertEquals((await other.nextMessage()).message, "hi");
});

Deno.test("as many rooms as may be are counted over all instances", { ignore }, async () => {
  await using redis = await RedisServer.start();
  const options = { keep: 100, maxRooms: 2 };
  await using a = await openMessageStore(redis.url, options);
  await using b = await openMessageStore(redis.url, options);
  await using biology = await a.openLog("biology");
  await using physics = await b.openLog("physics");
  await using chemistry = await a.openLog("chemistry");
  for (const log of [biology, physics]) await say(log, "hi");
  await assertRejects(() => say(chemistry, "hi"), RoomLimitError);
  await say(physics, "still welcome");
});

Deno.test("readers are counted over all instances, and one that ends takes its own with it", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using a = await openInstanceOf(redis);
  const following = await Follower.join(await roomOf(a));
  await using _following = following;
  {
    const b = await openInstanceOf(redis);
    await using _atB = await Follower.join(await roomOf(b));
    await using _another = await Follower.join(await roomOf(b));
    await until(() => following.online === 3);
    const rooms = await (await a.ask("/rooms", { headers: basic(MODERATOR) })).json();
    assertEquals(rooms[0].readers, 3);
    await b[Symbol.asyncDispose]();
  }
  const began = performance.now();
  await until(() => following.online === 1);
  // Nobody waits until its time is over.
  assertLess(performance.now() - began, 2500);
});

Deno.test("the readers of an instance that dies are no longer counted within four seconds", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  await using room = await openInstance(redis.url);
  await using following = await Follower.join(room);
  await using dying = await ChatProcess.start(["--message-log", redis.url]);
  using stream = await RawStream.open(dying.port);
  await stream.readReplay();
  await until(() => following.online === 2);
  await dying.stop("SIGKILL");
  const died = performance.now();
  await until(() => following.online === 1);
  // A second more, in which the number is sent at most once.
  assertLess(performance.now() - died, 5000);
});

Deno.test("instances of different settings say so, each in one line that names them", {
  ignore,
}, async () => {
  await using redis = await RedisServer.start();
  const warnings: string[][] = [[], []];
  const secret = "battery staple";
  const open = (n: number, settings: Record<string, string>) =>
    openInstance(redis.url, {
      settings: { "--keep": "1000", "--title": "Chat", ...settings },
      onWarning: (text) => warnings[n].push(text),
    });
  await using _a = await open(0, { "--password": secret });
  await using _same = await open(0, { "--password": secret });
  await using _b = await open(1, { "--password": "correct horse", "--keep": "500" });
  await until(() => warnings[1].length > 0);
  assertEquals(warnings[1].length, 1);
  assertMatch(warnings[1][0], /--keep/);
  assertMatch(warnings[1][0], /--password/);
  assert(!warnings[1][0].includes("--title"));
  const known = [...warnings.flat(), await redis.readFiles()].join("\n");
  for (const word of [secret, "correct horse"]) assert(!known.includes(word));
});

/** The main room of a chat. */
async function roomOf({ rooms }: Chat) {
  const { room } = await rooms.enter("");
  return room;
}
