/** What the guard lets through to the chat, and what it says to those whom it does not. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { assertProblem, form, openRoom } from "../tests/open_room.ts";
import { basic } from "../tests/chat_client.ts";
import { EventReader } from "../tests/event_reader.ts";
import { parseConfig } from "../config.ts";
import { Guard } from "./guard.ts";

const EVENT_STREAM = { accept: "text/event-stream" };
const JSON_HISTORY = { accept: "application/json" };

type Chat = Awaited<ReturnType<typeof openRoom>>;

function say(chat: Chat, address: string, message = "hi", headers: HeadersInit = {}) {
  return chat.askFrom(address, "/chat", { method: "POST", body: form({ message }), headers });
}

/** The statuses of a number of posts from an address. */
async function postFrom(chat: Chat, address: string, count: number): Promise<number[]> {
  const statuses = [];
  for (let n = 0; n < count; n++) {
    const response = await say(chat, address);
    statuses.push(response.status);
    await response.body?.cancel();
  }
  return statuses;
}

function count(statuses: number[], status: number): number {
  return statuses.filter((each) => each === status).length;
}

Deno.test("POST /chat over the rate limit is a 429 that says when to come back", async () => {
  await using chat = await openRoom("--rate-limit", "60");
  assertEquals(count(await postFrom(chat, "10.0.0.1", 50), 201), 50);
  const response = await say(chat, "10.0.0.1");
  assertEquals(response.headers.get("retry-after"), "1");
  assertStringIncludes(await assertProblem(response, 429), "--rate-limit");
  // Others go on, and IPv6 counts by network, IPv4 in whatever form.
  assertEquals(count(await postFrom(chat, "10.0.0.2", 50), 201), 50);
  assertEquals(await postFrom(chat, "::ffff:10.0.0.2", 1), [429]);
  assertEquals(count(await postFrom(chat, "2001:db8::1", 50), 201), 50);
  assertEquals(await postFrom(chat, "2001:db8::2", 1), [429]);
  assertEquals(await postFrom(chat, "2001:db8:0:1::2", 1), [201]);
  assertMatch(
    await chat.terminal.errors(),
    /^\S+ 1 request refused, from 10\.0\.0\.1: --rate-limit\n$/,
  );
});

Deno.test("a long post costs one more for each full 1,000 bytes", async () => {
  await using chat = await openRoom("--rate-limit", "12");
  // "message=" and 4,000 characters.
  const long = await say(chat, "10.0.0.1", "x".repeat(4000));
  assertEquals(long.status, 201);
  assertEquals(count(await postFrom(chat, "10.0.0.1", 10), 201), 5);
  const refused = await say(chat, "10.0.0.1");
  assertEquals(refused.headers.get("retry-after"), "5");
  // What is too long for a message costs as much.
  const tooLong = await say(chat, "10.0.0.2", "x".repeat(9000));
  assertEquals(tooLong.status, 422);
  assertEquals(await postFrom(chat, "10.0.0.2", 1), [429]);
  // And what is too long to be read, however long it is.
  const tooLarge = await say(chat, "10.0.0.3", "x".repeat(70_000));
  assertEquals(tooLarge.status, 413);
  assertEquals((await say(chat, "10.0.0.3")).headers.get("retry-after"), "285");
});

Deno.test("a refused post burns nothing, whether for its origin or its password", async () => {
  await using chat = await openRoom("--rate-limit", "12", "--password", "correct horse");
  for (let n = 0; n < 20; n++) {
    assertEquals((await say(chat, "10.0.0.1")).status, 401);
    const foreign = { ...basic("correct horse"), origin: "https://evil.example" };
    assertEquals((await say(chat, "10.0.0.1", "hi", foreign)).status, 403);
  }
  for (let n = 0; n < 10; n++) {
    assertEquals((await say(chat, "10.0.0.1", "hi", basic("correct horse"))).status, 201);
  }
});

