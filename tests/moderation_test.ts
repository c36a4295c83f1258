/** Moderating, as a program does it: from the requests to what others read. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { basic } from "./chat_client.ts";
import { assertProblem, form, openRoom } from "./open_room.ts";

const FLAGS = ["--moderator-password", "battery staple"];
const MODERATOR = basic("battery staple");

type Chat = Awaited<ReturnType<typeof openRoom>>;

function act(chat: Chat, fields: Record<string, string>, room = "") {
  return chat.ask(`${room}/moderation`, { method: "POST", body: form(fields), headers: MODERATOR });
}

async function jsonOf(response: Response) {
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "application/json");
  return await response.json();
}

/** Somebody's browser at an address, with the cookie that it got with the page. */
async function visit(chat: Chat, address: string) {
  const page = await chat.askFrom(address, "/");
  await page.body?.cancel();
  const cookie = page.headers.get("set-cookie")!.split(";", 1)[0];
  const post = (message: string, headers: HeadersInit = { cookie }, room = "") =>
    chat.askFrom(address, `${room}/chat`, {
      method: "POST",
      body: form({ message, nickname: "ann", key: message }),
      headers,
    });
  return Object.assign(post, { cookie });
}

Deno.test("only a moderator moderates, lists rooms, and is marked as one", async () => {
  await using chat = await openRoom(...FLAGS);
  for (const path of ["/moderation", "/biology/moderation", "/rooms"]) {
    assertStringIncludes(await assertProblem(await chat.ask(path), 403), "/session");
  }
  const post = { method: "POST", body: form({ action: "clear" }) };
  await assertProblem(await chat.ask("/moderation", post), 403);
  const evil = { ...post, headers: { ...MODERATOR, origin: "https://evil.example" } };
  await assertProblem(await chat.ask("/moderation", evil), 403);
  const fields = form({ message: "hi", moderator: "true" });
  const [other, own] = [await chat.post(fields), await chat.post(fields, MODERATOR)];
  assertEquals((await other.json()).moderator, undefined);
  assertEquals((await own.json()).moderator, true);
});

Deno.test("a removed message is gone from everywhere, and its repeat too", async () => {
  await using chat = await openRoom(...FLAGS);
  const ann = await visit(chat, "10.0.0.1");
  const { id } = await (await ann("rude words")).json();
  await (await ann("kind words")).body?.cancel();
  await using live = await chat.read();
  await live.nextMessage();
  await live.nextMessage();
  const state = await jsonOf(await act(chat, { action: "remove", id }));
  assertEquals(state, { closed: false, muted: [], removed: 1 });
  assertEquals(JSON.parse(await live.nextOf("removed")).removes, id);
  for (
    const headers of [{ accept: "application/json" }, { accept: "text/html,application/xhtml+xml" }]
  ) {
    const text = await (await chat.ask("/chat?since=all", { headers })).text();
    assertStringIncludes(text, "kind words");
    assertEquals(text.includes("rude"), false);
  }
  await assertProblem(await ann("rude words"), 410);
  await assertProblem(await act(chat, { action: "remove", id }), 404, "id");
});

Deno.test("whoever is muted is told until when, and clearing cookies does not help", async () => {
  await using chat = await openRoom(...FLAGS);
  const [ann, ben] = [await visit(chat, "10.0.0.1"), await visit(chat, "10.0.0.1")];
  const { by } = await (await ann("rude words")).json();
  // Cookies know the second in which they were given.
  const later = Date.now() + 2000;
  const { now } = Date;
  Date.now = () => later;
  using _clock = { [Symbol.dispose]: () => void (Date.now = now) };
  const muted = await jsonOf(await act(chat, { action: "mute", by, minutes: "10" }));
  assertEquals(muted.muted, [{ by, until: new Date(later + 600_000).toISOString() }]);
  const refused = await ann("more");
  assertEquals(refused.headers.get("retry-after"), "600");
  assertMatch(await assertProblem(refused, 403), /muted you in this room until \d\d:\d\d by/);
  assertStringIncludes(await assertProblem(await ann("more", {}), 403), "your address");
  // A repeat of what was taken before is no new message.
  assertEquals((await ann("rude words")).status, 200);
  const newcomer = await visit(chat, "10.0.0.1");
  assertStringIncludes(await assertProblem(await newcomer("more"), 403), "your address");
  // The rest of the class goes on, and so does everybody elsewhere and in other rooms.
  assertEquals((await ben("hello")).status, 201);
  assertEquals((await (await visit(chat, "10.0.0.2"))("hello there")).status, 201);
  assertEquals((await ann("hello", undefined, "/biology")).status, 201);
  assertEquals((await ann("a moderator", MODERATOR)).status, 201);
  await jsonOf(await act(chat, { action: "unmute", by }));
  assertEquals((await ann("sorry")).status, 201);
});

Deno.test("in a closed room only moderators write, until it is open again", async () => {
  await using chat = await openRoom(...FLAGS);
  assertEquals((await jsonOf(await act(chat, { action: "close" }, "/biology"))).closed, true);
  const post = (headers = {}) =>
    chat.ask("/biology/chat", { method: "POST", body: form({ message: "hi" }), headers });
  assertStringIncludes(await assertProblem(await post(), 403), "Only moderators write");
  assertEquals((await post(MODERATOR)).status, 201);
  assertEquals((await chat.post(form({ message: "hi" }))).status, 201);
  assertEquals(
    await jsonOf(await chat.ask("/biology/moderation", { headers: MODERATOR })),
    { closed: true, muted: [] },
  );
  await jsonOf(await act(chat, { action: "open" }, "/biology"));
  assertEquals((await post()).status, 201);
});

Deno.test("a post whose body comes after its sender was muted, or the room closed, is refused", async () => {
  await using chat = await openRoom(...FLAGS);
  const ann = await visit(chat, "10.0.0.1");
  const { by } = await (await ann("rude words")).json();
  const cases = [[{ action: "mute", by }, "muted"], [
    { action: "close" },
    "Only moderators",
  ]] as const;
  for (const [fields, reason] of cases) {
    const body = new TransformStream<Uint8Array<ArrayBuffer>>();
    const writer = body.writable.getWriter();
    const response = chat.askFrom("10.0.0.1", "/chat", {
      method: "POST",
      body: body.readable,
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        cookie: ann.cookie,
      },
    });
    await writer.write(new TextEncoder().encode("message=mo"));
    await jsonOf(await act(chat, fields));
    await writer.write(new TextEncoder().encode("re"));
    await writer.close();
    assertStringIncludes(await assertProblem(await response, 403), reason);
  }
});

Deno.test("GET /rooms lists readers and messages, the main room without a name", async () => {
  await using chat = await openRoom(...FLAGS);
  await using _reader = await chat.read("/biology/chat");
  for (const room of ["", "/biology", "/physics"]) {
    await chat.ask(`${room}/chat`, { method: "POST", body: form({ message: "hi" }) });
  }
  await jsonOf(await act(chat, { action: "clear" }, "/physics"));
  assertEquals(await jsonOf(await chat.ask("/rooms", { headers: MODERATOR })), [
    { name: "", readers: 0, messages: 1 },
    { name: "biology", readers: 1, messages: 1 },
  ]);
});
