/** How the page keeps its connection, without a page, a server or a clock. */

import { assertEquals } from "@std/assert";
import { mock } from "node:test";
import { type FakeStream, replaceNetwork, settle } from "./fake_stream.ts";
import { loadScript, replaceGlobal } from "./page_scripts.ts";

const { state } = await Deno.permissions.query({ name: "read" });
const ignore = state !== "granted";

/** A connection to a chat with these answers to requests for its history. */
async function connect(
  answer: () => Response | Promise<Response>,
  heartbeatMs = 15_000,
  taken?: Promise<void>,
) {
  // Before the clock is replaced, or loading would wait for it.
  const { Connection } = await loadScript("client.js");
  const opened: FakeStream[] = [];
  const asked: string[] = [];
  const events: Record<string, unknown>[] = [];
  const replaced = new DisposableStack();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  replaced.defer(() => mock.timers.reset());
  replaced.use(replaceGlobal("performance", { now: () => Date.now() }));
  replaced.use(replaceNetwork((stream) => opened.push(stream), (url) => {
    asked.push(url);
    return answer();
  }));
  const connection = new Connection(
    "http://chat/chat",
    heartbeatMs,
    (event: Record<string, unknown>) => {
      events.push(event);
      return event.type === "entry" ? taken : undefined;
    },
  );
  replaced.defer(() => connection.stop());
  return {
    connection,
    opened,
    asked,
    events,
    get stream() {
      return opened.at(-1)!;
    },
    get status() {
      return connection.status.status;
    },
    /** Lets time pass, and what was begun in it come to its end. */
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 250) {
        mock.timers.tick(250);
        await settle();
      }
    },
    [Symbol.dispose]: () => replaced.dispose(),
  };
}

const MESSAGE = { id: "5-1", nickname: "ann", message: "hi", time: "2026-03-01T12:00:00.000Z" };

function json(value: unknown, headers?: Record<string, string>) {
  return new Response(JSON.stringify(value), {
    headers: { "content-type": "application/json", ...headers },
  });
}

function noServer(): Response {
  throw new TypeError("no connection");
}

Deno.test("Connection takes silence of two and a half heartbeats for a loss", {
  ignore,
}, async () => {
  using chat = await connect(noServer);
  chat.connection.start();
  await chat.stream.send("online", 1);
  await chat.pass(37_000);
  assertEquals(chat.status, "live");
  await chat.pass(2000);
  assertEquals(chat.status, "waiting");
});

Deno.test("Connection takes silence for a loss when the clock is set back", {
  ignore,
}, async () => {
  using chat = await connect(noServer);
  const start = performance.now();
  using _back = replaceGlobal("Date", { now: () => start - 3_600_000 });
  using _on = replaceGlobal("performance", { now: () => start + passed });
  let passed = 0;
  chat.connection.start();
  await chat.stream.send("online", 1);
  for (; passed < 40_000; passed += 1000) await chat.pass(1000);
  assertEquals(chat.status, "waiting");
});

Deno.test(
  "Connection takes the heartbeat from the pings, since a restarted server may have another",
  {
    ignore,
  },
  async () => {
    using chat = await connect(noServer, 1000);
    chat.connection.start();
    await chat.stream.send("online", 1);
    await chat.stream.send("ping", { heartbeat: 60 });
    await chat.pass(140_000);
    assertEquals(chat.status, "live");
    await chat.pass(12_000);
    assertEquals(chat.status, "waiting");
  },
);

Deno.test("Connection waits longer for each silence without a ping, until there is one", {
  ignore,
}, async () => {
  using chat = await connect(noServer, 10_000);
  chat.connection.start();
  let opened = 0;
  // A server with a heartbeat of a minute, which does not say so.
  for (let minute = 0; minute < 10; minute++) {
    for (let second = 0; second < 60; second++) {
      if (chat.opened.length > opened) await chat.stream.send("online", 1);
      opened = chat.opened.length;
      await chat.pass(1000);
    }
    if (!chat.stream.isClosed) await chat.stream.send("ping", {});
  }
  assertEquals(chat.status, "live");
  const before = chat.opened.length;
  await chat.pass(1000);
  assertEquals(chat.opened.length, before);
});

Deno.test("Connection takes silence of ten heartbeats for a loss, however often there was one", {
  ignore,
}, async () => {
  using chat = await connect(noServer, 1000);
  chat.connection.start();
  for (let n = 0; n < 8; n++) {
    await chat.stream.send("online", 1);
    const { stream } = chat;
    await chat.pass(11_000);
    assertEquals(stream.isClosed, true);
    while (chat.stream.isClosed) await chat.pass(1000);
  }
});

