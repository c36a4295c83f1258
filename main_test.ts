/** The HTTP contract, route by route: the handler is called with a request. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { LogUnavailableError, StoreAwayError } from "./message_log/message_log.ts";
import { openMessageStore } from "./message_log/open.ts";
import { loadFiles } from "./routes/page.ts";
import { assertProblem, form, openChat, openRoom, ORIGIN } from "./tests/open_room.ts";

/** What a browser says of a form or a link that a person uses. */
const NAVIGATION = { "sec-fetch-mode": "navigate" };

/** The paths of the files that a file of the page names: in its markup, or as imports. */
function named(text: string): string[] {
  // What a script imports as it runs is loaded when somebody wants it.
  const names = text.matchAll(/(?<!import\()"(?:\.?\/)?(\w+\.(?:css|js|svg|webmanifest))"/g);
  return Array.from(names, ([, name]) => `/${name}`);
}

/** What is loaded when somebody wants it, moderates, or signs in. */
const ON_DEMAND = [
  ...["bell.js", "dialog.js", "dialogs.css", "dialogs.html", "invitation.js", "menu.js"],
  ...["moderation.css", "moderation.js", "room_list.js", "session.css", "session.js"],
].map((name) => `/${name}`);

async function pathsOfPage(): Promise<string[]> {
  return ["/", ...(await loadFiles("")).keys()];
}

Deno.test("GET / is the page, and every file it names is there", async () => {
  await using room = await openRoom();
  const response = await room.ask("/");
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/html; charset=utf-8");
  const html = await response.text();
  assertStringIncludes(html, "<h1>Simple Chat</h1>");
  const files = named(html);
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

for (const [coding, limit] of [["br", 34], ["gzip", 40]] as const) {
  Deno.test(`a first visit takes at most ${limit} KB on the wire (${coding})`, async () => {
    await using room = await openRoom();
    const paths = new Set(["/"]);
    let bytes = 0;
    for (const path of paths) {
      const response = await room.ask(path, { headers: { "accept-encoding": coding } });
      assertEquals(response.headers.get("content-encoding"), coding, path);
      bytes += (await response.bytes()).length;
      for (const name of named(await (await room.ask(path)).text())) paths.add(name);
    }
    const all = await pathsOfPage();
    assertEquals(paths, new Set(all.filter((path) => !ON_DEMAND.includes(path))));
    assert(bytes <= limit * 1024, `${paths.size} files take ${bytes} bytes`);
  });
}

Deno.test("GET /client.js is for others too: with its comments, without a password, from other origins", async () => {
  const site = "https://example.org";
  await using room = await openRoom("--password", "open sesame", "--allow-origin", site);
  const response = await room.ask("/client.js", { headers: { origin: site } });
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("access-control-allow-origin"), site);
  assertStringIncludes(await response.text(), "@typedef");
  const known = { "if-none-match": response.headers.get("etag")! };
  const again = await room.ask("/client.js", { headers: known });
  assertEquals(again.status, 304);
  for (const { headers } of [response, again]) {
    assertEquals(headers.get("cross-origin-resource-policy"), "cross-origin");
    assertEquals(headers.get("vary"), "accept-encoding, origin");
  }
  const other = await room.ask("/chat.js", {
    headers: { authorization: `Basic ${btoa(":open sesame")}` },
  });
  assertEquals(other.status, 200);
  assertEquals(other.headers.get("cross-origin-resource-policy"), "same-origin");
  await other.body?.cancel();
});

Deno.test("a script comes without its comments, and with all else", {
  ignore: (await Deno.permissions.query({ name: "read" })).state !== "granted",
}, async () => {
  await using room = await openRoom();
  for (const path of await pathsOfPage()) {
    if (!path.endsWith(".js") || path === "/client.js") continue;
    const served = (await (await room.ask(path)).text()).split("\n");
    let at = 0;
    for (const line of (await Deno.readTextFile(`static${path}`)).split("\n")) {
      if (line === served[at]) at++;
      else assertMatch(line, /^ *(\/\*\*|\*|\/\/)/, path);
    }
    assertEquals(at, served.length, path);
  }
});

Deno.test("GET / has the browser ask for all scripts at once", async () => {
  await using room = await openRoom();
  const html = await (await room.ask("/")).text();
  const preloads = html.matchAll(/<link rel="modulepreload" href="(\w+\.js)">/g);
  const scripts = (await pathsOfPage())
    .filter((path) => path.endsWith(".js") && !ON_DEMAND.includes(path));
  assertEquals(
    ["/chat.js", ...Array.from(preloads, ([, name]) => `/${name}`)].toSorted(),
    scripts.toSorted(),
  );
});

Deno.test("a file of the page comes as it is, or in the coding that weighs most", async () => {
  await using room = await openRoom();
  const cases: [accepted: string | undefined, coding: string | null][] = [
    [undefined, null],
    ["", null],
    ["identity", null],
    ["zstd, deflate", null],
    ["gzip, deflate, br, zstd", "br"],
    ["gzip, deflate", "gzip"],
    ["br;q=0.5, gzip", "gzip"],
    ["br; q=0.0, GZIP;Q=0.3", "gzip"],
    ["br;q=0.2, gzip;q=0.3, *;q=0", "gzip"],
    ["*", "br"],
    ["*;q=0.5, br;q=0", "gzip"],
    ["gzip;q=0, br;q=0", null],
    ["gzip;q=0.5, identity", null],
    ["gzip;q=much", null],
  ];
  const plain = await (await room.ask("/chat.css")).text();
  const tags = new Map<string | null, string>();
  for (const [accepted, coding] of cases) {
    const headers = new Headers(accepted === undefined ? [] : [["accept-encoding", accepted]]);
    const response = await room.ask("/chat.css", { headers });
    assertEquals(response.headers.get("content-encoding"), coding, accepted);
    assertEquals(response.headers.get("vary"), "accept-encoding");
    tags.set(coding, response.headers.get("etag")!);
    const body = coding
      ? response.body!.pipeThrough(new DecompressionStream(coding === "br" ? "brotli" : "gzip"))
      : response.body;
    assertEquals(await new Response(body).text(), plain, accepted);
  }
  assertEquals(new Set(tags.values()).size, 3);
});

Deno.test("GET / names the log, so that what was written for one is not sent to another", async () => {
  await using room = await openRoom();
  const html = await (await room.ask("/")).text();
  assertMatch(room.store.id, /^[\da-z]+$/);
  assertStringIncludes(html, `data-log="${room.store.id}"`);
});

Deno.test("GET / tells the page's form how long nicknames and messages may be", async () => {
  await using room = await openRoom();
  const html = await (await room.ask("/")).text();
  const limits = [...html.matchAll(/name="(\w+)"\s+data-most="(\d+)"/g)].map(([, ...pair]) => pair);
  assertEquals(limits, [["nickname", "40"], ["message", "4000"]]);
  for (const [field, most] of limits) {
    for (const [over, status] of [[0, 201], [1, 422]]) {
      const body = form({ message: "hi", [field]: "x".repeat(Number(most) + over) });
      const response = await room.ask("/chat", { method: "POST", body });
      assertEquals(response.status, status, `${field} ${over}`);
      await response.body?.cancel();
    }
  }
});

Deno.test("--title is the page's title and heading, as text", async () => {
  await using room = await openRoom("--title", "Q&A <b>$&</b>");
  const html = await (await room.ask("/")).text();
  assertStringIncludes(html, "<title>Q&amp;A &lt;b&gt;$&amp;&lt;/b&gt;</title>");
  assertStringIncludes(html, "<h1>Q&amp;A &lt;b&gt;$&amp;&lt;/b&gt;</h1>");
  const manifest = await (await room.ask("/manifest.webmanifest")).json();
  assertEquals(manifest.name, "Q&A <b>$&</b>");
});

Deno.test("GET / answers 304 to whoever has the page already", async () => {
  await using room = await openRoom();
  for (const coding of ["identity", "br", "gzip"]) {
    const ask = (tag: string) =>
      room.ask("/", { headers: { "accept-encoding": coding, "if-none-match": tag } });
    const first = await ask("");
    await first.body?.cancel();
    const etag = first.headers.get("etag")!;
    assertMatch(etag, /^"[^"]+"$/);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const second = await ask(known);
      assertEquals(second.status, 304, known);
      assertEquals(second.headers.get("etag"), etag);
      assertEquals(second.headers.get("vary"), "accept-encoding");
      assertEquals(await second.text(), "");
    }
    // Too long to be looked through.
    for (const unknown of ['"other"', `${'"other", '.repeat(200)}${etag}`]) {
      const other = await ask(unknown);
      assertEquals(other.status, 200, unknown);
      await other.body?.cancel();
    }
  }
});

Deno.test("GET finds nothing but the page's files and the chat", async () => {
  await using room = await openRoom();
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
      "/__proto__",
      "/biology/chat.css",
    ]
  ) {
    await assertProblem(await room.ask(path), 404);
  }
});

