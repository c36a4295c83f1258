/** The HTTP contract, route by route: the handler is called with a request. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ChatHub } from "./chat_hub.ts";
import { parseConfig } from "./config.ts";
import { createHandler, type Handler } from "./main.ts";
import { EventReader } from "./tests/event_reader.ts";

const ORIGIN = "http://localhost:4567";

/** A room of its own for a test, with the flags given. */
async function openRoom(...flags: string[]) {
  const config = parseConfig(flags, () => undefined);
  const hub = new ChatHub({ heartbeatMs: config.heartbeat * 1000 });
  const handler = await createHandler({ hub, config });
  const ask = (path: string, init?: RequestInit) => handler(new Request(ORIGIN + path, init));
  return {
    hub,
    ask,
    post: (body: BodyInit, headers: HeadersInit = {}) =>
      ask("/chat", { method: "POST", body, headers }),
    read: async () => new EventReader(await ask("/chat")),
    [Symbol.dispose]: () => hub.close(),
  };
}

function form(fields: Record<string, string>): URLSearchParams {
  return new URLSearchParams(fields);
}

/** Checks a refusal to the letter of RFC 9457 and returns its detail. */
async function assertProblem(response: Response, status: number, field?: string): Promise<string> {
  assertEquals(response.status, status);
  assertEquals(response.headers.get("content-type"), "application/problem+json");
  const problem = await response.json();
  assertEquals(problem.status, status);
  assertEquals(problem.field, field);
  assertMatch(problem.title, /^[A-Z]/);
  assertMatch(problem.detail, /^[A-Z/].+\.$/s);
  return problem.detail;
}

Deno.test("GET / is the page, and every file it names is there", async () => {
  using room = await openRoom();
  const response = await room.ask("/");
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/html; charset=utf-8");
  const html = await response.text();
  assertStringIncludes(html, "<h1>Simple Chat</h1>");
  const files = [...html.matchAll(/(?:href|src)="(\/[^"]+\.[a-z]+)"/g)].map(([, path]) => path);
  assert(files.length >= 3);
  for (const path of files) {
    const file = await room.ask(path);
    assertEquals(file.status, 200, path);
    assertMatch(
      file.headers.get("content-type")!,
      /^(text\/(css|javascript)|image\/svg|application\/manifest)/,
    );
    await file.body?.cancel();
  }
});

Deno.test("GET / and all its files are under 40 KB before compression", async () => {
  using room = await openRoom();
  const html = await (await room.ask("/")).text();
  const paths = new Set(["/"]);
  for (const [, path] of html.matchAll(/(?:href|src)="(\/[^"]+\.[a-z]+)"/g)) paths.add(path);
  let bytes = 0;
  for (const path of paths) bytes += (await (await room.ask(path)).bytes()).length;
  assert(bytes < 40 * 1024, `${paths.size} files have ${bytes} bytes`);
});

Deno.test("--title is the page's title and heading, as text", async () => {
  using room = await openRoom("--title", "Q&A <b>$&</b>");
  const html = await (await room.ask("/")).text();
  assertStringIncludes(html, "<title>Q&amp;A &lt;b&gt;$&amp;&lt;/b&gt;</title>");
  assertStringIncludes(html, "<h1>Q&amp;A &lt;b&gt;$&amp;&lt;/b&gt;</h1>");
  const manifest = await (await room.ask("/manifest.webmanifest")).json();
  assertEquals(manifest.name, "Q&A <b>$&</b>");
});

Deno.test("GET / answers 304 to whoever has the page already", async () => {
  using room = await openRoom();
  const first = await room.ask("/");
  await first.body?.cancel();
  const etag = first.headers.get("etag")!;
  assertMatch(etag, /^"[^"]+"$/);
  const second = await room.ask("/", { headers: { "if-none-match": etag } });
  assertEquals(second.status, 304);
  assertEquals(second.headers.get("etag"), etag);
  assertEquals(await second.text(), "");
  const other = await room.ask("/", { headers: { "if-none-match": '"other"' } });
  assertEquals(other.status, 200);
  await other.body?.cancel();
});