Deno.test(
  "Connection reads an event that broke off again, from before it",
  { ignore },
  async () => {
    using chat = await connect(noServer);
    chat.connection.start("4-1");
    await chat.stream.send("online", 1, "4-1");
    await chat.stream.send("message", '{"id":"5-1","nickretry: 2500', "5-1");
    assertEquals(chat.status, "waiting");
    await chat.pass(4000);
    assertEquals(chat.stream.url, "http://chat/chat?since=4-1");
  },
);

Deno.test("Connection goes on after the last whole event, wherever a stream breaks off", {
  ignore,
}, async () => {
  const messages = ["é", "👋"].map((message, n) => ({ ...MESSAGE, id: `${n + 5}-1`, message }));
  const frames = messages.map((each) =>
    new TextEncoder().encode(`id: ${each.id}\ndata: ${JSON.stringify(each)}\n\n`)
  );
  const bytes = new Uint8Array(await new Blob(frames).arrayBuffer());
  for (let cut = 0; cut <= bytes.length; cut++) {
    using chat = await connect(noServer);
    chat.connection.start("4-1");
    await settle();
    await chat.stream.send("online", 1);
    await chat.stream.sendBytes(bytes.slice(0, cut));
    await chat.stream.fail();
    await chat.pass(4000);
    const whole = cut === bytes.length ? 2 : cut >= frames[0].length ? 1 : 0;
    assertEquals(chat.stream.url, `http://chat/chat?since=${whole + 4}-1`);
    assertEquals(
      chat.events.filter(({ type }) => type === "entry"),
      messages.slice(0, whole).map((entry) => ({ type: "entry", entry })),
    );
  }
});

Deno.test("Connection ignores events that it does not know", { ignore }, async () => {
  using chat = await connect(noServer);
  chat.connection.start("4-1");
  await settle();
  await chat.stream.send("online", 1);
  await chat.stream.send("typing", "no JSON at all", "5-1");
  assertEquals(chat.status, "live");
  await chat.stream.send("online", 2);
  assertEquals(chat.connection.status.cursor, "5-1");
});

Deno.test("Connection takes it for no silence that what it has read is not taken", {
  ignore,
}, async () => {
  const taken = Promise.withResolvers<void>();
  using chat = await connect(noServer, 15_000, taken.promise);
  chat.connection.start("4-1");
  await settle();
  await chat.stream.send("online", 1);
  await chat.stream.send("message", MESSAGE, "5-1");
  await chat.stream.send("message", { ...MESSAGE, id: "6-1" }, "6-1");
  await chat.pass(600_000);
  assertEquals([chat.status, chat.opened.length], ["live", 1]);
  assertEquals(chat.connection.status.cursor, "5-1");
  taken.resolve();
  await chat.pass(37_000);
  assertEquals([chat.status, chat.connection.status.cursor], ["live", "6-1"]);
  await chat.pass(2000);
  assertEquals(chat.status, "waiting");
});

Deno.test("Connection begins now where nothing before is wanted, without a stream too", {
  ignore,
}, async () => {
  const answers = [json([MESSAGE]), json([{ ...MESSAGE, id: "6-2" }])];
  using chat = await connect(() => answers.shift() ?? json([]));
  chat.connection.start("none");
  await chat.pass(16_000);
  assertEquals(chat.asked.slice(0, 2).map((url) => new URL(url).search), [
    "?removed=",
    "?since=5-1&removed=",
  ]);
  assertEquals(
    chat.events.filter(({ type }) => type === "entry"),
    [{ type: "entry", entry: { ...MESSAGE, id: "6-2" } }] as typeof chat.events,
  );
});

Deno.test("Connection asks for the history where the stream is held back, until it comes", {
  ignore,
}, async () => {
  const answers = [json([MESSAGE]), json([]), json([{ ...MESSAGE, id: "6-2" }])];
  using chat = await connect(() => answers.shift() ?? json([]));
  chat.connection.start("4-1");
  await chat.pass(11_000);
  assertEquals(chat.status, "polling");
  assertEquals(chat.stream.isClosed, true);
  await chat.pass(11_000);
  assertEquals(chat.asked.slice(0, 3).map((url) => new URL(url).search), [
    "?since=4-1&removed=",
    "?since=5-1&removed=",
    "?since=5-1&removed=",
  ]);
  assertEquals(
    chat.events.filter(({ type }) => type === "entry"),
    [MESSAGE, { ...MESSAGE, id: "6-2" }].map((message) => ({ type: "entry", entry: message })),
  );
  // It tries the stream again, from where the history was.
  await chat.pass(60_000);
  assertEquals(chat.opened.length, 2);
  assertEquals(chat.stream.url, "http://chat/chat?since=6-2");
  assertEquals(chat.status, "polling");
  await chat.stream.send("online", 2);
  assertEquals(chat.status, "live");
  const asked = chat.asked.length;
  await chat.pass(20_000);
  assertEquals(chat.asked.length, asked);
});

