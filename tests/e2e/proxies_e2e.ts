/** One instance of the chat with each of the proxies that docs/operations.md is about in front of it. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { EventSource } from "eventsource";
import { makeCertificate } from "../certificate_files.ts";
import { ChatProcess } from "../chat_process.ts";
import { EventReader } from "../event_reader.ts";
import { newFolder } from "../folder.ts";
import { sendRaw } from "../raw_stream.ts";
import { until } from "../until.ts";
import { APACHE, CADDY, HAPROXY, NGINX, startProxy } from "./proxy.ts";

/** Apache ends only after the next ping to a reader that has left. */
const HEARTBEAT = ["--heartbeat", "1"];

for (const proxy of [NGINX, CADDY, HAPROXY, APACHE]) {
  Deno.test(`${proxy.name} passes the chat on as ${proxy.source} configures it`, async () => {
    await using folder = await newFolder();
    const log = [...HEARTBEAT, "--message-log", `sqlite:${folder.path}/chat.db`];
    let chat = await ChatProcess.start(log);
    const chatPort = chat.port;
    try {
      await using running = await startProxy(proxy, [chatPort]);
      const { port, url } = running;
      const page = await fetch(url);
      assertEquals(page.status, 200);
      assertStringIncludes(await page.text(), "<h1>");

      const source = new EventSource(`${url}/chat`);
      const received: string[] = [];
      source.addEventListener("message", ({ data }) => received.push(JSON.parse(data).message));
      let lives = 0;
      source.addEventListener("online", () => lives++);
      try {
        await until(() => lives > 0);
        const delays: number[] = [];
        for (let n = 0; n < 7; n++) {
          const began = performance.now();
          assertEquals(await post(port, `message ${n}`), 201);
          await until(() => received.length === n + 1);
          delays.push(performance.now() - began);
        }
        const median = delays.toSorted((a, b) => a - b)[3];
        assert(median < 150, `the median message took ${median} ms`);

        // Its error can't be turned into a stream.
        if (proxy === APACHE) return;
        await chat[Symbol.asyncDispose]();
        // What a reader gets while the chat is down. One that waits for it gets its stream later.
        const headers = { accept: "text/event-stream" };
        const meanwhile = fetch(`${url}/chat`, { headers });
        chat = await ChatProcess.start([...log, "--port", `${chatPort}`]);
        const response = await meanwhile;
        assertEquals(response.status, 200);
        await response.body!.cancel();
        const before = lives;
        assertEquals(await post(port, "after the restart"), 201);
        await until(() => lives > before && received.includes("after the restart"));
        assertEquals(received.length, 8);
      } finally {
        source.close();
      }
    } finally {
      await chat[Symbol.asyncDispose]();
    }
  });
}

for (const proxy of [NGINX, CADDY, HAPROXY, APACHE]) {
  Deno.test(`${proxy.name} as ${proxy.source} configures it makes nobody the same machine`, async () => {
    await using chat = await ChatProcess.start(["--metrics", "--password", "open sesame"]);
    await using running = await startProxy(proxy, [chat.port]);
    for (const [path, status] of [["/metrics", 403], ["/healthz", 401]] as const) {
      const direct = await fetch(`http://127.0.0.1:${chat.port}${path}`);
      const passedOn = await fetch(running.url + path);
      assertEquals([direct.status, passedOn.status], [200, status], path);
      await Promise.all([direct.body?.cancel(), passedOn.body?.cancel()]);
    }
  });
}

for (const proxy of [NGINX, CADDY, HAPROXY, APACHE]) {
  Deno.test(`${proxy.name} as ${proxy.source} configures it lets the chat say what is too long`, async () => {
    await using chat = await ChatProcess.start();
    await using running = await startProxy(proxy, [chat.port]);
    const response = await fetch(`${running.url}/chat`, {
      method: "POST",
      body: new URLSearchParams({ message: "x".repeat(100_000) }),
      headers: { origin: running.url },
    });
    assertEquals(response.status, 413);
    assertEquals((await response.json()).status, 413);
  });
}

Deno.test("Apache as deploy/apache.conf configures it takes posts while more than 150 people read", async () => {
  await using chat = await ChatProcess.start(HEARTBEAT);
  await using running = await startProxy(APACHE, [chat.port]);
  const leave = new AbortController();
  const signal = AbortSignal.any([leave.signal, AbortSignal.timeout(20_000)]);
  const streams = await Promise.all(
    Array.from({ length: 151 }, () => fetch(`${running.url}/chat`, { signal })),
  );
  assertEquals(streams.filter(({ status }) => status !== 200), []);
  assertEquals(await post(running.port, "and one who writes"), 201);
  leave.abort();
});

Deno.test({
  name: "HAProxy as deploy/haproxy.cfg configures it is not root, in a folder of its own",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using chat = await ChatProcess.start();
    await using running = await startProxy(HAPROXY, [chat.port]);
    const status = await Deno.readTextFile(`/proc/${running.pid}/status`);
    const [, user] = /^Uid:\s+(\d+)/m.exec(status)!;
    assert(user !== "0");
    assertEquals(await Deno.readLink(`/proc/${running.pid}/root`), "/var/lib/haproxy");
  },
});

Deno.test("HAProxy as deploy/haproxy.cfg configures it waits for headers no longer than it says", async () => {
  await using chat = await ChatProcess.start();
  await using running = await startProxy(HAPROXY, [chat.port]);
  using connection = await sendRaw(running.port, "GET / HTTP/1.1\r\n");
  const bytes = new Uint8Array(100);
  const count = await connection.read(bytes);
  assertMatch(new TextDecoder().decode(bytes.subarray(0, count ?? 0)), /^HTTP\/1.1 408 /);
});

for (const proxy of [NGINX, HAPROXY, APACHE]) {
  Deno.test(`${proxy.name} ends TLS as ${proxy.source} configures it`, async () => {
    await using folder = await newFolder();
    const certificate = await makeCertificate(folder.path, "chat");
    await using chat = await ChatProcess.start([...HEARTBEAT, "--trust-proxy", "127.0.0.1"]);
    await using running = await startProxy(proxy, [chat.port], certificate);
    using client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(certificate.cert)] });
    const url = `https://localhost:${running.port}`;

    const redirect = await fetch(`${running.redirectUrl}/biology`, { redirect: "manual" });
    await redirect.body?.cancel();
    assertEquals(redirect.status, 308);
    assertMatch(redirect.headers.get("location")!, /^https:.*\/biology$/);

    const page = await fetch(url, { client });
    await page.body?.cancel();
    // The chat knows that its visitors come by HTTPS.
    assertMatch(page.headers.get("set-cookie")!, /; Secure/);

    await using reader = new EventReader(await fetch(`${url}/chat`, { client }));
    await reader.nextOf("online");
    const posted = await fetch(`${url}/chat`, {
      method: "POST",
      body: new URLSearchParams({ message: "hi" }),
      headers: { origin: url },
      client,
    });
    await posted.body?.cancel();
    assertEquals(posted.status, 201);
    assertEquals((await reader.nextMessage()).message, "hi");
  });
}

/** A post as the page makes it over plain HTTP, at the address it was reached by. */
async function post(port: number, message: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/chat`, {
    method: "POST",
    body: new URLSearchParams({ message }),
    headers: { origin: `http://127.0.0.1:${port}` },
  });
  await response.body?.cancel();
  return response.status;
}