Deno.test("a refusal over the rate limit is held back, but not once the server stops", async () => {
  const config = parseConfig(["--rate-limit", "1"], () => undefined);
  using guard = new Guard({ config, holdMs: 60_000, onRefused() {}, onProxy() {} });
  (await guard.enterPost("10.0.0.1"))[Symbol.dispose]();
  const refused = guard.enterPost("10.0.0.1").then(() => "in", (error) => error.status);
  assertEquals(await Promise.race([refused, nextTask("held")]), "held");
  // It keeps no place that others need.
  for (let n = 0; n < 64; n++) guard.enterBody("10.0.0.1");
  guard.close();
  // At once, and not when its time is over.
  const held = nextTask("held");
  assertEquals(await Promise.race([refused, held]), 429);
  await held;
});

Deno.test("streams over the limit are told to come back, and get in when there is room", async () => {
  await using chat = await openRoom("--max-readers-per-address", "2", "--max-readers", "3");
  const open = (address: string, headers: HeadersInit = EVENT_STREAM) =>
    chat.askFrom(address, "/chat", { headers });
  const first = new EventReader(await open("10.0.0.1"));
  await using _second = new EventReader(await open("10.0.0.1"));
  const third = await open("10.0.0.1");
  assertEquals(third.status, 200);
  assertEquals(third.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assertEquals(await third.text(), "retry: 60000\n\n");
  const curl = await open("10.0.0.1", { accept: "*/*" });
  assertEquals(curl.headers.get("retry-after"), "60");
  assertStringIncludes(await assertProblem(curl, 503), "--max-readers-per-address");
  await using _other = new EventReader(await open("10.0.0.2"));
  assertStringIncludes(
    await assertProblem(await open("10.0.0.3", { accept: "*/*" }), 503),
    "--max-readers.",
  );
  assertEquals(chat.hub.readers, 3);
  await first[Symbol.asyncDispose]();
  await using again = new EventReader(await open("10.0.0.1"));
  assertEquals(await again.nextOf("online"), "3");
});

Deno.test("a stream that the server ends makes room as well", async () => {
  await using chat = await openRoom("--max-readers-per-address", "1");
  const first = await chat.askFrom("10.0.0.1", "/chat", { headers: EVENT_STREAM });
  chat.hub.close();
  await first.text();
  // Sent away, for the room is closed, but not for want of a place.
  const second = await chat.askFrom("10.0.0.1", "/chat", { headers: EVENT_STREAM });
  assertMatch(await second.text(), /^retry: [234]\d{3}\n\n$/);
  const head = await chat.askFrom("10.0.0.1", "/chat", { method: "HEAD", headers: EVENT_STREAM });
  assertEquals(head.status, 200);
});

Deno.test("histories on their way are 64 for an address and 256 in all", async () => {
  await using chat = await openRoom();
  await postFrom(chat, "10.0.0.9", 1);
  const ask = (address: string) =>
    chat.askFrom(address, "/chat?since=all", { headers: JSON_HISTORY });
  const taken = await Promise.all(Array.from({ length: 64 }, () => ask("10.0.0.1")));
  const refused = await ask("10.0.0.1");
  assertEquals(refused.headers.get("retry-after"), "1");
  await assertProblem(refused, 503);
  for (const address of ["10.0.0.2", "10.0.0.3", "10.0.0.4"]) {
    taken.push(...await Promise.all(Array.from({ length: 64 }, () => ask(address))));
  }
  await assertProblem(await ask("10.0.0.5"), 503);
  await taken[0].text();
  await taken[1].body!.cancel();
  for (let n = 0; n < 2; n++) {
    const again = await ask("10.0.0.1");
    assertEquals(again.status, 200);
    taken.push(again);
  }
  for (const response of taken) await response.body?.cancel().catch(() => {});
});

Deno.test("bodies on their way are 64 for an address, unless posts have no limit", async () => {
  using free = new Guard({
    config: parseConfig(["--rate-limit", "0"], () => undefined),
    onRefused() {},
    onProxy() {},
  });
  for (let n = 0; n < 1000; n++) free.enterBody("10.0.0.1");
  await using chat = await openRoom("--rate-limit", "240");
  const bodies = Array.from({ length: 65 }, () => new TransformStream<Uint8Array, Uint8Array>());
  const posts = bodies.map(({ readable: body }) =>
    chat.askFrom("10.0.0.1", "/chat", {
      method: "POST",
      body,
      headers: { "content-type": "application/x-www-form-urlencoded" },
    })
  );
  await assertProblem(await posts[64], 503);
  for (const { writable } of bodies.slice(0, 64)) {
    const writer = writable.getWriter();
    writer.write(new TextEncoder().encode("message=hi"));
    writer.close();
  }
  for (const post of posts.slice(0, 64)) assertEquals((await post).status, 201);
  assertEquals(await postFrom(chat, "10.0.0.1", 1), [201]);
});

Deno.test("a trusted proxy tells whose a request is, anybody else does not", async () => {
  await using chat = await openRoom("--rate-limit", "6", "--trust-proxy", "127.0.0.0/8");
  const forwarded = (address: string) => ({ "x-forwarded-for": address });
  const statusOf = async (peer: string, address: string) =>
    (await say(chat, peer, "hi", forwarded(address))).status;
  for (let n = 0; n < 5; n++) assertEquals(await statusOf("127.0.0.1", "10.0.0.1"), 201);
  assertEquals(await statusOf("127.0.0.1", "10.0.0.1"), 429);
  assertEquals(await statusOf("127.0.0.1", "6.6.6.6, 10.0.0.1"), 429);
  assertEquals(await statusOf("127.0.0.1", "10.0.0.2"), 201);
  for (let n = 0; n < 5; n++) assertEquals(await statusOf("192.0.2.1", `10.0.0.${n}`), 201);
  assertEquals(await statusOf("192.0.2.1", "10.0.0.9"), 429);
  for (let n = 2; n < 9; n++) await statusOf(`192.0.2.${n}`, "10.0.0.9");
  const lines = (await chat.terminal.errors()).split("\n");
  const hints = lines.filter((line) => line.includes("--trust-proxy"));
  assertEquals(hints.length, 3);
  assertStringIncludes(hints[0], "192.0.2.1 sends X-Forwarded-For. If it is your proxy,");
});

Deno.test("a name that is not the server's gets a 421, with or without a port", async () => {
  await using chat = await openRoom("--allow-host", "chat.example", "--trust-proxy", "127.0.0.1");
  const statusOf = async (host: string, headers: HeadersInit = {}, peer = "10.0.0.1") => {
    const response = await chat.askFrom(peer, "/chat.css", { headers: { host, ...headers } });
    await response.body?.cancel();
    return response.status;
  };
  for (const host of ["localhost:4567", "192.168.1.20", "[::1]:4567", "laptop.local", "laptop"]) {
    assertEquals(await statusOf(host), 200, host);
  }
  for (const host of ["chat.example", "CHAT.example.:80"]) {
    assertEquals(await statusOf(host), 200, host);
  }
  for (const host of ["evil.example:4567", "", "a.chat.example"]) {
    assertEquals(await statusOf(host), 421, host);
  }
  assertStringIncludes(
    await assertProblem(await chat.ask("/", { headers: { host: "evil.example" } }), 421),
    '"evil.example"',
  );
  const forwarded = { "x-forwarded-host": "evil.example, chat.example" };
  assertEquals(await statusOf("127.0.0.1:4567", forwarded, "127.0.0.1"), 200);
  // A page of a name that others have can forge one of the two.
  assertEquals(await statusOf("evil.example", forwarded, "127.0.0.1"), 421);
  assertEquals(await statusOf("chat.example", { "x-forwarded-host": "evil.example" }), 200);
  const evil = { "x-forwarded-host": "chat.example, evil.example" };
  assertEquals(await statusOf("chat.example", evil, "127.0.0.1"), 421);
  await using any = await openRoom("--allow-host", "*");
  const response = await any.ask("/chat.css", { headers: { host: "evil.example" } });
  assertEquals(response.status, 200);
  await response.body?.cancel();
});

Deno.test("a page of another name that has our address neither reads nor posts", async () => {
  await using chat = await openRoom();
  const headers = { host: "evil.example:4567", origin: "http://evil.example:4567" };
  await assertProblem(await chat.ask("/chat", { headers }), 421);
  await assertProblem(await chat.post(form({ message: "hi" }), headers), 421);
});

function nextTask<Value>(value: Value): Promise<Value> {
  return new Promise((resolve) => setTimeout(() => resolve(value), 0));
}