Deno.test("GET finds nothing but the page's files and the chat", async () => {
  using room = await openRoom();
  for (
    const path of [
      "/index.html",
      "/static/index.html",
      "/main.ts",
      "/deno.json",
      "/../main.ts",
      "/%2e%2e/main.ts",
      "/chat/",
      "//chat",
      "/toString",
      "/__proto__",
    ]
  ) {
    await assertProblem(await room.ask(path), 404);
  }
});

Deno.test("every response carries the security headers", async () => {
  using room = await openRoom();
  const { etag } = Object.fromEntries((await room.ask("/")).headers);
  const responses = [
    await room.ask("/"),
    await room.ask("/", { headers: { "if-none-match": etag } }),
    await room.ask("/chat"),
    await room.ask("/nothing"),
    await room.ask("/chat", { method: "DELETE" }),
    await room.post(form({ message: "hi" })),
    await room.post(form({ message: "hi" }), { accept: "text/html" }),
    await room.post("hi", { "content-type": "text/plain" }),
  ];
  assertEquals(responses.map(({ status }) => status), [200, 304, 200, 404, 405, 201, 303, 415]);
  for (const { headers, body } of responses) {
    const policy = headers.get("content-security-policy")!;
    assertStringIncludes(policy, "default-src 'none'");
    assertStringIncludes(policy, "frame-ancestors 'none'");
    assert(!policy.includes("unsafe"));
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("referrer-policy"), "same-origin");
    await body?.cancel();
  }
});

Deno.test("HEAD answers as GET does, without a body and without a reader", async () => {
  using room = await openRoom();
  for (const path of ["/", "/chat.css", "/chat"]) {
    const response = await room.ask(path, { method: "HEAD" });
    const { headers } = await room.ask(path);
    assertEquals(response.status, 200);
    assertEquals(response.headers.get("content-type"), headers.get("content-type"));
  }
  assertEquals(room.hub.readers, 1);
  assertEquals((await room.ask("/chat", { method: "HEAD" })).body, null);
});

Deno.test("a method that a path does not take is a 405 that says which it takes", async () => {
  using room = await openRoom();
  const cases = [
    ["/chat", "DELETE", "GET, HEAD, POST"],
    ["/chat", "OPTIONS", "GET, HEAD, POST"],
    ["/chat", "constructor", "GET, HEAD, POST"],
    ["/", "POST", "GET, HEAD"],
  ];
  for (const [path, method, allow] of cases) {
    const response = await room.ask(path, { method });
    assertEquals(response.headers.get("allow"), allow);
    assertStringIncludes(await assertProblem(response, 405), allow);
  }
});

Deno.test("GET /chat is a stream that no proxy may hold back", async () => {
  using room = await openRoom();
  const { status, headers, body } = await room.ask("/chat", { headers: { accept: "*/*" } });
  assertEquals(status, 200);
  assertEquals(headers.get("content-type"), "text/event-stream; charset=utf-8");
  assertEquals(headers.get("cache-control"), "no-cache, no-transform");
  assertEquals(headers.get("x-accel-buffering"), "no");
  await body!.cancel();
});

Deno.test("GET /chat begins with retry and the number of readers", async () => {
  using room = await openRoom();
  await using ann = await room.read();
  const retry = (await ann.next())!.retry!;
  assert(retry >= 2000 && retry <= 4000);
  assertEquals(await ann.next(), { event: "online", data: "1" });
  await using ben = await room.read();
  assertEquals(await ben.nextOf("online"), "2");
});

Deno.test("GET /chat streams a posted message to every reader", async () => {
  using room = await openRoom();
  await using ann = await room.read();
  await using ben = await room.read();
  const posted = await room.post(form({ nickname: "ann", message: "hi" }));
  assertEquals(posted.status, 201);
  const message = await posted.json();
  assertEquals(await ann.nextMessage(), message);
  assertEquals(await ben.nextMessage(), message);
});

