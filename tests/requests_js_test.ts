/** What the page asks of the chat, and whose answers it believes, without a page or a server. */

import { assert, assertEquals } from "@std/assert";
import { loadScript, replaceGlobal } from "./page_scripts.ts";

const { state } = await Deno.permissions.query({ name: "read" });
const ignore = state !== "granted";

const CHAT = "http://localhost/chat";
const POST = { key: "1", nickname: "ann", message: "hi" };
const JSON_TYPE = { "content-type": "application/json" };

Deno.test("fetchMessages() reads no more than it is asked for of a long history", {
  ignore,
}, async () => {
  const { fetchMessages } = await loadScript("client.js");
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      const json = JSON.stringify({
        id: `${++sent}-0`,
        nickname: "ann",
        message: 'a ],\n["b"',
        time: "2026-03-01T12:00:00.000Z",
      });
      controller.enqueue(new TextEncoder().encode(`${sent === 1 ? "[" : ",\n"}${json}`));
      if (sent < 10_000) return;
      controller.enqueue(new TextEncoder().encode("]"));
      controller.close();
    },
  });
  using _replaced = replaceGlobal(
    "fetch",
    () => Promise.resolve(new Response(body, { headers: JSON_TYPE })),
  );
  const { messages } = await fetchMessages(CHAT, { since: "0-1", max: 50 });
  assertEquals(
    messages.map(({ id }: { id: string }) => id),
    Array.from({ length: 50 }, (_, n) => `${n + 1}-0`),
  );
  assert(sent < 100, `${sent} were sent`);
});

Deno.test("postMessage() tells refusals of the chat from what others answer in its place", {
  ignore,
}, async () => {
  const { postMessage, RequestError } = await loadScript("client.js");
  const problem = (status: number, headers?: Record<string, string>) => () =>
    new Response(JSON.stringify({ status, detail: "Why.", field: "message" }), {
      status,
      headers: { "content-type": "application/problem+json", ...headers },
    });
  const foreign = (status: number, headers?: Record<string, string>) => () =>
    new Response("<h1>What a proxy says", { status, headers });
  const cases: [answer: () => Response, reason: string, retryAfterMs?: number][] = [
    [problem(422), "refused"],
    [problem(403), "refused"],
    [problem(403, { "retry-after": "604800" }), "refused", 604_800_000],
    [problem(410), "removed"],
    [problem(413), "refused"],
    [problem(401), "signed-out"],
    [problem(408), "unavailable"],
    [problem(429, { "retry-after": "7" }), "unavailable", 7000],
    [problem(500), "unavailable"],
    [problem(503, { "retry-after": "5" }), "unavailable", 5000],
    [foreign(400), "unavailable"],
    [foreign(404), "unavailable"],
    [foreign(408), "unavailable"],
    [foreign(413), "refused"],
    [foreign(414), "refused"],
    [foreign(308, { location: "https://example.org/chat" }), "refused"],
    [foreign(301, { location: "https://example.org/chat" }), "refused"],
    [foreign(302, { location: "https://sign-in.example/" }), "signed-out"],
    [foreign(429), "unavailable"],
    [foreign(502), "unavailable"],
    [foreign(503, { "retry-after": "0" }), "unavailable"],
    [foreign(503, { "retry-after": "Sun, 01 Mar 2026 12:00:09 GMT" }), "unavailable"],
    [foreign(503, { "retry-after": "86400" }), "unavailable", 86_400_000],
    [foreign(503, { "retry-after": "soon" }), "unavailable"],
    [foreign(200, { "content-type": "text/html" }), "signed-out"],
    [foreign(401), "signed-out"],
    [foreign(403), "signed-out"],
    [foreign(407), "signed-out"],
    [foreign(511), "signed-out"],
    [
      () => Object.defineProperty(new Response(), "type", { value: "opaqueredirect" }),
      "signed-out",
    ],
    [() => {
      throw new TypeError("no connection");
    }, "unavailable"],
    [
      () =>
        new Response('{"det', {
          status: 422,
          headers: { "content-type": "application/problem+json" },
        }),
      "unavailable",
    ],
  ];
  for (const [answer, reason, retryAfterMs] of cases) {
    using _replaced = replaceGlobal("fetch", () => Promise.resolve().then(answer));
    const error = await postMessage(CHAT, POST).catch((error: unknown) => error);
    assert(error instanceof RequestError);
    assertEquals([error.reason, error.retryAfterMs], [reason, retryAfterMs], String(answer));
    const isFinal = error.field ? reason !== "unavailable" : reason === "refused";
    assertEquals(error.isFinal, isFinal, String(answer));
  }
});