Deno.test(
  "Connection misses nothing of a chat that was empty when it began to ask for the history",
  {
    ignore,
  },
  async () => {
    using chat = await connect(() => json([]));
    chat.connection.start();
    await chat.pass(16_000);
    assertEquals(chat.asked, ["http://chat/chat?removed=", "http://chat/chat?since=all&removed="]);
  },
);

Deno.test(
  "Connection hands on what is removed, from the stream and from the history, and its cursor",
  {
    ignore,
  },
  async () => {
    const removals = [{ id: "6-2", removes: "5-1" }, { id: "8-4", removes: "all" }];
    using chat = await connect(() => json([{ ...MESSAGE, id: "7-3" }, removals[1]]));
    chat.connection.start("4-1");
    await chat.stream.send("online", 1, "4-1");
    await chat.stream.send("removed", removals[0], "6-2");
    assertEquals(chat.connection.status.cursor, "6-2");
    for (let n = 0; n < 2; n++) {
      await chat.stream.fail();
      await chat.pass(8000);
    }
    assertEquals(
      chat.events.filter(({ type }) => type !== "status"),
      [
        { type: "entry", entry: removals[0] },
        { type: "entry", entry: { ...MESSAGE, id: "7-3" } },
        { type: "entry", entry: removals[1] },
      ] as typeof chat.events,
    );
    assertEquals(chat.connection.status.cursor, "8-4");
  },
);

Deno.test("Connection hands on a gap that the history has", { ignore }, async () => {
  using chat = await connect(() => json([MESSAGE], { "chat-gap": "unknown" }));
  chat.connection.start("4-1");
  await chat.pass(11_000);
  assertEquals(
    chat.events.filter(({ type }) => type !== "status"),
    [
      { type: "gap", missed: null },
      { type: "entry", entry: MESSAGE },
    ] as typeof chat.events,
  );
});

Deno.test("Connection does not take one stream that failed for one that is held back", {
  ignore,
}, async () => {
  using chat = await connect(() => json([]));
  chat.connection.start("4-1");
  await chat.stream.fail();
  await chat.pass(250);
  assertEquals(chat.status, "waiting");
  await chat.pass(4000);
  await chat.stream.fail();
  await chat.pass(250);
  assertEquals(chat.status, "polling");
});

for (
  const [name, answer] of [
    ["a page", () => new Response("<h1>Sign in", { headers: { "content-type": "text/html" } })],
    ["401", () => new Response("", { status: 401 })],
    ["407", () => new Response("", { status: 407 })],
    ["511", () => new Response("", { status: 511 })],
    [
      "a redirection",
      () => Object.defineProperty(new Response(), "type", { value: "opaqueredirect" }),
    ],
  ] as const
) {
  Deno.test(`Connection says that one has to sign in where the answer is ${name}`, {
    ignore,
  }, async () => {
    using chat = await connect(answer);
    chat.connection.start("4-1");
    await chat.stream.fail();
    await chat.pass(250);
    assertEquals(chat.status, "signed-out");
    // It goes on trying, and does not say otherwise until it succeeds.
    await chat.pass(4000);
    assertEquals(chat.opened.length, 2);
    assertEquals(chat.status, "signed-out");
    await chat.stream.send("online", 1);
    assertEquals(chat.status, "live");
  });
}

Deno.test("Connection waits for a chat that answers with an error, and then for longer", {
  ignore,
}, async () => {
  using chat = await connect(() => new Response("Bad gateway", { status: 502 }));
  chat.connection.start("4-1");
  const waits: number[] = [];
  for (let n = 0; n < 4; n++) {
    await chat.stream.fail();
    await chat.pass(250);
    assertEquals(chat.status, "waiting");
    waits.push(chat.connection.status.retryMs / 1000);
    while (chat.stream.isClosed) await chat.pass(250);
  }
  // Half of what has doubled each time to all of it, up to half a minute.
  const longest = [4, 8, 16, 30];
  assertEquals(waits.map((wait, n) => longest[n] / 2 - 1 <= wait && wait <= longest[n]), [
    true,
    true,
    true,
    true,
  ]);
});

for (const [name, sent] of [["every stream", "2500"], ["the last words of one", "7000"]]) {
  Deno.test(`Connection waits as long as the server says in ${name}`, { ignore }, async () => {
    using chat = await connect(noServer);
    using _random = replaceGlobal("Math", Object.assign(Object.create(Math), { random: () => 0 }));
    chat.connection.start("4-1");
    await chat.stream.sendBytes(new TextEncoder().encode("retry: 2500\n\n"));
    await chat.stream.send("online", 1);
    await chat.stream.sendBytes(new TextEncoder().encode(`retry: ${sent}\n`));
    await chat.stream.fail();
    assertEquals([chat.status, chat.connection.status.retryMs], ["waiting", Number(sent)]);
  });
}