Deno.test("GET /chat forgets a reader that leaves, at once", async () => {
  using room = await openRoom();
  const leaving = await room.read();
  await using staying = await room.read();
  assertEquals(room.hub.readers, 2);
  await leaving[Symbol.asyncDispose]();
  assertEquals(room.hub.readers, 1);
  await room.post(form({ message: "still here" }));
  assertEquals((await staying.nextMessage()).message, "still here");
});

Deno.test("POST /chat stamps the message and answers it as JSON", async () => {
  using room = await openRoom();
  const before = Date.now();
  const response = await room.post(form({ nickname: "ann", message: "hi" }));
  assertEquals(response.status, 201);
  assertMatch(response.headers.get("content-type")!, /^application\/json/);
  const { time, timestamp, ...rest } = await response.json();
  assertEquals(rest, { nickname: "ann", message: "hi" });
  const date = new Date(time);
  assertEquals(date.toISOString(), time);
  assert(date.getTime() >= before && date.getTime() <= Date.now());
  assertEquals(timestamp, date.toTimeString().slice(0, 8));
});

Deno.test("POST /chat reads forms, multipart forms and JSON alike", async () => {
  using room = await openRoom();
  const fields = { nickname: "ann", message: "a & b = ü 👋" };
  const multipart = new FormData();
  for (const [name, value] of Object.entries(fields)) multipart.set(name, value);
  const bodies: [BodyInit, HeadersInit][] = [
    [form(fields), {}],
    [form(fields).toString(), { "content-type": "Application/X-WWW-Form-Urlencoded; charset=x" }],
    [multipart, {}],
    [JSON.stringify(fields), { "content-type": "application/json" }],
    [JSON.stringify(fields), { "content-type": "application/json; charset=utf-8" }],
  ];
  for (const [body, headers] of bodies) {
    const response = await room.post(body, headers);
    assertEquals(response.status, 201);
    const { nickname, message } = await response.json();
    assertEquals({ nickname, message }, fields);
  }
});

Deno.test("POST /chat answers a browser's plain form with a redirect to the page", async () => {
  using room = await openRoom();
  await using ann = await room.read();
  const accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
  const response = await room.post(form({ message: "no script" }), { accept });
  assertEquals(response.status, 303);
  assertEquals(response.headers.get("location"), "/");
  assertEquals((await ann.nextMessage()).message, "no script");
});

Deno.test("POST /chat carries every text through unchanged", async () => {
  using room = await openRoom();
  await using ann = await room.read();
  const texts = [
    "two\nlines\n\nand four",
    "line\u2028and\u2029paragraph separators",
    "a  inner   spaces\tand a tab",
    "data: injected\n\nevent: online\ndata: 99",
    "👩‍👩‍👧‍👦 🇪🇺 é 한국어",
    "שלום עולם \u202eabc\u202c مرحبا",
    "\ufeffbyte order mark",
    "<img src=x onerror=alert(1)> &amp; \"quotes\" \\ 'single'",
    "x".repeat(4000),
    "👋".repeat(4000),
  ];
  for (const text of texts) {
    const response = await room.post(form({ message: text }));
    assertEquals(response.status, 201, text.slice(0, 40));
    await response.body!.cancel();
    assertEquals((await ann.nextMessage()).message, text.trim());
  }
});

Deno.test("POST /chat normalises text at the edge", async () => {
  using room = await openRoom();
  const cases: [posted: Record<string, unknown>, kept: Record<string, string>][] = [
    [{ message: "a\r\nb\rc" }, { message: "a\nb\nc" }],
    [{ message: " \n padded \n " }, { message: "padded" }],
    [{ message: "cafe\u0301" }, { message: "café" }],
    [{ message: "a\u0000b\u0007c\u007fd\u0085e" }, { message: "abcde" }],
    [{ message: "half \ud83d pair" }, { message: "half \ufffd pair" }],
    [{ message: "hi", nickname: "  two \r\n lines\tand\u2028more " }, {
      nickname: "two lines and more",
    }],
    [{ message: "hi", nickname: "a\u0000b" }, { nickname: "ab" }],
    [{ message: "hi", nickname: "" }, { nickname: "anonymous" }],
    [{ message: "hi", nickname: " \u200b " }, { nickname: "anonymous" }],
    [{ message: "hi", nickname: null }, { nickname: "anonymous" }],
    [{ message: "hi" }, { nickname: "anonymous" }],
  ];
  for (const [posted, kept] of cases) {
    const response = await room.post(JSON.stringify(posted), {
      "content-type": "application/json",
    });
    assertEquals(response.status, 201, JSON.stringify(posted));
    const message = await response.json();
    assertEquals({ ...message, ...kept }, message);
  }
});

