/** What a program has of the client: a room that it follows through everything, and messages sent once. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Chat, EventParser, RequestError } from "../static/client.js";
import { basic, numbered, post, postAll, readTexts } from "./chat_client.ts";
import { ChatProcess } from "./chat_process.ts";
import { FakeStream, settle } from "./fake_stream.ts";
import { newFolder } from "./folder.ts";
import { replaceGlobal } from "./page_scripts.ts";

const { state } = await Deno.permissions.query({ name: "run" });
const ignore = state !== "granted";

/** What a loop gets next. */
async function readNext(chat: Chat, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const { type, detail } of chat) {
    texts.push(
      type === "message"
        ? detail.message
        : type === "removed"
        ? `removed ${detail.removes}`
        : `gap ${detail.missed}`,
    );
    if (texts.length === count) break;
  }
  return texts;
}

/** Resolves once the chat is in that state. */
function reach(chat: Chat, state: Chat["state"]): Promise<void> {
  if (chat.state === state) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  chat.addEventListener("state", ({ detail }) => detail.state === state && resolve());
  return promise;
}

/** A network whose streams a test sends by hand, and where all else is answered as it says. */
function replaceStreams(answer: (init: RequestInit) => Response | Promise<Response> | undefined) {
  const streams: FakeStream[] = [];
  const replaced = replaceGlobal("fetch", async (url: string, init: RequestInit) => {
    const answered = await answer(init);
    if (answered) return answered;
    streams.push(new FakeStream(url, init.signal!));
    return streams.at(-1)!.response;
  });
  return { streams, [Symbol.dispose]: () => replaced[Symbol.dispose]() };
}

function problem(status: number): Response {
  const headers = { "content-type": "application/problem+json" };
  return new Response(JSON.stringify({ status, detail: "Why." }), { status, headers });
}

/** Sends a message whose text is its number. */
function sendMessage(stream: FakeStream, number: number): Promise<void> {
  const id = `${number}-${number}`;
  const message = { id, nickname: "ann", message: String(number), time: "" };
  return stream.send("message", message, id);
}

Deno.test("EventParser reads what the standard says, in whatever pieces it comes", () => {
  const cases: [stream: string, events: [name: string, data: string, id: string][]][] = [
    ["data: a\n\n", [["message", "a", ""]]],
    ["data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", [
      ["message", "a", ""],
      ["message", "b", ""],
      ["message", "c", ""],
    ]],
    ["data: a\r\ndata: b\rdata: c\ndata: d\r\n\r\n", [["message", "a\nb\nc\nd", ""]]],
    ["\ufeffdata: a\n\n", [["message", "a", ""]]],
    ["\ufeff\ufeffdata: a\n\ndata: b\n\n", [["message", "b", ""]]],
    ["data:a\ndata: b\ndata:  c\ndata\ndata:\n\n", [["message", "a\nb\n c\n\n", ""]]],
    ["data\n\n", [["message", "", ""]]],
    [": a comment\n:\nretry: 10\nother: x\ndata: a\n\n", [["message", "a", ""]]],
    ["id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", [
      ["message", "a", "1"],
      ["message", "b", "1"],
      ["message", "c", ""],
    ]],
    ["id: 1\n\nid: 2\0\ndata: a\n\n", [["message", "a", "1"]]],
    ["event: x\n\ndata: a\n\nevent: y\nevent: z\ndata: a:b: c\n\n", [
      ["message", "a", ""],
      ["z", "a:b: c", ""],
    ]],
    [" data: a\n\nData: a\n\ndata : a\n\n", []],
    ["data: é👋\u2028\u2029\v\f\u0085x\n\n", [["message", "é👋\u2028\u2029\v\f\u0085x", ""]]],
    // What has not ended does not count.
    ["data: a\n\nid: 7\ndata: b\n", [["message", "a", ""]]],
  ];
  for (const [stream, events] of cases) {
    const bytes = new TextEncoder().encode(stream);
    for (let first = 0; first <= bytes.length; first++) {
      for (const second of [first, Math.min(first + 1, bytes.length), bytes.length]) {
        const parser = new EventParser();
        const read = [bytes.slice(0, first), bytes.slice(first, second), bytes.slice(second)]
          .flatMap((piece) => [...parser.push(piece)])
          .map(({ name, data, id }) => [name, data, id]);
        assertEquals(read, events, `${JSON.stringify(stream)} cut at ${first} and ${second}`);
      }
    }
  }
});

