import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { toRoomName } from "../chat_message.ts";
import { parseConfig } from "../config.ts";
import { assertProblem, form, openRoom } from "../tests/open_room.ts";
import { HttpError } from "./http_error.ts";
import { toRoomPath } from "./room_path.ts";

Deno.test("toRoomPath() tells the room and what of it", () => {
  const cases: [pathname: string, room: string, path: string, canonical: string][] = [
    ["/biology", "biology", "/", "/biology"],
    ["/biology/", "biology", "/", "/biology"],
    ["/biology/chat", "biology", "/chat", "/biology/chat"],
    ["/Biology/chat", "biology", "/chat", "/biology/chat"],
    ["/bi%6flogy", "biology", "/", "/biology"],
    ["/2b_or-not", "2b_or-not", "/", "/2b_or-not"],
    ["/%C3%89cole", "école", "/", "/%C3%A9cole"],
    ["/e%CC%81cole/chat", "école", "/chat", "/%C3%A9cole/chat"],
    ["/%E7%94%9F%E7%89%A9", "生物", "/", "/%E7%94%9F%E7%89%A9"],
    ["/%E0%A4%B9%E0%A4%BF", "हि", "/", "/%E0%A4%B9%E0%A4%BF"],
    ["/chats", "chats", "/", "/chats"],
    [`/${"a".repeat(40)}`, "a".repeat(40), "/", `/${"a".repeat(40)}`],
  ];
  for (const [pathname, room, path, canonical] of cases) {
    assertEquals(toRoomPath(pathname), { room, path, canonical }, pathname);
  }
});

Deno.test("toRoomPath() refuses what is no name of a room, and says what is", () => {
  const names = ["-a", "_a", "a.b", "a%2Fb", "a b", "%FF", "%", "😀", "Chat", "ROOMS", "a:b"];
  for (const name of [...names, "a".repeat(41), "%D9%8E"]) {
    const error = assertThrows(() => toRoomPath(`/${name}`), HttpError, undefined, name);
    assertEquals(error.status, 404);
    assertStringIncludes(error.message, "1 to 40 letters, digits, - and _");
  }
});

Deno.test("toRoomName() makes one name of all spellings, which means itself", () => {
  const names = ["İstanbul", "ΣΊΣΥΦΟΣ", "STRASSE", "ﬁ", "Å", "É", "ǅ", "Ⅳ2".slice(1), "ẞ"];
  for (const text of names) {
    const name = toRoomName(text)!;
    assertEquals(toRoomName(name), name, text);
    assertEquals(toRoomName(text.normalize("NFD")), name, text);
  }
});

Deno.test("another spelling of a room's address leads to the one, from wherever a proxy has put it", async () => {
  await using chat = await openRoom();
  const cases: [asked: string, location: string][] = [
    ["/Biology", "biology"],
    ["/biology/", "../biology"],
    ["/Biology/chat?since=all", "../biology/chat?since=all"],
    ["/%c3%89cole", "%C3%A9cole"],
  ];
  for (const [asked, location] of cases) {
    const response = await chat.ask(asked);
    assertEquals([response.status, response.headers.get("location")], [308, location], asked);
  }
  const post = await chat.ask("/Biology/chat", { method: "POST", body: form({ message: "hi" }) });
  assertEquals(post.status, 308);
  assertStringIncludes(await post.text(), "The address is /biology/chat; nothing was stored");
  // Browsers ask so before they ask another site, and take no redirect for an answer.
  assertEquals((await chat.ask("/Biology/chat", { method: "OPTIONS" })).status, 204);
  await assertProblem(await chat.ask("/Biology/else"), 404);
});

Deno.test("/NAME/chat is a room of its own, exactly as /chat", async () => {
  await using chat = await openRoom();
  await using biology = await chat.read("/biology/chat");
  const post = (path: string, message: string) =>
    chat.ask(path, { method: "POST", body: form({ message, key: "k" }) });
  assertEquals((await post("/biology/chat", "in biology")).status, 201);
  assertEquals((await post("/chat", "in the main room")).status, 201);
  assertEquals((await post("/biology/chat", "in biology")).status, 200);
  assertEquals((await biology.nextMessage()).message, "in biology");
  for (const [path, message] of [["/chat", "in the main room"], ["/biology/chat", "in biology"]]) {
    const response = await chat.ask(path, { headers: { accept: "application/json" } });
    const messages = await response.json();
    assertEquals(messages.map((each: { message: string }) => each.message), [message]);
  }
});

Deno.test("/NAME is the page of a room, with its name and the addresses of its messages", async () => {
  await using chat = await openRoom("--title", "Class 7");
  const html = await (await chat.ask("/%C3%A9cole")).text();
  assertStringIncludes(html, "<title>école · Class 7</title>");
  assertStringIncludes(html, "<h1>école</h1>");
  assertStringIncludes(html, 'action="%C3%A9cole/chat?html"');
  assertStringIncludes(html, 'href="%C3%A9cole/chat?html"');
  const plain = await chat.ask("/%C3%A9cole/chat?html");
  const text = await plain.text();
  assertStringIncludes(text, "<title>école · Class 7</title>");
  assertStringIncludes(text, 'href="../chat.css"');
});

Deno.test("a form posted in a room leads back to its page", async () => {
  await using chat = await openRoom();
  const post = (path: string) =>
    chat.ask(path, {
      method: "POST",
      body: form({ message: "hi" }),
      headers: { "sec-fetch-mode": "navigate" },
    });
  assertEquals((await post("/%C3%A9cole/chat")).headers.get("location"), "../%C3%A9cole");
  assertEquals((await post("/chat")).headers.get("location"), ".");
});

Deno.test("--rooms says which rooms there are", async () => {
  await using one = await openRoom("--rooms", "none");
  assertStringIncludes(await assertProblem(await one.ask("/biology"), 404), "--rooms");
  assertStringIncludes(await assertProblem(await one.ask("/biology/chat"), 404), "--rooms");
  assertEquals((await one.ask("/")).status, 200);
  await using some = await openRoom("--rooms", "Biology, physics");
  assertEquals((await some.ask("/biology")).status, 200);
  assertStringIncludes(await assertProblem(await some.ask("/poetry"), 404), "biology, physics");
  for (const rooms of ["any,biology", "none,biology", "biology,chat", "a b"]) {
    assertThrows(() => parseConfig(["--rooms", rooms], () => undefined), Error, "none of chat");
  }
});

Deno.test("--max-rooms bounds the rooms with messages, and the refusal names it", async () => {
  await using chat = await openRoom("--max-rooms", "1");
  const post = (path: string) => chat.ask(path, { method: "POST", body: form({ message: "hi" }) });
  assertEquals((await post("/biology/chat")).status, 201);
  assertStringIncludes(await assertProblem(await post("/physics/chat"), 403), "--max-rooms");
  assertEquals((await post("/biology/chat")).status, 201);
  assertEquals((await post("/chat")).status, 201);
});