Deno.test("POST /chat refuses a field it can't take and names it", async () => {
  using room = await openRoom();
  await using ann = await room.read();
  const json = { "content-type": "application/json" };
  const file = new FormData();
  file.set("message", new File(["hi"], "hi.txt"));
  const cases: [body: BodyInit, field: string, detail: string, headers?: HeadersInit][] = [
    [form({ nickname: "ann" }), "message", "is empty"],
    [form({ message: " \r\n\u0000\u200b " }), "message", "is empty"],
    ["", "message", "is empty", { "content-type": "application/x-www-form-urlencoded" }],
    ["&".repeat(65_000), "message", "is empty", {
      "content-type": "application/x-www-form-urlencoded",
    }],
    [form({ message: "x".repeat(4001) }), "message", "4,001 characters; the most is 4,000"],
    [form({ message: "hi", nickname: "n".repeat(41) }), "nickname", "the most is 40"],
    ['{"message": 7}', "message", "is not text", json],
    ['{"message": "hi", "nickname": ["ann"]}', "nickname", "is not text", json],
    ['{"__proto__": {"message": "hi"}}', "message", "is empty", json],
    [file, "message", "is not text"],
  ];
  for (const [body, field, detail, headers] of cases) {
    const response = await room.post(body, headers);
    assertStringIncludes(await assertProblem(response, 422, field), detail);
  }
  // Nothing of all that was sent.
  await room.post(form({ message: "the only one" }));
  assertEquals((await ann.nextMessage()).message, "the only one");
});

Deno.test("POST /chat takes broken percent-encoding for what it says", async () => {
  using room = await openRoom();
  const type = { "content-type": "application/x-www-form-urlencoded" };
  for (const [body, text] of [["message=100%", "100%"], ["message=%zz%41%ff", "%zzA\ufffd"]]) {
    const response = await room.post(body, type);
    assertEquals(response.status, 201);
    assertEquals((await response.json()).message, text);
  }
});

Deno.test("POST /chat refuses a body that is not what its type says", async () => {
  using room = await openRoom();
  const cases: [body: BodyInit, type: string][] = [
    ["{", "application/json"],
    ["", "application/json"],
    ['"hi"', "application/json"],
    ["null", "application/json"],
    ['["message"]', "application/json"],
    [new Uint8Array([0x7b, 0xff, 0x7d]), "application/json"],
    ["hi", "multipart/form-data"],
    ["hi", "multipart/form-data; boundary=x"],
    ["--x\r\nbroken", "multipart/form-data; boundary=x"],
  ];
  for (const [body, type] of cases) {
    const response = await room.post(body, { "content-type": type });
    assertStringIncludes(await assertProblem(response, 400), type);
  }
});

Deno.test("POST /chat refuses another content type and says which it takes", async () => {
  using room = await openRoom();
  for (const type of ["text/plain", "application/xml", "application/jsonx", ";", "constructor"]) {
    const response = await room.post("hi", { "content-type": type });
    assertStringIncludes(response.headers.get("accept-post")!, "application/json");
    assertStringIncludes(await assertProblem(response, 415), "application/x-www-form-urlencoded");
  }
  const bytes = new Uint8Array([1]);
  assertStringIncludes(await assertProblem(await room.post(bytes), 415), "is missing");
});