Deno.test("every response carries the security headers", async () => {
  await using room = await openRoom();
  const { etag } = Object.fromEntries((await room.ask("/")).headers);
  const responses = [
    await room.ask("/"),
    await room.ask("/", { headers: { "if-none-match": etag } }),
    await room.ask("/", { headers: NAVIGATION }),
    await room.ask("/chat"),
    await room.ask("/chat?html"),
    await room.ask("/no.thing"),
    await room.ask("/chat", { method: "DELETE" }),
    await room.post(form({ message: "hi" })),
    await room.post(form({ message: "hi" }), NAVIGATION),
    await room.post("hi", { "content-type": "text/plain" }),
    await room.post("hi", { "content-type": "text/plain", ...NAVIGATION }),
    await room.ask("/", { method: "OPTIONS" }),
  ];
  assertEquals(
    responses.map(({ status }) => status),
    [200, 304, 200, 200, 200, 404, 405, 201, 303, 415, 415, 204],
  );
  for (const { headers, body } of responses) {
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("cross-origin-resource-policy"), "same-origin");
    await body?.cancel();
    if (headers.get("content-type")?.startsWith("text/event-stream")) continue;
    const policy = headers.get("content-security-policy")!;
    assertStringIncludes(policy, "default-src 'none'");
    assertStringIncludes(policy, "frame-ancestors 'none'");
    assert(!policy.includes("unsafe"));
    assertEquals(headers.get("referrer-policy"), "same-origin");
  }
  // Only where a browser takes the origin for trustworthy, which it tells by Sec-Fetch-Mode.
  assertEquals(
    responses.map(({ headers }) => headers.get("cross-origin-opener-policy")),
    responses.map((_, index) => [2, 8, 10].includes(index) ? "same-origin" : null),
  );
});