Deno.test("a request that is led elsewhere fails with the address", { ignore }, async () => {
  const { fetchMessages } = await loadScript("client.js");
  using _replaced = replaceGlobal("fetch", () => {
    const headers = { location: "https://example.org/chat" };
    return Promise.resolve(new Response(null, { status: 308, headers }));
  });
  const error = await fetchMessages(CHAT).catch((error: unknown) => error);
  assertEquals([error.isFinal, error.message], [
    true,
    "The chat has moved to https://example.org/chat",
  ]);
});

Deno.test(
  "postMessage() keeps a post alive where browsers take one so long",
  { ignore },
  async () => {
    const { postMessage } = await loadScript("client.js");
    const kept: unknown[] = [];
    using _replaced = replaceGlobal("fetch", (_url: string, { keepalive }: RequestInit) => {
      kept.push(keepalive);
      return Promise.resolve(Response.json({}, { status: 500 }));
    });
    for (const message of ["👋".repeat(4000), "x".repeat(65_536)]) {
      await postMessage(CHAT, { ...POST, message }).catch(() => {});
    }
    assertEquals(kept, [true, false]);
  },
);

Deno.test("postDelay() spreads those who come back together", { ignore }, async () => {
  const { postDelay } = await loadScript("client.js");
  const delays = [0, 1].map((random) => {
    using _random = replaceGlobal(
      "Math",
      Object.assign(Object.create(Math), { random: () => random }),
    );
    return [postDelay(0), postDelay(2), postDelay(9), postDelay(3, 7000), postDelay(0, 1e9)];
  });
  assertEquals(delays, [
    [1000, 4000, 15_000, 7000, 3_600_000],
    [2000, 8000, 30_000, 8000, 3_601_000],
  ]);
});

Deno.test("fetchMessages() tells messages from removals, and goes on after both", {
  ignore,
}, async () => {
  const { fetchMessages } = await loadScript("client.js");
  const message = { id: "5-1", nickname: "ann", message: "hi", time: "2026-03-01T12:00:00.000Z" };
  const removals = [{ id: "6-2", removes: "4-1" }, { id: "7-3", removes: "all" }];
  const asked: string[] = [];
  using _replaced = replaceGlobal("fetch", (url: string) => {
    asked.push(url);
    return Promise.resolve(Response.json([message, ...removals], { headers: JSON_TYPE }));
  });
  const all = await fetchMessages(CHAT, { since: "4-1" });
  assertEquals([all.messages, all.removals, all.cursor], [[message], removals, "7-3"]);
  await fetchMessages(CHAT);
  await fetchMessages(CHAT, { before: "9-9" });
  await fetchMessages(CHAT, { since: "4-1", max: 50 });
  assertEquals(asked.map((url) => new URL(url).search), [
    "?since=4-1&removed=",
    "?removed=",
    "?before=9-9",
    "?since=4-1",
  ]);
});

Deno.test("only messages are taken for an answer", { ignore }, async () => {
  const { fetchMessages, postMessage } = await loadScript("client.js");
  for (
    const body of [
      "{}",
      "[1]",
      '[{"id":"1-1"}]',
      '[{"id":"1-1","removes":"me"}]',
      "null",
      '[{"id":',
      "",
    ]
  ) {
    using _replaced = replaceGlobal(
      "fetch",
      () => Promise.resolve(new Response(body, { headers: JSON_TYPE })),
    );
    for (const ask of [() => fetchMessages(CHAT), () => postMessage(CHAT, POST)]) {
      const error = await ask().catch((error: unknown) => error);
      assertEquals(error.reason, "unavailable", `${ask}: ${body}`);
    }
  }
});

Deno.test("isMessage() knows a message from other JSON", { ignore }, async () => {
  const { isMessage } = await loadScript("client.js");
  const message = { id: "1-2", nickname: "ann", message: "hi", time: "2026-03-01T12:00:00.000Z" };
  assertEquals(isMessage({ ...message, timestamp: "12:00:00", more: 1 }), true);
  for (const other of [null, undefined, 1, "1-2", [], {}, { ...message, id: 1 }]) {
    assertEquals(isMessage(other), false, JSON.stringify(other));
  }
  for (const name of ["id", "nickname", "message", "time"]) {
    assertEquals(isMessage({ ...message, [name]: undefined }), false, name);
  }
});