Deno.test("POST /chat refuses a body over 64 KiB, announced or not", async () => {
  using room = await openRoom();
  const type = "application/x-www-form-urlencoded";
  const announced = { "content-type": type, "content-length": String(64 * 1024 + 1) };
  assertStringIncludes(
    await assertProblem(await room.post("message=hi", announced), 413),
    "64 KiB",
  );
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 1024;
      controller.enqueue(new Uint8Array(1024).fill(0x61));
    },
  });
  await assertProblem(await room.post(endless, { "content-type": type }), 413);
  assert(pulled < 70 * 1024, `read ${pulled} bytes`);
  const longest = "message=hi&pad=".padEnd(64 * 1024, "x");
  assertEquals((await room.post(longest, { "content-type": type })).status, 201);
});

Deno.test("POST /chat takes a body that breaks off as the client's fault", async () => {
  using room = await openRoom();
  const broken = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.error(new Error("connection reset")),
  });
  const response = await room.post(broken, { "content-type": "application/json" });
  await assertProblem(response, 400);
});

Deno.test("POST /chat refuses pages of other sites", async () => {
  using room = await openRoom();
  const refused: HeadersInit[] = [
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site", origin: "http://localhost:3000" },
    { "sec-fetch-site": "cross-site", origin: ORIGIN },
    { origin: "https://evil.example" },
    { origin: "http://localhost:3000" },
    { origin: "null" },
    { origin: "not an origin" },
  ];
  for (const headers of refused) {
    const response = await room.post(form({ message: "forged" }), {
      host: "localhost:4567",
      ...headers,
    });
    assertStringIncludes(await assertProblem(response, 403), "--allow-origin");
  }
  const welcome: HeadersInit[] = [
    {},
    { "sec-fetch-site": "same-origin", origin: ORIGIN },
    { "sec-fetch-site": "none" },
    { origin: ORIGIN },
    { origin: "https://localhost:4567" },
  ];
  for (const headers of welcome) {
    const response = await room.post(form({ message: "hi" }), {
      host: "localhost:4567",
      ...headers,
    });
    assertEquals(response.status, 201, JSON.stringify(headers));
  }
});

Deno.test("--allow-origin lets the pages it names read and post, and no others", async () => {
  using room = await openRoom("--allow-origin", "https://a.example,https://b.example");
  const origin = "https://b.example";
  const headers = { origin, "sec-fetch-site": "cross-site" };
  const posted = await room.post(form({ message: "hi" }), headers);
  assertEquals(posted.status, 201);
  assertEquals(posted.headers.get("access-control-allow-origin"), origin);
  assertEquals(posted.headers.get("vary"), "origin");
  const stream = await room.ask("/chat", { headers });
  assertEquals(stream.headers.get("access-control-allow-origin"), origin);
  const preflight = await room.ask("/chat", { method: "OPTIONS", headers });
  assertEquals(preflight.status, 204);
  assertEquals(preflight.headers.get("access-control-allow-origin"), origin);
  assertStringIncludes(preflight.headers.get("access-control-allow-methods")!, "POST");
  assertStringIncludes(preflight.headers.get("access-control-allow-headers")!, "content-type");

  const other = { origin: "https://c.example", "sec-fetch-site": "cross-site" };
  const refused = await room.post(form({ message: "hi" }), other);
  assertEquals(refused.headers.get("access-control-allow-origin"), null);
  assertEquals(refused.headers.get("vary"), "origin");
  await assertProblem(refused, 403);
});

Deno.test("without --allow-origin no page of another site may read", async () => {
  using room = await openRoom();
  const response = await room.ask("/chat", { headers: { origin: "https://a.example" } });
  assertEquals(response.headers.get("access-control-allow-origin"), null);
});

Deno.test("a request that has no address is refused, not failed at", async () => {
  using room = await openRoom();
  const ask: Handler = await createHandler({ hub: room.hub, config: parseConfig([], () => "") });
  const request = new Request(ORIGIN);
  Object.defineProperty(request, "url", { value: "http://[/chat" });
  await assertProblem(await ask(request), 404);
});