Deno.test("Chat follows a room from its last messages on, and says who is there", {
  ignore,
}, async () => {
  await using server = await ChatProcess.start();
  await postAll(server.numericUrl, numbered("message", 60));
  const chat = new Chat(server.numericUrl);
  assertEquals([chat.state, chat.cursor], ["closed", undefined]);
  const online = Promise.withResolvers<number>();
  chat.addEventListener("online", ({ detail }) => online.resolve(detail));
  assertEquals(await readNext(chat, 50), numbered("message", 60, 11));
  assertEquals(await online.promise, 1);
  assertEquals(chat.state, "live");
  chat.close();
  assertEquals(chat.state, "closed");
});

Deno.test("Chat begins where the option says: at a cursor, with all or with nothing", {
  ignore,
}, async () => {
  await using server = await ChatProcess.start();
  const { id } = await post(server.numericUrl, "first");
  await postAll(server.numericUrl, numbered("message", 60));
  const all = new Chat(server.numericUrl, { since: "all" });
  assertEquals(await readNext(all, 61), ["first", ...numbered("message", 60)]);
  assertEquals(
    await readNext(new Chat(server.numericUrl, { since: id }), 60),
    numbered("message", 60),
  );
  const none = new Chat(server.numericUrl, { since: "none" });
  const read = readNext(none, 1);
  await reach(none, "live");
  await post(server.numericUrl, "new");
  assertEquals(await read, ["new"]);
  none.close();
  assertEquals(await readNext(new Chat(server.numericUrl, { since: all.cursor }), 1), ["new"]);
  for (const since of ["yesterday", ""]) {
    assertThrows(() => new Chat(server.numericUrl, { since }), TypeError, '"since"');
  }
});

Deno.test("Chat goes on where its last loop was left, and what has been taken is its cursor", {
  ignore,
}, async () => {
  await using server = await ChatProcess.start();
  await postAll(server.numericUrl, numbered("message", 9));
  const chat = new Chat(server.numericUrl, { since: "all" });
  const cursors = [];
  for await (const { type, detail } of chat) {
    assert(type === "message");
    assertEquals(chat.cursor, detail.id);
    if (cursors.push(detail.id) === 3) break;
  }
  assertEquals(chat.state, "closed");
  assertEquals(await readNext(chat, 6), numbered("message", 9, 4));
});

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  Deno.test(
    `Chat goes on after ${signal} and a restart of the server, without a hole or a repeat`,
    {
      ignore,
    },
    async () => {
      await using folder = await newFolder();
      const log = ["--message-log", `sqlite:${folder.path}/chat.db`];
      await using server = await ChatProcess.start(log);
      const chat = new Chat(`${server.numericUrl}/biology`, { nickname: "ann" });
      const read = readNext(chat, 301);
      await reach(chat, "live");
      await postAll(`${server.numericUrl}/biology`, numbered("message", 200));
      await server.stop(signal);
      await reach(chat, "waiting");
      const sent = chat.send("sent meanwhile");
      await using again = await ChatProcess.start([...log, "--port", String(server.port)]);
      await postAll(`${again.numericUrl}/biology`, numbered("message", 300, 201));
      assertEquals((await sent).nickname, "ann");
      const texts = await read;
      assertEquals(texts.filter((text) => text !== "sent meanwhile"), numbered("message", 300));
      assertEquals(texts.length, 301);
      chat.close();
    },
  );
}

Deno.test("Chat says what is removed, and what is missing", { ignore }, async () => {
  const moderator = { headers: basic("quite secret"), method: "POST" };
  await using server = await ChatProcess.start([
    ...["--keep", "5", "--moderator-password", "quite secret"],
  ]);
  const { id } = await post(server.numericUrl, "first");
  const chat = new Chat(server.numericUrl);
  assertEquals(await readNext(chat, 1), ["first"]);
  const body = new URLSearchParams({ action: "remove", id });
  await (await fetch(`${server.numericUrl}/moderation`, { ...moderator, body })).body?.cancel();
  assertEquals(await readNext(chat, 1), [`removed ${id}`]);
  await postAll(server.numericUrl, numbered("message", 2000));
  assertEquals(await readNext(chat, 6), ["gap 1995", ...numbered("message", 2000, 1996)]);
});

