/** The program as a user starts and stops it. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ChatProcess, runToEnd } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { newFolder } from "./folder.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted";
const READERS = 5000;

Deno.test("the first line printed says where to go", { ignore }, async () => {
  await using chat = await ChatProcess.start();
  assertMatch(chat.firstLine, /^The chat is at http:\/\/localhost:\d+$/);
  const response = await fetch(`http://127.0.0.1:${chat.port}/`);
  assertStringIncludes(await response.text(), "<h1>");
});

Deno.test("--help prints the settings and --version the version", { ignore }, async () => {
  const help = await runToEnd(["--help"], { env: { CHAT_KEEP: "many" } });
  assertEquals([help.code, help.stderr], [0, ""]);
  assertStringIncludes(help.stdout, "--port N");
  const version = await runToEnd(["--version"]);
  assertEquals([version.code, version.stderr], [0, ""]);
  assertMatch(version.stdout, /^\d+\.\d+\.\d+\n$/);
});

Deno.test("a start that can't be is one clear line", { ignore }, async () => {
  await using chat = await ChatProcess.start();
  const cases: [args: string[], env: Record<string, string>, line: string][] = [
    [["--prot", "1"], {}, "Cannot start: unknown flag --prot; --help lists the flags"],
    [
      [],
      { PORT: "http" },
      'Cannot start: PORT must be a whole number from 0 to 65535, received "http"',
    ],
    [["--port", String(chat.port)], {}, `Cannot start: port ${chat.port} is in use`],
    [
      ["--hostname", "192.0.2.1", "--port", "0"],
      {},
      'Cannot start: this machine has no address "192.0.2.1"',
    ],
    [
      ["--hostname", "no.such.invalid"],
      {},
      'Cannot start: this machine has no address "no.such.invalid"',
    ],
  ];
  for (const [args, env, line] of cases) {
    const ended = await runToEnd(args, { env });
    assertEquals(ended.code, 1);
    assertEquals(ended.stdout, "");
    assert(ended.stderr.startsWith(line), ended.stderr);
    assertEquals(ended.stderr.split("\n").length, 2);
  }
});

Deno.test("a variable that no setting has is named, and ignored", { ignore }, async () => {
  // As Kubernetes has it for a service named chat.
  const env = { CHAT_PORT: "tcp://10.0.0.1:80", CHAT_KEEPS: "5" };
  await using chat = await ChatProcess.start([], { env });
  const { output } = await chat.stop("SIGTERM");
  const lines = output.split("\n").filter((line) => line.startsWith("Ignored"));
  assertEquals(lines.length, 1, output);
  for (const name of Object.keys(env)) assertStringIncludes(lines[0], name);
});

Deno.test("a Deno that is too old says which one is needed", { ignore }, async () => {
  await using folder = await newFolder();
  const old = `${folder.path}/old.ts`;
  for (const version of ["1.46.3", "2.8.3"]) {
    const text = `Object.defineProperty(Deno, "version", { value: { deno: "${version}" } });`;
    await Deno.writeTextFile(old, text);
    const ended = await runToEnd(["--port", "0"], { denoFlags: [`--preload=${old}`] });
    assertEquals(ended.code, 1);
    assertStringIncludes(
      ended.stderr,
      `Cannot start: this is Deno ${version}, and the chat needs 2.9`,
    );
    assertEquals(ended.stderr.split("\n").length, 2);
  }
});

Deno.test("--verbose logs requests and never what was said", { ignore }, async () => {
  await using chat = await ChatProcess.start(["--verbose"]);
  const url = `http://127.0.0.1:${chat.port}/chat`;
  const body = new URLSearchParams({ nickname: "SECRETNAME", message: "SECRETTEXT" });
  await (await fetch(`${url}?message=SECRETQUERY`, { method: "POST", body })).body?.cancel();
  const { code, output } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assertMatch(output, /201 POST \/chat \d+\.\d ms 127\.0\.0\.1/);
  assert(!output.includes("SECRET"), output);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`${signal} ends a stream with a retry and the process with 0`, { ignore }, async () => {
    await using chat = await ChatProcess.start();
    await using reader = new EventReader(await fetch(`http://127.0.0.1:${chat.port}/chat`));
    await reader.nextOf("online");
    const { code, tookMs, output } = await chat.stop(signal);
    assertEquals(code, 0);
    assert(tookMs < 1000, `took ${tookMs} ms`);
    assertEquals(Object.keys((await reader.next())!), ["retry"]);
    assertEquals(await reader.next(), undefined);
    assertEquals(output.split("\n").length, 4, output);
  });
}

Deno.test(
  "SIGTERM lets a post in flight be answered, and keeps its message",
  { ignore },
  async () => {
    await using folder = await newFolder();
    const flags = ["--message-log", `sqlite:${folder.path}/chat.db`];
    await using chat = await ChatProcess.start(flags);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: chat.port });
    const send = (text: string) => connection.write(new TextEncoder().encode(text));
    await send(
      "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
        "Content-Length: 10\r\n\r\nmessage",
    );
    await (await fetch(`http://127.0.0.1:${chat.port}/`)).body?.cancel();
    const ended = chat.stop("SIGTERM");
    await send("=hi");
    const answer = await new Response(connection.readable).text();
    assertStringIncludes(answer, "HTTP/1.1 201");
    assertEquals((await ended).code, 0);
    await using again = await ChatProcess.start(flags);
    await using reader = new EventReader(await fetch(`http://127.0.0.1:${again.port}/chat`));
    assertEquals((await reader.nextMessage()).message, "hi");
  },
);

Deno.test(
  "SIGTERM cuts readers that do not read and posts that do not go on",
  { ignore },
  async () => {
    await using chat = await ChatProcess.start();
    const connections = [];
    for (const request of ["GET /chat?since=all", "POST /chat"]) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port: chat.port });
      const head = `${request} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
      const rest = request.startsWith("POST") ? "Content-Length: 10\r\n\r\n{" : "\r\n";
      await connection.write(new TextEncoder().encode(head + rest));
      connections.push(connection);
    }
    // More than the kernel and Deno take for a reader that does not read.
    const body = new URLSearchParams({ message: "👋".repeat(4000) });
    for (let n = 0; n < 600; n++) {
      const response = await fetch(`http://127.0.0.1:${chat.port}/chat`, { method: "POST", body });
      await response.body?.cancel();
    }
    const { code, tookMs } = await chat.stop("SIGTERM");
    assertEquals(code, 0);
    assert(tookMs < 1000, `took ${tookMs} ms`);
    for (const connection of connections) connection.close();
  },
);

Deno.test(`SIGTERM ends ${READERS} streams in under a second, each with a retry`, {
  ignore,
}, async () => {
  await using chat = await ChatProcess.start();
  const request = new TextEncoder().encode("GET /chat HTTP/1.1\r\nHost: x\r\n\r\n");
  const streams = await Promise.all(Array.from({ length: READERS }, async () => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: chat.port });
    await connection.write(request);
    const stream = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
    await stream.read();
    return stream;
  }));
  const ended = chat.stop("SIGTERM");
  const delays = await Promise.all(streams.map(async (stream) => {
    let text = "";
    for (let it = await stream.read(); !it.done; it = await stream.read()) text += it.value;
    return text.match(/retry: (\d+)\n\n\r\n0\r\n\r\n$/)?.[1];
  }));
  const { code, tookMs } = await ended;
  assertEquals(code, 0);
  assert(tookMs < 1000, `took ${tookMs} ms`);
  assertEquals(delays.filter((delay) => delay === undefined).length, 0);
  assert(new Set(delays).size > 2000, "the readers come back at different times");
});

Deno.test("a thousand readers that arrive at once connect without a retry second", {
  ignore,
}, async () => {
  await using chat = await ChatProcess.start();
  const began = performance.now();
  const connections = await Promise.all(
    Array.from({ length: 1000 }, () => Deno.connect({ hostname: "127.0.0.1", port: chat.port })),
  );
  const tookMs = performance.now() - began;
  for (const connection of connections) connection.close();
  assert(tookMs < 900, `took ${tookMs} ms: a connection waited for its SYN to be sent again`);
});