Deno.test("Connection asks for the history at once where no further reader is let in", {
  ignore,
}, async () => {
  using chat = await connect(() => json([MESSAGE]));
  chat.connection.start("4-1");
  await chat.stream.sendBytes(new TextEncoder().encode("retry: 90000\n\n"));
  await chat.stream.fail();
  assertEquals(chat.status, "polling");
  await chat.pass(89_000);
  assertEquals([chat.status, chat.opened.length], ["polling", 1]);
  await chat.pass(12_000);
  assertEquals(chat.opened.length, 2);
});

function refusal(status: number, retryAfter: string): Response {
  return new Response(JSON.stringify({ status, detail: "Why." }), {
    status,
    headers: { "content-type": "application/problem+json", "retry-after": retryAfter },
  });
}

for (const status of [429, 503]) {
  Deno.test(`Connection waits as long as the chat says with a ${status}, and asks nothing else`, {
    ignore,
  }, async () => {
    using chat = await connect(() => refusal(status, "70"));
    using _refused = replaceGlobal("fetch", () => {
      asked++;
      return Promise.resolve(refusal(status, "70"));
    });
    let asked = 0;
    chat.connection.start("4-1");
    await chat.pass(69_000);
    assertEquals([chat.status, asked], ["waiting", 1]);
    await chat.pass(3000);
    assertEquals(asked, 2);
  });
}

Deno.test("Connection shows a wrong password again only after minutes", { ignore }, async () => {
  for (const [headers, most] of [[{ authorization: "Basic OmE=" }, 5], [{}, 100]] as const) {
    using chat = await connect(noServer);
    const { Connection } = await loadScript("client.js");
    let asked = 0;
    using _refused = replaceGlobal("fetch", () => {
      asked++;
      return Promise.resolve(refusal(401, ""));
    });
    const connection = new Connection("http://chat/chat", 15_000, () => {}, headers);
    connection.start();
    await chat.pass(10 * 60_000);
    connection.stop();
    assertEquals(asked > 1 && asked <= most, true, `${asked} times`);
    assertEquals(asked > 15, most === 100, `${asked} times`);
  }
});

/** A history whose lines a test sends. */
function openHistory() {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (each) => void (controller = each) });
  return {
    response: new Response(body, { headers: { "content-type": "application/json" } }),
    async send(text: string) {
      controller.enqueue(new TextEncoder().encode(text));
      await settle();
    },
    async fail() {
      controller.error(new TypeError("The connection is lost"));
      await settle();
    },
  };
}

Deno.test("Connection hands on a history as it comes, and goes on where one broke off", {
  ignore,
}, async () => {
  const history = openHistory();
  const answers = [history.response];
  using chat = await connect(() => answers.shift() ?? json([]));
  chat.connection.start("4-1");
  await chat.stream.fail();
  await history.send(`[${JSON.stringify(MESSAGE)},\n{"id":"6`);
  assertEquals(chat.connection.status.cursor, "5-1");
  await history.send(`-2","removes":"5-1"},\n{"id":`);
  assertEquals(
    chat.events.filter(({ type }) => type === "entry"),
    [MESSAGE, { id: "6-2", removes: "5-1" }].map((entry) => ({ type: "entry", entry })),
  );
  await history.fail();
  assertEquals(chat.status, "waiting");
  await chat.pass(4000);
  assertEquals(chat.stream.url, "http://chat/chat?since=6-2");
});

Deno.test("Connection reads no more of a history than is taken, and breaks it off when it stops", {
  ignore,
}, async () => {
  let sent = 0;
  let isCancelled = false;
  const body = new ReadableStream({
    pull(controller) {
      const entry = JSON.stringify({ ...MESSAGE, id: `${5 + sent}-${++sent}` });
      controller.enqueue(new TextEncoder().encode(`${sent === 1 ? "[" : ",\n"}${entry}`));
    },
    cancel: () => void (isCancelled = true),
  });
  const headers = { "content-type": "application/json" };
  const taken = Promise.withResolvers<void>();
  using chat = await connect(() => new Response(body, { headers }), 15_000, taken.promise);
  chat.connection.start("4-1");
  await chat.stream.fail();
  // A slow reader's time is no silence of the server.
  await chat.pass(60_000);
  assertEquals([sent < 10, isCancelled, chat.connection.status.cursor], [true, false, "5-1"]);
  chat.connection.stop();
  taken.resolve();
  await settle();
  assertEquals([sent < 10, isCancelled], [true, true]);
});
