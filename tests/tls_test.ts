/** The chat over TLS, by HTTP/2 and HTTP/1.1, in a process of its own. */

import http2 from "node:http2";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { CERTIFICATE_NAME, type CertificateFiles, makeCertificate } from "./certificate_files.ts";
import { ChatProcess, runToEnd } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { newFolder } from "./folder.ts";
import { Http2Connection, STREAMS_PER_CONNECTION } from "./http2_connection.ts";
import { sendRaw } from "./raw_stream.ts";
import { until } from "./until.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted" ||
  Deno.build.os === "windows";
const STREAMS = 15 * STREAMS_PER_CONNECTION;
const { NGHTTP2_CANCEL } = http2.constants;
const PROTOCOLS = ["HTTP/1.1", "HTTP/2"] as const;

function flagsFor({ cert, key }: CertificateFiles): string[] {
  return ["--tls-cert", cert, "--tls-key", key];
}

/** What speaks one protocol, with servers that have this certificate. */
async function newClient({ cert }: CertificateFiles, protocol: typeof PROTOCOLS[number]) {
  const client = Deno.createHttpClient({
    caCerts: [await Deno.readTextFile(cert)],
    http1: protocol === "HTTP/1.1",
    http2: protocol === "HTTP/2",
  });
  return {
    fetch: (url: string, init?: RequestInit) => fetch(url, { ...init, client }),
    post: async (url: string, body: BodyInit) => {
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${url}/chat`, { method: "POST", body, headers, client });
      await response.body?.cancel();
      return response.status;
    },
    [Symbol.dispose]: () => client.close(),
  };
}

function urlOf({ port }: ChatProcess): string {
  return `https://127.0.0.1:${port}`;
}

function message(text: string): string {
  return JSON.stringify({ message: text });
}

for (const protocol of PROTOCOLS) {
  Deno.test(`the chat over TLS and ${protocol} is the same, with HSTS`, { ignore }, async () => {
    await using folder = await newFolder();
    const files = await makeCertificate(folder.path, "chat");
    await using chat = await ChatProcess.start(flagsFor(files));
    assertMatch(chat.firstLine, /^The chat is at https:\/\/localhost:\d+$/);
    using client = await newClient(files, protocol);
    const page = await client.fetch(urlOf(chat));
    assertEquals(page.status, 200);
    assertEquals(page.headers.get("strict-transport-security"), "max-age=31536000");
    assertMatch(await page.text(), /<h1>/);
    const stream = await client.fetch(`${urlOf(chat)}/chat`);
    await using reader = new EventReader(stream);
    await reader.nextOf("online");
    assertEquals(await client.post(urlOf(chat), message("hi")), 201);
    assertEquals((await reader.nextMessage()).message, "hi");
    // As a browser sends it from the chat's own page, and from another.
    for (const [origin, status] of [[urlOf(chat), 201], ["https://other.example", 403]] as const) {
      const response = await client.fetch(`${urlOf(chat)}/chat`, {
        method: "POST",
        body: message("from a page"),
        headers: { "content-type": "application/json", origin },
      });
      await response.body?.cancel();
      assertEquals(response.status, status, origin);
    }
  });
}

Deno.test("plain HTTP to a TLS port gets nothing that can be read", { ignore }, async () => {
  await using folder = await newFolder();
  const files = await makeCertificate(folder.path, "chat");
  await using chat = await ChatProcess.start(flagsFor(files));
  using connection = await sendRaw(chat.port, "GET /chat HTTP/1.1\r\nHost: x\r\n\r\n");
  const bytes = await new Response(connection.readable).bytes();
  assert(bytes.length <= 7, `${bytes.length} bytes, more than a TLS alert`);
  using client = await newClient(files, "HTTP/2");
  assertEquals(await client.post(urlOf(chat), message("by TLS")), 201);
  assertEquals(chat.output.includes("Cannot"), false, chat.output);
});

Deno.test("a certificate that can't be used stops the start, an expired one does not", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const { cert, key } = await makeCertificate(folder.path, "expired", -1);
  const start = ["--port", "0", "--message-log", "memory:"];
  const { code, stderr } = await runToEnd([...start, "--tls-cert", key, "--tls-key", key]);
  assertEquals(code, 1);
  assertMatch(stderr, /^Cannot start: there is no certificate in .*; .* --tls-cert\n$/);
  await using chat = await ChatProcess.start(flagsFor({ cert, key }));
  await until(() => /Expired: the certificate, on \d{4}-\d\d-\d\d\./.test(chat.output));
});

Deno.test("SIGHUP takes a new certificate over, and ends no stream and no post", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const files = await makeCertificate(folder.path, "chat");
  const old = await makeCertificate(folder.path, "old");
  await Deno.copyFile(files.cert, old.cert);
  await using chat = await ChatProcess.start(flagsFor(files));
  using http1 = await newClient(old, "HTTP/1.1");
  using http2 = await newClient(old, "HTTP/2");
  const readers = await Promise.all([http1, http2].map(async (client) => {
    const reader = new EventReader(await client.fetch(`${urlOf(chat)}/chat`));
    await reader.nextOf("online");
    return reader;
  }));
  // A post on its way, by each protocol.
  const posts = [http1, http2].map((client, n) => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const begun = writer.write(new TextEncoder().encode(`{"message":`));
    const status = client.post(urlOf(chat), readable);
    return {
      begun,
      async finish() {
        await writer.write(new TextEncoder().encode(`"post ${n}"}`));
        await writer.close();
        return await status;
      },
    };
  });
  await Promise.all(posts.map(({ begun }) => begun));
  // By its response, those above are being read.
  assertEquals(await http1.post(urlOf(chat), message("before")), 201);
  assertEquals(await http2.post(urlOf(chat), message("before")), 201);

  await makeCertificate(folder.path, "chat");
  Deno.kill(chat.pid, "SIGHUP");
  assertEquals(await http1.post(urlOf(chat), message("meanwhile")), 201);
  assertEquals(await Promise.all(posts.map((post) => post.finish())), [201, 201]);
  await until(() => chat.output.includes("New connections get the new certificate"));
  using renewed = await newClient(files, "HTTP/2");
  await until(() => renewed.post(urlOf(chat), message("after")).then(() => true, () => false));
  using stranger = await newClient(old, "HTTP/2");
  await assertRejects(() => stranger.post(urlOf(chat), message("old")), TypeError);
  for (const reader of readers) {
    const texts = [];
    while (texts.at(-1) !== "after") texts.push((await reader.nextMessage()).message);
    assertEquals(texts.toSorted(), ["after", "before", "before", "meanwhile", "post 0", "post 1"]);
  }

  await Deno.writeTextFile(files.key, "nonsense");
  Deno.kill(chat.pid, "SIGHUP");
  await until(() => chat.output.includes("Cannot renew the certificate: there is no private key"));
  assertEquals(await renewed.post(urlOf(chat), message("still")), 201);
  assertEquals(chat.output.match(/ew certificate|Cannot/g), ["ew certificate", "Cannot"]);

  const { code, tookMs } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assert(tookMs < 1000, `took ${tookMs} ms`);
  for (const reader of readers) {
    let last;
    for (let event = await reader.next(); event; event = await reader.next()) last = event;
    assertEquals(Object.keys(last!), ["retry"]);
  }
});