Deno.test("over TLS every response but a stream has HSTS, but not on localhost", async () => {
  await using room = await openRoom();
  const transportSecurity = async (url: string) => {
    const { headers, body } = await room.handler(new Request(url));
    await body?.cancel();
    return headers.get("strict-transport-security");
  };
  for (const path of ["/", "/chat.css", "/no.thing"]) {
    const secure = await transportSecurity(`https://chat.lan:4567${path}`);
    assertEquals(secure, "max-age=31536000", path);
    assertEquals(await transportSecurity(`http://chat.lan:4567${path}`), null);
    assertEquals(await transportSecurity(`https://localhost:4567${path}`), null);
  }
  assertEquals(await transportSecurity("https://chat.lan:4567/chat"), null);
});

Deno.test("HEAD answers as GET does, without a body and without a reader", async () => {
  await using room = await openRoom();
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
  await using room = await openRoom();
  const cases = [
    ["/chat", "DELETE", "GET, HEAD, POST, OPTIONS"],
    ["/chat", "constructor", "GET, HEAD, POST, OPTIONS"],
    ["/", "POST", "GET, HEAD, OPTIONS"],
  ];
  for (const [path, method, allow] of cases) {
    const response = await room.ask(path, { method });
    assertEquals(response.headers.get("allow"), allow);
    assertStringIncludes(await assertProblem(response, 405), allow);
  }
});

Deno.test("OPTIONS says which methods a path takes, as load balancers ask", async () => {
  await using room = await openRoom();
  for (
    const [path, allow] of [["/", "GET, HEAD, OPTIONS"], ["/chat", "GET, HEAD, POST, OPTIONS"]]
  ) {
    const response = await room.ask(path, { method: "OPTIONS" });
    assertEquals(response.status, 204);
    assertEquals(response.headers.get("allow"), allow);
    assertEquals(response.headers.get("access-control-allow-methods"), null);
  }
  await assertProblem(await room.ask("/no.thing", { method: "OPTIONS" }), 404);
});

Deno.test("a refusal repeats only the beginning of what it refuses", async () => {
  await using room = await openRoom();
  const long = "x".repeat(1900);
  const json = { accept: "application/json" };
  const refused = [
    await room.ask(`/${long}`),
    await room.ask("/chat", { method: long }),
    await room.ask(`/chat?since=${long}`),
    await room.ask(`/chat?before=${long}`, { headers: json }),
    await room.post("hi", { "content-type": `text/${long}` }),
    await room.post("hi", { "content-type": `application/json; charset=${long.slice(0, 150)}` }),
    await room.post("hi", { "content-type": `application/json; ${long.slice(0, 150)}` }),
    await room.post(form({ message: "hi" }), { "content-encoding": long }),
    await room.post(form({ message: "hi" }), { origin: `http://${long}` }),
    await room.post(form({ message: "hi" }), { "sec-fetch-site": long }),
  ];
  for (const response of refused) {
    const detail = await assertProblem(response, response.status);
    assertMatch(detail, /x…/);
    assert(detail.length < 400, detail);
  }
});

Deno.test("a browser that is refused shows a page with the reason and the way back", async () => {
  await using room = await openRoom();
  const refused = [
    await room.post(form({ message: " " }), NAVIGATION),
    await room.post(form({ message: "hi" }), { ...NAVIGATION, origin: "https://a.example" }),
    await room.ask("/<nothing>", { headers: NAVIGATION }),
    await room.ask("/chat?before=<b>", { headers: NAVIGATION }),
  ];
  const reasons = ["is empty", "--allow-origin", "/%3Cnothing%3E", "&lt;b&gt;"];
  for (const [n, response] of refused.entries()) {
    assertEquals(response.status, [422, 403, 404, 400][n]);
    assertEquals(response.headers.get("content-type"), "text/html; charset=utf-8");
    const html = await response.text();
    assertStringIncludes(html, reasons[n]);
    assertStringIncludes(html, '<a href=".">Back to the chat</a>');
  }
});

Deno.test("GET /chat is a stream that no proxy may hold back", async () => {
  await using room = await openRoom();
  const { status, headers, body } = await room.ask("/chat", { headers: { accept: "*/*" } });
  assertEquals(status, 200);
  assertEquals(headers.get("content-type"), "text/event-stream; charset=utf-8");
  assertEquals(headers.get("cache-control"), "no-cache, no-transform");
  assertEquals(headers.get("x-accel-buffering"), "no");
  assertEquals(headers.get("vary"), "accept");
  await body!.cancel();
});

Deno.test("GET /chat begins with retry and the number of readers", async () => {
  await using room = await openRoom();
  await using ann = await room.read();
  const retry = (await ann.next())!.retry!;
  assert(retry >= 2000 && retry <= 4000);
  assertMatch((await ann.next())!.id!, /^\d+-0$/);
  assertEquals(await ann.next(), { event: "online", data: "1" });
  await using ben = await room.read();
  assertEquals(await ben.nextOf("online"), "2");
});

Deno.test("GET /chat streams a posted message to every reader", async () => {
  await using room = await openRoom();
  await using ann = await room.read();
  await using ben = await room.read();
  const posted = await room.post(form({ nickname: "ann", message: "hi" }));
  assertEquals(posted.status, 201);
  const message = await posted.json();
  assertEquals(await ann.nextMessage(), message);
  assertEquals(await ben.nextMessage(), message);
});