Deno.test("Chat.send() resolves with what is stored, and keeps the order", { ignore }, async () => {
  await using server = await ChatProcess.start();
  const { fetch } = globalThis;
  let tries = 0;
  using _replaced = replaceGlobal("fetch", async (...args: Parameters<typeof fetch>) => {
    if (tries++ === 0) throw new TypeError("The first does not arrive");
    return await fetch(...args);
  });
  const chat = new Chat(server.numericUrl, { nickname: "ann" });
  const sent = await Promise.all(numbered("message", 20).map((text) => chat.send(text)));
  assertEquals(sent.map(({ message }) => message), numbered("message", 20));
  assertEquals(await readTexts(server.numericUrl), numbered("message", 20));
  assertEquals(sent[0].nickname, "ann");
  const key = "one of mine";
  const [first, second] = [await chat.send("once", { key }), await chat.send("once", { key })];
  assertEquals(first, second);
  assertEquals((await chat.send("other name", { nickname: "ben" })).nickname, "ben");
});

Deno.test("Chat.send() repeats a message whose answer is lost, and it is stored once", {
  ignore,
}, async () => {
  await using server = await ChatProcess.start();
  const { fetch } = globalThis;
  let lost = 0;
  using _replaced = replaceGlobal("fetch", async (...args: Parameters<typeof fetch>) => {
    const response = await fetch(...args);
    if (args[1]?.method !== "POST" || lost++ > 0) return response;
    await response.body?.cancel();
    throw new TypeError("The connection is lost");
  });
  const chat = new Chat(server.numericUrl);
  const [first, second] = await Promise.all([chat.send("hi"), chat.send("after it")]);
  assertEquals([first.message, second.message], ["hi", "after it"]);
  assertEquals(await readTexts(server.numericUrl), ["hi", "after it"]);
});

Deno.test("Chat.send() fails with what the chat says of a refusal, and the next goes on", {
  ignore,
}, async () => {
  await using server = await ChatProcess.start();
  const chat = new Chat(server.numericUrl);
  const refused = chat.send("x".repeat(4001));
  const next = chat.send("short");
  const error = await assertRejects(() => refused, RequestError, "4000");
  assertEquals([error.reason, error.field], ["refused", "message"]);
  assertEquals((await next).message, "short");
});

Deno.test("Chat shows the password, and its loop and send() fail where that is wrong", {
  ignore,
}, async () => {
  await using server = await ChatProcess.start(["--password", "öffne dich"]);
  const chat = new Chat(server.numericUrl, { password: "öffne dich" });
  await chat.send("hi");
  assertEquals(await readNext(chat, 1), ["hi"]);
  for (const password of ["wrong password", undefined]) {
    const stranger = new Chat(server.numericUrl, { password });
    const error = await assertRejects(() => readNext(stranger, 1), RequestError, "password");
    assertEquals([error.reason, error.isFinal, stranger.state], ["signed-out", true, "closed"]);
    await assertRejects(() => stranger.send("hi"), RequestError, "password");
  }
});

Deno.test("Chat's loop fails where no such room may be", { ignore }, async () => {
  await using server = await ChatProcess.start(["--rooms", "biology"]);
  const error = await assertRejects(
    () => readNext(new Chat(`${server.numericUrl}/physics`), 1),
    RequestError,
    "--rooms",
  );
  assertEquals(error.reason, "refused");
});

Deno.test("Chat.close() ends loops and what is not sent", { ignore }, async () => {
  await using server = await ChatProcess.start();
  const chat = new Chat(server.numericUrl);
  const read = readNext(chat, 1);
  await reach(chat, "live");
  await server.stop("SIGKILL");
  await reach(chat, "waiting");
  const sent = chat.send("hi");
  chat.close();
  assertEquals(await read, []);
  await assertRejects(() => sent, DOMException);
  await assertRejects(() => chat.send("hi"), DOMException);
  assertEquals(await readNext(chat, 1), []);
});