Deno.test("the names in the certificate are the server's own, others are not", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const files = await makeCertificate(folder.path, "chat");
  await using chat = await ChatProcess.start(flagsFor(files));
  using connection = await Http2Connection.open(chat.port);
  const statusAt = async (authority: string) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const stream = connection.get("/", { ":authority": authority });
    stream.on("response", (headers) => resolve(headers[":status"]));
    stream.resume();
    return await promise;
  };
  assertEquals(await statusAt(`${CERTIFICATE_NAME}:${chat.port}`), 200);
  assertEquals(await statusAt(`127.0.0.1:${chat.port}`), 200);
  assertEquals(await statusAt("evil.example.com"), 421);
  assertEquals(await statusAt(`ann:word@${CERTIFICATE_NAME}`), 400);
});

Deno.test("a stream that is reset leaves at once, and no other on its connection", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const files = await makeCertificate(folder.path, "chat");
  await using chat = await ChatProcess.start(flagsFor(files));
  using client = await newClient(files, "HTTP/2");
  await using reader = new EventReader(await client.fetch(`${urlOf(chat)}/chat`));
  assertEquals(await reader.nextOf("online"), "1");
  using connection = await Http2Connection.open(chat.port);
  const streams = [1, 2, 3].map(() => connection.get("/chat"));
  while (await reader.nextOf("online") !== "4");
  streams[1].close(NGHTTP2_CANCEL);
  assertEquals(await reader.nextOf("online"), "3");
});

Deno.test("a stream that is not read holds up no other on its connection, and is ended", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const files = await makeCertificate(folder.path, "chat");
  await using chat = await ChatProcess.start([...flagsFor(files), "--heartbeat", "1"]);
  using client = await newClient(files, "HTTP/2");
  using connection = await Http2Connection.open(chat.port);
  const stalled = connection.get("/chat");
  const read = connection.get("/chat");
  let text = "";
  read.setEncoding("utf8").on("data", (part) => text += part);
  await until(() => /event: online\ndata: 2\n/.test(text));
  for (let n = 0; n < 100; n++) {
    assertEquals(await client.post(urlOf(chat), message(`${n} ${"👋".repeat(3900)}`)), 201);
  }
  await until(() => text.includes('"99 '));
  await until(() => /event: online\ndata: 1\n/.test(text));
  // What its flow control lets through.
  assert(stalled.readableLength <= 65_535, `${stalled.readableLength} bytes`);
});

Deno.test(`${STREAMS} streams over HTTP/2 end in under a second, each with a retry`, {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const files = await makeCertificate(folder.path, "chat");
  await using chat = await ChatProcess.start(flagsFor(files));
  await using connections = new AsyncDisposableStack();
  const texts: string[] = [];
  let ended = 0;
  for (let n = 0; n < STREAMS; n += STREAMS_PER_CONNECTION) {
    const connection = connections.use(await Http2Connection.open(chat.port));
    for (let m = n; m < n + STREAMS_PER_CONNECTION; m++) {
      texts[m] = "";
      const stream = connection.get("/chat");
      stream.setEncoding("utf8").on("data", (part) => texts[m] += part).on("end", () => ended++);
    }
  }
  await until(() => texts.every((text) => text.includes("event: online")));
  const { code, tookMs } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assert(tookMs < 1000, `took ${tookMs} ms`);
  await until(() => ended === STREAMS);
  const delays = texts.map((text) => /retry: (\d+)\n\n$/.exec(text)?.[1]);
  assertEquals(delays.filter((delay) => delay === undefined).length, 0);
  assert(new Set(delays).size > STREAMS / 2, "the readers come back at different times");
});
