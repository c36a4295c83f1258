/** What takes a real socket: connections that break, absurd requests, other people's clients. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { EventSource } from "eventsource";
import { parseConfig } from "../config.ts";
import { createHandler } from "../main.ts";
import { openMessageStore } from "../message_log/open.ts";
import { Rooms } from "../room.ts";
import { Server } from "../server.ts";
import { Guard } from "../visitor_guard/guard.ts";
import { NO_LIMITS } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { RecordedTerminal } from "./recorded_terminal.ts";
import { until } from "./until.ts";

const { state } = await Deno.permissions.query({ name: "net", host: "127.0.0.1" });
const ignore = state !== "granted";

/** A chat that listens on a free port of this machine. */
async function listen() {
  const config = parseConfig(NO_LIMITS, () => undefined);
  const store = await openMessageStore("memory:", config);
  const rooms = new Rooms(store, { heartbeatMs: 60_000 });
  const { room: { hub } } = await rooms.enter("");
  const terminal = new RecordedTerminal();
  const guard = new Guard({ config, onRefused() {}, onProxy() {} });
  // Whatever the server can't cope with.
  const errors: unknown[] = [];
  const server = new Server(
    await createHandler({ rooms, store, config, guard, terminal, hosts: ["192.168.1.20"] }),
    {
      hostname: "127.0.0.1",
      port: 0,
      onError(error) {
        errors.push(error);
        return new Response();
      },
      onAcceptError: (reason) => errors.push(reason),
    },
  );
  const { port } = server;
  const url = `http://127.0.0.1:${port}`;
  return {
    hub,
    port,
    url,
    async post(message: string): Promise<number> {
      const body = new URLSearchParams({ message });
      const response = await fetch(`${url}/chat`, { method: "POST", body });
      await response.body?.cancel();
      return response.status;
    },
    read: async () => new EventReader(await fetch(`${url}/chat`)),
    async [Symbol.asyncDispose]() {
      const finished = server.shutdown();
      rooms.close();
      guard[Symbol.dispose]();
      await finished;
      await rooms[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      assertEquals(errors, []);
      assertEquals(await terminal.errors(), "");
    },
  };
}

/** Sends bytes as they are and returns what comes back until the server closes or `enough`. */
async function raw(port: number, request: string, enough = /\r\n\r\n/): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(request)).catch(() => {});
  const buffer = new Uint8Array(64 * 1024);
  let answer = "";
  while (!enough.test(answer)) {
    const count = await connection.read(buffer).catch(() => null);
    if (count === null) break;
    answer += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return answer;
}

Deno.test("a reader that vanishes is forgotten and keeps nothing from the others", {
  ignore,
}, async () => {
  await using chat = await listen();
  await using staying = await chat.read();
  const vanishing = [];
  for (let n = 0; n < 20; n++) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: chat.port });
    await connection.write(new TextEncoder().encode("GET /chat HTTP/1.1\r\nHost: x\r\n\r\n"));
    vanishing.push(connection);
  }
  await until(() => chat.hub.readers === 21);
  for (const connection of vanishing) connection.close();
  await chat.post("hi");
  assertEquals((await staying.nextMessage()).message, "hi");
  await until(() => chat.hub.readers === 1);
});

Deno.test("a hang-up in the middle of a body is nothing to the server", { ignore }, async () => {
  await using chat = await listen();
  await using ann = await chat.read();
  const head = "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
  for (
    const begun of [
      "POST /ch",
      head,
      `${head}Content-Length: 40\r\n\r\n{"message":`,
      `${head}Transfer-Encoding: chunked\r\n\r\n5\r\n{"mes`,
      `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
    ]
  ) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: chat.port });
    await connection.write(new TextEncoder().encode(begun));
    // A whole post on another connection: by its answer the one above is being read.
    assertEquals(await chat.post("meanwhile"), 201);
    await ann.nextMessage();
  }
  assertEquals(await chat.post("after all that"), 201);
  assertEquals((await ann.nextMessage()).message, "after all that");
});

Deno.test("absurd requests get a 4xx or a closed connection, never a 5xx", { ignore }, async () => {
  await using chat = await listen();
  const requests = [
    "GET /chat\r\n\r\n",
    "nonsense\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET //[ HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET http://[/chat HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /%00%ff%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /nothing HTTP/1.1\r\nHost: x\r\nOrigin: \u00e9\u00ff\r\n\r\n",
    `GET /nothing HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(200_000)}\r\n\r\n`,
    `GET /nothing HTTP/1.1\r\nHost: x\r\n${"X: y\r\n".repeat(2000)}\r\n`,
    `GET /${"x".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: \u0000\r\nContent-Length: 0\r\n\r\n",
    "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=\r\n" +
    "Content-Length: 2\r\n\r\nhi",
    "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: ;;q=,/\r\n" +
    "Content-Length: 2\r\n\r\n{}",
  ];
  for (const request of requests) {
    const answer = await raw(chat.port, request);
    assertMatch(answer, /^(HTTP\/1\.1 (200|4\d\d) |$)/, request.slice(0, 60));
  }
  assertEquals(await chat.post("still there"), 201);
});

Deno.test("a body far over the limit is refused while it is still sent", { ignore }, async () => {
  await using chat = await listen();
  const head = "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
  const body = "x".repeat(1_000_000);
  const announced = await raw(chat.port, `${head}Content-Length: 1000000\r\n\r\n${body}`);
  assertStringIncludes(announced, "HTTP/1.1 413");
  const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n${(1_000_000).toString(16)}\r\n${body}`;
  assertStringIncludes(await raw(chat.port, chunked), "HTTP/1.1 413");
  const response = await fetch(`${chat.url}/chat`, {
    method: "POST",
    body: "&".repeat(1_000_000),
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  assertEquals(response.status, 413);
  await response.body?.cancel();
});

Deno.test("a post answers on a connection that stays open for the next", { ignore }, async () => {
  await using chat = await listen();
  const body = `message=${"x".repeat(2000)}`;
  const post =
    "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
    `Content-Length: ${body.length}\r\n\r\n${body}`;
  const answers = await raw(chat.port, post + post, /201 Created[^]*201 Created[^]*\}\n$/);
  assert(!/connection: close/i.test(answers), "the connection is closed after a post");
});

Deno.test("an EventSource of others reads messages, events and every kind of text", {
  ignore,
}, async () => {
  await using chat = await listen();
  const source = new EventSource(`${chat.url}/chat`);
  const messages: string[] = [];
  const online: string[] = [];
  source.addEventListener("online", ({ data }) => online.push(data));
  source.addEventListener("message", ({ data }) => messages.push(JSON.parse(data).message));
  await until(() => online.length > 0);
  const texts = ["a\nb", "a\u2028b", "  inner  spaces", "👋🏽", "שלום", "é".repeat(4000)];
  for (const text of texts) await chat.post(text);
  await until(() => messages.length === texts.length);
  source.close();
  assertEquals(messages, texts.map((text) => text.trim()));
  assertEquals(online, ["1"]);
  await until(() => chat.hub.readers === 0);
});