Deno.test("GET /chat continues after the cursor in the header, else in a parameter, else at since", async () => {
  await using room = await openRoom();
  const ids: string[] = [];
  for (let n = 0; n < 60; n++) {
    ids.push((await (await room.post(form({ message: `${n}` }))).json()).id);
  }
  const cases: [path: string, headers: HeadersInit, first: string][] = [
    ["/chat", {}, "10"],
    ["/chat", { "last-event-id": "" }, "10"],
    ["/chat?since=all", {}, "0"],
    [`/chat?since=${ids[2]}`, {}, "3"],
    [`/chat?since=${ids[2]}`, { "last-event-id": ids[40] }, "41"],
    [`/chat?lastEventId=${ids[40]}&since=${ids[2]}`, {}, "41"],
    [`/chat?last_event_id=${ids[40]}&since=all`, {}, "41"],
    [`/chat?since=none&Last-Event-ID=${ids[40]}`, {}, "41"],
    [`/chat?Last-Event-ID=${ids[2]}&last_event_id=${ids[4]}&lastEventId=${ids[6]}`, {}, "7"],
    [`/chat?Last-Event-ID=${ids[2]}&last_event_id=${ids[4]}`, {}, "5"],
    [`/chat?lastEventId=${ids[2]}`, { "last-event-id": ids[40] }, "41"],
    [`/chat?lastEventId=&since=${ids[2]}`, { "last-event-id": "" }, "3"],
    ["/chat?since=none", {}, "new"],
    [`/chat?since=${ids[59]}`, {}, "new"],
  ];
  const readers = await Promise.all(cases.map(([path, headers]) => room.read(path, headers)));
  for (const reader of readers.slice(-2)) await reader.nextOf("online");
  await room.post(form({ message: "new" }));
  for (const [n, reader] of readers.entries()) {
    await using _ = reader;
    assertEquals((await reader.nextMessage()).message, cases[n][2], String(cases[n]));
  }
});

Deno.test("GET /chat tells of a gap where the cursor is too old, unknown or malformed", async () => {
  await using room = await openRoom("--keep", "5");
  const { id } = await (await room.post(form({ message: "first" }))).json();
  for (let n = 0; n < 9; n++) await room.post(form({ message: `${n}` }));
  const cases: [path: string, headers: HeadersInit, missed: number | null][] = [
    [`/chat?since=${id}`, {}, 4],
    ["/chat", { "last-event-id": id }, 4],
    ["/chat?since=1-1", {}, null],
    ["/chat", { "last-event-id": "42" }, null],
    ["/chat?since=nonsense", { "last-event-id": "\u00fc" }, null],
    ["/chat?lastEventId=42&since=all", {}, null],
    [`/chat?lastEventId=${id}`, {}, 4],
  ];
  for (const [path, headers, missed] of cases) {
    await using reader = await room.read(path, headers);
    await reader.next();
    assertEquals(await reader.next(), { event: "gap", data: JSON.stringify({ missed }) });
    assertEquals((await reader.nextMessage()).message, "4");
  }
});

Deno.test("GET /chat refuses a malformed since or before, and a before for the stream", async () => {
  await using room = await openRoom();
  for (const since of ["", "latest", "1", "1-", "-1-1", "1-1 ", "1e3-0", "1-1-1"]) {
    const response = await room.ask(`/chat?since=${encodeURIComponent(since)}`);
    assertStringIncludes(await assertProblem(response, 400), "all or none");
  }
  const headers = { accept: "application/json" };
  const response = await room.ask("/chat?before=all", { headers });
  assertStringIncludes(await assertProblem(response, 400), "before");
  for (const accept of ["*/*", "text/event-stream"]) {
    const streamed = await room.ask("/chat?before=1-1", { headers: { accept } });
    assertStringIncludes(await assertProblem(streamed, 400), "Accept: application/json");
  }
});

Deno.test("GET /chat as JSON is the history, with the same since", async () => {
  await using room = await openRoom("--keep", "200");
  const headers = { accept: "application/json" };
  const ask = async (query: string) => {
    const response = await room.ask(`/chat${query}`, { headers });
    assertEquals(response.status, 200);
    assertEquals(response.headers.get("content-type"), "application/json");
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(response.headers.get("vary"), "accept");
    const messages: { message: string }[] = await response.json();
    return {
      texts: messages.map(({ message }) => message),
      gap: response.headers.get("chat-gap"),
    };
  };
  assertEquals(await ask("?since=all"), { texts: [], gap: null });
  const ids: string[] = [];
  for (let n = 0; n < 300; n++) {
    ids.push((await (await room.post(form({ message: `${n}` }))).json()).id);
  }
  const texts = ids.map((_, n) => `${n}`);
  assertEquals(await ask(""), { texts: texts.slice(-50), gap: null });
  assertEquals(await ask("?since=all"), { texts: texts.slice(-200), gap: null });
  assertEquals(await ask("?since=none"), { texts: [], gap: null });
  assertEquals(await ask(`?since=${ids[297]}`), { texts: ["298", "299"], gap: null });
  assertEquals(await ask(`?since=${ids[89]}`), { texts: texts.slice(-200), gap: "10" });
  assertEquals(await ask("?since=1-1"), { texts: texts.slice(-200), gap: "unknown" });
  assertEquals(await ask(`?before=${ids[200]}`), { texts: texts.slice(150, 200), gap: null });
  assertEquals(await ask(`?before=${ids[110]}`), { texts: texts.slice(100, 110), gap: null });
  assertEquals(room.hub.readers, 0);
});