Deno.test("Chat in Node follows, sends, and lets the program end", { ignore }, async () => {
  await using server = await ChatProcess.start(["--password", "quite secret"]);
  await using folder = await newFolder();
  await Deno.copyFile(new URL("../static/client.js", import.meta.url), `${folder.path}/client.mjs`);
  const program = `
    import { Chat } from "${folder.path}/client.mjs";
    const chat = new Chat("${server.numericUrl}", { nickname: "node", password: "quite secret" });
    const states = [];
    const { id } = await chat.send("hi");
    for await (const { type, detail } of chat) {
      states.push(chat.state);
      if (detail.id === id) break;
    }
    const error = await chat.send("").catch((error) => error);
    const stranger = new Chat("${server.numericUrl}");
    stranger.addEventListener("state", ({ detail: { state, problem } }) => {
      states.push(state);
      if (!problem) return;
      stranger.close();
      console.log(JSON.stringify([states, error.field, problem.reason]));
    });`;
  const { code, stdout, stderr } = await new Deno.Command("node", {
    args: ["--input-type=module", "-e", program],
  }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  assertEquals(JSON.parse(new TextDecoder().decode(stdout)), [
    ["connecting", "connecting", "signed-out", "closed"],
    "message",
    "signed-out",
  ]);
});

Deno.test("Chat reads no more than its loop takes, and loses nothing by that", async () => {
  let sent = 0;
  let url = "";
  using _replaced = replaceGlobal("fetch", (asked: string) => {
    url = asked;
    // A server that sends as fast as it can, more than any memory holds.
    const body = new ReadableStream({
      pull(controller) {
        const id = `${++sent}-${sent}`;
        const message = { id, nickname: "ann", message: "x".repeat(4000), time: "" };
        const frame = `id: ${id}\ndata: ${JSON.stringify(message)}\n\n`;
        controller.enqueue(new TextEncoder().encode(frame));
      },
    });
    const headers = { "content-type": "text/event-stream" };
    return Promise.resolve(new Response(body, { headers }));
  });
  const chat = new Chat("http://localhost:4567");
  let taken = 0;
  for await (const { type, detail } of chat) {
    assert(type === "message");
    assertEquals(detail.id, `${++taken}-${taken}`);
    await settle();
    assert(sent <= taken + 5, `${sent} were read when ${taken} were taken`);
    if (taken === 100) break;
  }
  assertEquals([url, chat.cursor], ["http://localhost:4567/chat", "100-100"]);
});

Deno.test("Chat asks at the address of a room, wherever that is", async () => {
  const asked: string[] = [];
  using _replaced = replaceGlobal("fetch", (url: string) => {
    asked.push(url);
    return new Promise(() => {});
  });
  const cases: [page: string, messages: string][] = [
    ["http://localhost:4567", "http://localhost:4567/chat"],
    ["http://localhost:4567/chat", "http://localhost:4567/chat"],
    ["http://localhost:4567/biology", "http://localhost:4567/biology/chat"],
    ["http://localhost:4567/biology/chat", "http://localhost:4567/biology/chat"],
    ["http://localhost:4567/chat/", "http://localhost:4567/chat"],
    ["http://localhost:4567/biology/chat/", "http://localhost:4567/biology/chat"],
    ["http://localhost:4567/Cafe\u0301", "http://localhost:4567/caf%C3%A9/chat"],
    ["http://localhost:4567/Talk/Biology", "http://localhost:4567/Talk/biology/chat"],
    ["http://localhost:4567/Talk/", "http://localhost:4567/Talk/chat"],
    ["https://me:secret@example.org/under/a/path/?to=x#y", "https://example.org/under/a/path/chat"],
  ];
  for (const [page] of cases) {
    const chat = new Chat(page);
    chat.addEventListener("message", () => {});
    chat.close();
  }
  assertEquals(asked, cases.map(([, messages]) => messages));
  assertThrows(() => new Chat("http://"), TypeError);
  assertThrows(() => new Chat("biology"), TypeError, "http");
  assertThrows(() => new Chat("ws://localhost:4567"), TypeError, "http");
  await settle();
});

Deno.test("Chat follows in a new loop after one that the chat has refused", async () => {
  let isRefused = true;
  using network = replaceStreams(() => isRefused ? problem(401) : undefined);
  const chat = new Chat("http://localhost:4567");
  const states: unknown[] = [];
  chat.addEventListener(
    "state",
    ({ detail }) => states.push([detail.state, detail.problem?.message]),
  );
  await assertRejects(() => readNext(chat, 1), RequestError, "Why.");
  isRefused = false;
  const read = readNext(chat, 1);
  await settle();
  await sendMessage(network.streams[0], 1);
  assertEquals(await read, ["1"]);
  assertEquals(states, [
    ["connecting", undefined],
    ["signed-out", "Why."],
    ["connecting", undefined],
  ]);
  chat.close();
});

for (const type of ["state", "online"] as const) {
  Deno.test(`Chat keeps for its loop what comes when only a listener for "${type}" is there`, async () => {
    using network = replaceStreams(() => undefined);
    const chat = new Chat("http://localhost:4567", { since: "0-0" });
    chat.addEventListener(type, () => {});
    await settle();
    await sendMessage(network.streams[0], 1);
    await network.streams[0].send("online", 1, "1-1");
    assertEquals(chat.cursor, "0-0");
    const first = readNext(chat, 1);
    await settle();
    assertEquals(network.streams[1].url, "http://localhost:4567/chat?since=0-0");
    await sendMessage(network.streams[1], 1);
    // Read when the loop is left, and not taken.
    await sendMessage(network.streams[1], 2);
    assertEquals(await first, ["1"]);
    await sendMessage(network.streams[1], 3);
    assertEquals(chat.cursor, "1-1");
    const second = readNext(chat, 1);
    await settle();
    assertEquals(network.streams[2].url, "http://localhost:4567/chat?since=1-1");
    await sendMessage(network.streams[2], 2);
    assertEquals(await second, ["2"]);
    chat.close();
  });
}

Deno.test("Chat has one loop at a time, and listeners that go on without it", async () => {
  using network = replaceStreams(() => undefined);
  const chat = new Chat("http://localhost:4567");
  const heard: string[] = [];
  chat.addEventListener("message", ({ detail }) => heard.push(detail.message));
  const first = readNext(chat, 1);
  await settle();
  await assertRejects(() => readNext(chat, 1), TypeError, "loop");
  for (const number of [1, 2, 3]) await sendMessage(network.streams[0], number);
  assertEquals(await first, ["1"]);
  await settle();
  await sendMessage(network.streams[0], 4);
  assertEquals([heard, chat.cursor], [["1", "2", "3", "4"], "4-4"]);
  // It begins with what comes now.
  const second = readNext(chat, 1);
  await settle();
  await sendMessage(network.streams[0], 5);
  assertEquals([await second, network.streams.length], [["5"], 1]);
  chat.close();
});

Deno.test("Chat pauses when its last listener goes, in whatever way, and goes on at the cursor", async () => {
  using network = replaceStreams(() => undefined);
  const chat = new Chat("http://localhost:4567");
  const listener = () => {};
  const object = { handleEvent: listener };
  chat.addEventListener("message", null);
  chat.addEventListener("message", listener, { signal: AbortSignal.abort() });
  assertEquals(chat.state, "closed");
  const aborter = new AbortController();
  const cases: [start: () => void, end: () => void][] = [
    [
      () => chat.addEventListener("message", listener),
      () => chat.removeEventListener("message", listener),
    ],
    [
      () => chat.addEventListener("message", object, true),
      () => chat.removeEventListener("message", object, { capture: true }),
    ],
    [
      () => chat.addEventListener("message", listener, { signal: aborter.signal }),
      () => aborter.abort(),
    ],
    [() => chat.addEventListener("message", listener, { once: true }), () => {}],
  ];
  for (const [number, [start, end]] of cases.entries()) {
    start();
    start();
    await settle();
    assertEquals(network.streams.length, number + 1);
    chat.removeEventListener("gap", listener);
    chat.removeEventListener("message", () => {});
    await sendMessage(network.streams[number], number);
    end();
    assertEquals([chat.state, chat.cursor], ["closed", `${number}-${number}`]);
    assert(network.streams[number].isClosed);
  }
  assertEquals(network.streams[3].url, "http://localhost:4567/chat?since=2-2");
});

Deno.test("Chat opens no stream when a listener has closed it meanwhile", async () => {
  using network = replaceStreams(({ signal }) => {
    signal!.throwIfAborted();
    return undefined;
  });
  const chat = new Chat("http://localhost:4567");
  chat.addEventListener("state", () => chat.close());
  await settle();
  assertEquals([chat.state, network.streams.length], ["closed", 0]);
});

Deno.test("Chat.close() breaks off a post that has no answer", async () => {
  using _network = replaceStreams(({ signal }) =>
    new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)))
  );
  const chat = new Chat("http://localhost:4567");
  const sent = chat.send("hi");
  await settle();
  chat.close();
  const error = await assertRejects(() => sent, DOMException);
  assertEquals(error.name, "AbortError");
});