Deno.test("GET /chat shows people the last 50 messages as HTML, the newest first", async () => {
  await using room = await openRoom("--title", "Q&A <b>");
  for (let n = 1; n <= 120; n++) await room.log.append({ nickname: "ann", message: `no. ${n}` });
  const get = async (path: string, headers: HeadersInit = {}) => {
    const response = await room.ask(path, { headers });
    assertEquals(response.status, 200);
    assertEquals(response.headers.get("content-type"), "text/html; charset=utf-8");
    assertEquals(response.headers.get("cache-control"), "private, no-cache");
    return await response.text();
  };
  const numbers = (html: string) => Array.from(html.matchAll(/no\. (\d+)/g), ([, n]) => Number(n));
  const older = (html: string) =>
    html.match(/<a href="([^"]+)">Older/)?.[1].replaceAll("&amp;", "&");
  const down = (from: number, to: number) =>
    Array.from({ length: 1 + from - to }, (_, n) => from - n);

  const first = await get("/chat", NAVIGATION);
  assertStringIncludes(first, "<h1>Q&amp;A &lt;b&gt;</h1>");
  assertEquals(numbers(first), down(120, 71));
  assertEquals(await get("/chat?html"), first);
  const second = await get(`/${older(first)}`);
  assertEquals(numbers(second), down(70, 21));
  const third = await get(`/${older(second)}`);
  assertEquals(numbers(third), down(20, 1));
  assertEquals(older(third), undefined);
  assertEquals(room.hub.readers, 0);
});

Deno.test("GET /chat?html asks for itself again only where nobody is typing or looks back", async () => {
  await using room = await openRoom();
  const { entry } = await room.log.append({ nickname: "ann", message: "hi" });
  const cases: [query: string, refreshes: boolean][] = [
    ["?html", true],
    ["?html&nickname=ann", true],
    ["?html=write", false],
    [`?html&before=${entry.id}`, false],
  ];
  for (const [query, refreshes] of cases) {
    const html = await (await room.ask(`/chat${query}`)).text();
    assertEquals(html.includes('<meta http-equiv="refresh"'), refreshes, query);
    assertEquals(html.includes("<textarea"), query === "?html=write", query);
  }
});

Deno.test("GET /chat?html shows what people wrote as text, with links to http and https alone", async () => {
  await using room = await openRoom();
  await room.log.append({
    nickname: '<b class="x">&',
    message: "<script>a</script>\nhttps://a.example/?b&c javascript:alert(1)",
  });
  const html = await (await room.ask("/chat?html=write&nickname=%22%3E%3Ci%3E")).text();
  assertStringIncludes(html, ">&lt;b class=&quot;x&quot;&gt;&amp;</bdi>");
  assertStringIncludes(
    html,
    "&lt;script&gt;a&lt;/script&gt;<br>" +
      '<a href="https://a.example/?b&amp;c" rel="noreferrer nofollow">https://a.example/?b&amp;c</a>' +
      " javascript:alert(1)",
  );
  assertStringIncludes(html, 'value="&quot;&gt;&lt;i&gt;"');
});

Deno.test("GET /chat?html ends a page early if its messages are long, and misses none", async () => {
  await using room = await openRoom();
  const numbers = Array.from({ length: 60 }, (_, n) => String(n));
  for (const n of numbers) {
    await room.log.append({ nickname: "ann", message: n + '"'.repeat(3990) });
  }
  const seen: string[] = [];
  let pages = 0;
  for (let path: string | undefined = "/chat?html"; path; pages++) {
    const html: string = await (await room.ask(path)).text();
    assert(html.length < 100 * 1024, `${html.length} characters`);
    seen.push(...Array.from(html.matchAll(/class="text">(\d+)/g), ([, n]) => n));
    const older = html.match(/<a href="([^"]+)">Older/)?.[1];
    path = older && `/${older.replaceAll("&amp;", "&")}`;
  }
  assert(pages > 2, `${pages} pages`);
  assertEquals(seen, numbers.toReversed());
});

Deno.test("POST /chat?html leads back to where the message can be read, with the nickname", async () => {
  await using room = await openRoom();
  const body = form({ nickname: "Ann & Ben", message: "hello" });
  const response = await room.ask("/chat?html", { method: "POST", body });
  assertEquals(response.status, 303);
  const location = response.headers.get("location")!;
  assertEquals(location, "chat?html=&nickname=Ann+%26+Ben");
  const html = await (await room.ask(`/${location}`)).text();
  assertStringIncludes(html, ">hello</span>");
  assertStringIncludes(html, 'name="nickname" value="Ann &amp; Ben"');
});

Deno.test("GET /chat forgets a reader that leaves, at once", async () => {
  await using room = await openRoom();
  const leaving = await room.read();
  await using staying = await room.read();
  assertEquals(room.hub.readers, 2);
  await leaving[Symbol.asyncDispose]();
  assertEquals(room.hub.readers, 1);
  await room.post(form({ message: "still here" }));
  assertEquals((await staying.nextMessage()).message, "still here");
});

Deno.test("POST /chat stamps the message and answers it as JSON", async () => {
  await using room = await openRoom();
  const before = Date.now();
  const response = await room.post(form({ nickname: "ann", message: "hi" }));
  assertEquals(response.status, 201);
  assertMatch(response.headers.get("content-type")!, /^application\/json/);
  const { id, time, timestamp, by, ...rest } = await response.json();
  assertMatch(id, /^\d{13}-1$/);
  assertMatch(by, /^[\w-]{8}$/);
  assertEquals(rest, { nickname: "ann", message: "hi" });
  const date = new Date(time);
  assertEquals(date.toISOString(), time);
  assert(date.getTime() >= before && date.getTime() <= Date.now());
  assertEquals(timestamp, date.toTimeString().slice(0, 8));
});

Deno.test("POST /chat reads forms, multipart forms and JSON alike", async () => {
  await using room = await openRoom();
  const fields = { nickname: "ann", message: "a & b = ü 👋" };
  const multipart = new FormData();
  for (const [name, value] of Object.entries(fields)) multipart.set(name, value);
  const bodies: [BodyInit, HeadersInit][] = [
    [form(fields), {}],
    [form(fields).toString(), { "content-type": "Application/X-WWW-Form-Urlencoded" }],
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
  await using room = await openRoom();
  await using ann = await room.read();
  const accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
  const cases: [headers: HeadersInit, status: number][] = [
    [{ accept }, 303],
    [{ accept, ...NAVIGATION }, 303],
    [{ accept, "sec-fetch-mode": "cors" }, 201],
    [{ accept: "*/*" }, 201],
  ];
  for (const [headers, status] of cases) {
    const response = await room.post(form({ message: String(status) }), headers);
    assertEquals(response.status, status);
    const location = response.headers.get("location");
    assertEquals(
      location && new URL(location, "http://x/a/chat").href,
      status === 303 ? "http://x/a/" : null,
    );
    assertEquals((await ann.nextMessage()).message, String(status));
  }
});

Deno.test("POST /chat carries every text through unchanged", async () => {
  await using room = await openRoom();
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
    // One line, also for clients that take these for line ends.
    assertEquals((await response.text()).match(/[\u2028\u2029]/), null);
    assertEquals((await ann.nextMessage()).message, text.trim());
  }
});

Deno.test("POST /chat normalises text at the edge", async () => {
  await using room = await openRoom();
  const cases: [posted: Record<string, unknown>, kept: Record<string, string>][] = [
    [{ message: "a\r\nb\rc" }, { message: "a\nb\nc" }],
    [{ message: " \n padded \n " }, { message: "padded" }],
    [{ message: "cafe\u0301" }, { message: "café" }],
    [{ message: "a\u0000b\u0007c\u007fd\u0085e" }, { message: "abcde" }],
    [{ message: "e\u0000\u0301 a\r\u0000\nb" }, { message: "\u00e9 a\nb" }],
    [{ message: "hi", nickname: "a \u0000 b" }, { nickname: "a b" }],
    [{ message: "half \ud83d pair" }, { message: "half \ufffd pair" }],
    [{ message: "hi", nickname: "  two \r\n lines\tand\u2028more " }, {
      nickname: "two lines and more",
    }],
    [{ message: "hi", nickname: "a\u0000b" }, { nickname: "ab" }],
    [{ message: "hi", nickname: "" }, { nickname: "anonymous" }],
    [{ message: "hi", nickname: " \u200b " }, { nickname: "anonymous" }],
    [{ message: "hi", nickname: "\u2800\uffa0" }, { nickname: "anonymous" }],
    [{ message: `a${"\u0316".repeat(40)}b` }, { message: `a${"\u0316".repeat(30)}b` }],
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

Deno.test("POST /chat takes a post with the same key once", async () => {
  await using room = await openRoom();
  const fields = { nickname: "ann", message: "hi" };
  const first = await room.post(form({ ...fields, key: "k1" }));
  assertEquals(first.status, 201);
  const message = await first.json();
  const json = { "content-type": "application/json" };
  const repeats = [
    await room.post(form({ ...fields, key: "k1" })),
    await room.post(JSON.stringify({ ...fields, key: "k1" }), json),
    await room.post(form(fields), { "idempotency-key": "k1" }),
    await room.post(form({ ...fields, key: "k1" }), { "idempotency-key": "other" }),
  ];
  for (const repeat of repeats) {
    assertEquals(repeat.status, 200);
    assertEquals(await repeat.json(), message);
  }
  const conflict = await room.post(form({ message: "other text", key: "k1" }));
  assertStringIncludes(await assertProblem(conflict, 422, "key"), "different message");
  const plain = await room.post(form({ ...fields, key: "k1" }), NAVIGATION);
  assertEquals(plain.status, 303);
  assertEquals((await room.log.read({ latest: 50 })).entries.length, 1);
});

Deno.test("a log that can't be used is a 503 that says when to come back", async () => {
  await using room = await openRoom();
  const reason = new LogUnavailableError("The log", { cause: new Error("disk full") });
  room.log.append = () => Promise.reject(reason);
  room.log.read = () => Promise.reject(reason);
  const responses = [
    await room.post(form({ message: "hi" })),
    await room.ask("/chat", { headers: { accept: "application/json" } }),
  ];
  for (const response of responses) {
    assertEquals(response.headers.get("retry-after"), "5");
    assertStringIncludes(await assertProblem(response, 503), "nothing was stored");
  }
  const errors = await room.terminal.errors();
  assertMatch(errors, /The log: disk full\n.* Failures since the last line: 1\n$/);
  // An EventSource that is refused never comes back: it is sent away with a retry.
  await using reader = await room.read();
  assertEquals(Object.keys((await reader.next())!), ["retry"]);
  assertEquals(Object.keys((await reader.next())!), ["retry"]);
  assertEquals(await reader.next(), undefined);
});

Deno.test("a request that comes while the program ends is a 503 that nobody need know of", async () => {
  const store = await openMessageStore("memory:", { keep: 10 });
  await using chat = await openChat([], { store });
  await store[Symbol.asyncDispose]();
  const headers = { accept: "application/json" };
  await assertProblem(await chat.post(form({ message: "late" })), 503);
  await assertProblem(await chat.ask("/biology/chat?since=all", { headers }), 503);
  assertEquals(await chat.terminal.errors(), "");
});

Deno.test("while the store is away an EventSource is told when to come back, and all others get a 503", async () => {
  for (const error of [new StoreAwayError("away"), new LogUnavailableError("full")]) {
    await using room = await openRoom("--moderator-password", "battery staple");
    room.store.openLog = () => Promise.reject(error);
    const moderator = { authorization: `Basic ${btoa(":battery staple")}` };
    const fields = form({ action: "close" });
    const refused = [
      await room.ask("/biology/chat"),
      await room.ask("/biology/chat", { headers: { accept: "application/json" } }),
      await room.ask("/biology/chat", { method: "POST", body: form({ message: "hi" }) }),
      await room.ask("/biology/moderation", { headers: moderator }),
      await room.ask("/biology/moderation", { method: "POST", body: fields, headers: moderator }),
    ];
    for (const response of refused) {
      assertMatch(response.headers.get("retry-after")!, /^[1-5]$/);
      await assertProblem(response, 503);
    }
    const plain = await room.ask("/biology/chat?html", { headers: NAVIGATION });
    assertEquals([plain.status, plain.headers.get("retry-after") !== null], [503, true]);
    await plain.body?.cancel();
    const delays = new Set<number>();
    for (let n = 0; n < 20; n++) {
      const response = await room.ask("/biology/chat", {
        headers: { accept: "text/event-stream" },
      });
      assertEquals(response.status, 200);
      const [, delay] = /^retry: (\d+)\n\n$/.exec(await response.text())!;
      assert(Number(delay) >= 2000 && Number(delay) <= 4000, delay);
      delays.add(Number(delay));
    }
    assert(delays.size > 1);
    for (const path of ["/", "/biology"]) {
      const page = await room.ask(path);
      assertEquals(page.status, 200, path);
      await page.body?.cancel();
    }
  }
});

Deno.test("a store that is away is not reported again for each request", async () => {
  await using room = await openRoom();
  const away = new StoreAwayError("The store is away");
  room.log.append = () => Promise.reject(away);
  room.log.read = () => Promise.reject(away);
  for (const headers of [{ accept: "application/json" }, NAVIGATION]) {
    assertEquals((await room.ask("/chat", { headers })).status, 503);
  }
  const response = await room.post(form({ message: "hi" }));
  assertEquals(response.headers.get("retry-after"), "2");
  assertStringIncludes(await assertProblem(response, 503), "with the same key");
  assertEquals(await room.terminal.errors(), "");
});

Deno.test("POST /chat refuses a field it can't take and names it", async () => {
  await using room = await openRoom();
  await using ann = await room.read();
  const json = { "content-type": "application/json" };
  const file = new FormData();
  file.set("message", new File(["hi"], "hi.txt"));
  const cases: [body: BodyInit, field: string, detail: string, headers?: HeadersInit][] = [
    [form({ nickname: "ann" }), "message", "is empty"],
    [form({ message: " \r\n\u0000\u200b " }), "message", "is empty"],
    [form({ message: "\u2800\u3164\u{1d159}" }), "message", "is empty"],
    ["", "message", "is empty", { "content-type": "application/x-www-form-urlencoded" }],
    [form({ message: "x".repeat(4001) }), "message", "4001 characters; send at most 4000"],
    [form({ message: "hi", nickname: "n".repeat(41) }), "nickname", "at most 40"],
    [form({ message: "hi", key: "k".repeat(101) }), "key", "at most 100"],
    ['{"message": "hi", "key": 7}', "key", "is not text", json],
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
  await using room = await openRoom();
  const type = { "content-type": "application/x-www-form-urlencoded" };
  for (const [body, text] of [["message=100%", "100%"], ["message=%zz%41%f", "%zzA%f"]]) {
    const response = await room.post(body, type);
    assertEquals(response.status, 201);
    assertEquals((await response.json()).message, text);
  }
});

Deno.test("POST /chat refuses a body that is not what its type says", async () => {
  await using room = await openRoom();
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
    [
      '--x\r\nContent-Disposition: form-data; name="message"\r\n\r\nhi\r\n' +
      '--x\r\nContent-Disposition: form-data; name="nickname"\r\n\r\nann--',
      'multipart/form-data; boundary="x"',
    ],
  ];
  for (const [body, type] of cases) {
    const response = await room.post(body, { "content-type": type });
    assertStringIncludes(await assertProblem(response, 400), type);
  }
});

Deno.test("POST /chat refuses another content type and says which it takes", async () => {
  await using room = await openRoom();
  for (const type of ["text/plain", "application/xml", "application/jsonx", ";", "constructor"]) {
    const response = await room.post("hi", { "content-type": type });
    assertStringIncludes(response.headers.get("accept-post")!, "application/json");
    assertStringIncludes(await assertProblem(response, 415), "application/x-www-form-urlencoded");
  }
  const bytes = new Uint8Array([1]);
  assertStringIncludes(await assertProblem(await room.post(bytes), 415), "is missing");
});

Deno.test("POST /chat refuses a body over 64 KiB, announced or not", async () => {
  await using room = await openRoom();
  const type = "application/x-www-form-urlencoded";
  const announced = { "content-type": type, "content-length": String(64 * 1024 + 1) };
  assertStringIncludes(
    await assertProblem(await room.post("message=hi", announced), 413),
    "64 KiB",
  );
  let pulled = 0;
  let isCancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 1024;
      controller.enqueue(new Uint8Array(1024).fill(0x61));
    },
    cancel: () => void (isCancelled = true),
  });
  await assertProblem(await room.post(endless, { "content-type": type }), 413);
  assert(pulled < 70 * 1024, `read ${pulled} bytes`);
  assert(isCancelled);
  const longest = "message=hi&pad=".padEnd(64 * 1024, "x");
  assertEquals((await room.post(longest, { "content-type": type })).status, 201);
});

Deno.test("POST /chat takes a body that breaks off as the client's fault", async () => {
  await using room = await openRoom();
  const broken = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.error(new Deno.errors.BadResource("hung up")),
  });
  const response = await room.post(broken, { "content-type": "application/json" });
  await assertProblem(response, 400);
});

Deno.test("POST /chat refuses pages of other sites", async () => {
  await using room = await openRoom("--allow-host", "example.com");
  const refused: HeadersInit[] = [
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site", origin: "http://localhost:3000" },
    { "sec-fetch-site": "cross-site", origin: ORIGIN },
    { origin: "https://evil.example" },
    { origin: "http://localhost:3000" },
    { origin: "null" },
    { origin: "not an origin" },
    { origin: "file://" },
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
    { origin: "https://example.com", host: "EXAMPLE.com:443" },
    { origin: "http://chat.test", "x-forwarded-host": "chat.test" },
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
  await using room = await openRoom("--allow-origin", "https://a.example,https://b.example");
  const origin = "https://b.example";
  const headers = { origin, "sec-fetch-site": "cross-site" };
  const posted = await room.post(form({ message: "hi" }), headers);
  assertEquals(posted.status, 201);
  assertEquals(posted.headers.get("access-control-allow-origin"), origin);
  assertEquals(posted.headers.get("vary"), "origin");
  assertEquals(posted.headers.get("access-control-allow-methods"), null);
  const stream = await room.ask("/chat", { headers });
  assertEquals(stream.headers.get("access-control-allow-origin"), origin);
  assertEquals(stream.headers.get("vary"), "accept, origin");
  const preflight = await room.ask("/chat", { method: "OPTIONS", headers });
  assertEquals(preflight.status, 204);
  assertEquals(preflight.headers.get("access-control-allow-origin"), origin);
  assertEquals(
    preflight.headers.get("access-control-allow-methods"),
    "GET, HEAD, POST, OPTIONS",
  );
  assertStringIncludes(preflight.headers.get("access-control-allow-headers")!, "content-type");

  const other = { origin: "https://c.example", "sec-fetch-site": "cross-site" };
  const refused = await room.post(form({ message: "hi" }), other);
  assertEquals(refused.headers.get("access-control-allow-origin"), null);
  assertEquals(refused.headers.get("vary"), "origin");
  await assertProblem(refused, 403);
  const unasked = await room.ask("/chat", { method: "OPTIONS", headers: other });
  assertEquals(unasked.headers.get("access-control-allow-methods"), null);
});

Deno.test("GET /chat refuses pages of other sites before they count as readers", async () => {
  await using room = await openRoom();
  const site = { "sec-fetch-site": "cross-site" };
  const refused: HeadersInit[] = [
    { ...site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
    { ...site, "sec-fetch-mode": "cors", origin: "https://a.example" },
    { origin: "https://a.example" },
    { ...site, accept: "application/json" },
  ];
  for (const headers of refused) {
    const response = await room.ask("/chat", { headers });
    assertEquals(response.headers.get("access-control-allow-origin"), null);
    assertStringIncludes(await assertProblem(response, 403), "may not read");
  }
  assertEquals(room.hub.readers, 0);
  const link = { ...site, ...NAVIGATION, "sec-fetch-dest": "document" };
  const response = await room.ask("/chat", { headers: link });
  assertEquals(response.status, 200);
  await response.body!.cancel();
});

Deno.test("a fault of ours is a 500 that says nothing of it but at the terminal", async () => {
  await using room = await openRoom();
  room.log.append = () => Promise.reject(new Error("a secret"));
  const response = await room.post(form({ message: "hi" }));
  const detail = await assertProblem(response, 500);
  assert(!detail.includes("secret"));
  assertStringIncludes(await room.terminal.errors(), "a secret");
});

Deno.test("a request whose URL cannot be parsed is refused, not a 500", async () => {
  await using room = await openRoom();
  const request = new Request(ORIGIN);
  Object.defineProperty(request, "url", { value: "http://[/chat" });
  await assertProblem(await room.handler(request), 400);
});
