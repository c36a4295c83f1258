/** How the program stops: nobody is cut off, nothing is lost, and it takes less than a second. */

import { assert, assertEquals } from "@std/assert";
import { ChatProcess } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { newFolder } from "./folder.ts";
import { sendGet } from "./raw_stream.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted" ||
  Deno.build.os === "windows";
const READERS = 5000;

/** A post of which only a part was sent. */
class HalfPost implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #rest: string;

  private constructor(connection: Deno.TcpConn, rest: string) {
    this.#connection = connection;
    this.#rest = rest;
  }

  /** Sends all but the message's last character. */
  static async begin({ port }: ChatProcess, message: string): Promise<HalfPost> {
    const body = `message=${message}`;
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const text = "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: " + body.length +
      "\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n" + body.slice(0, -1);
    await connection.write(new TextEncoder().encode(text));
    return new HalfPost(connection, body.slice(-1));
  }

  /** Sends the rest; returns the status of the response. */
  async finish(): Promise<string | undefined> {
    await this.#connection.write(new TextEncoder().encode(this.#rest));
    const response = new Uint8Array(1000);
    const count = await this.#connection.read(response);
    return /^HTTP\/1.1 (\d+)/.exec(new TextDecoder().decode(response.subarray(0, count ?? 0)))?.[1];
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

async function post({ port }: ChatProcess, message: string): Promise<void> {
  const body = new URLSearchParams({ message });
  const response = await fetch(`http://127.0.0.1:${port}/chat`, { method: "POST", body });
  assertEquals(response.status, 201);
  await response.body?.cancel();
}

/** The messages in a log, as a chat that is started with it has them. */
async function messages(flags: string[]): Promise<string[]> {
  await using chat = await ChatProcess.start(flags);
  const headers = { accept: "application/json" };
  const response = await fetch(`http://127.0.0.1:${chat.port}/chat?since=all`, { headers });
  return (await response.json()).map(({ message }: { message: string }) => message);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
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

Deno.test("a post in flight is answered, and one that comes while it is waited for", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const flags = ["--message-log", `sqlite:${folder.path}/chat.db`];
  await using chat = await ChatProcess.start(flags);
  await using reader = new EventReader(await fetch(`http://127.0.0.1:${chat.port}/chat`));
  await reader.nextOf("online");
  using first = await HalfPost.begin(chat, "first");
  // By its response, the one above is being read.
  await post(chat, "before");
  const ended = chat.stop("SIGTERM");
  // The end of the stream: the signal has arrived.
  while (await reader.next());
  using second = await HalfPost.begin(chat, "second");
  await using latecomer = new EventReader(await fetch(`http://127.0.0.1:${chat.port}/chat`));
  for (let event = await latecomer.next(); event; event = await latecomer.next()) {
    assertEquals(Object.keys(event), ["retry"], "a new stream begins");
  }
  assertEquals(await first.finish(), "201");
  assertEquals(await second.finish(), "201");
  assertEquals((await ended).code, 0);
  assertEquals(await messages(flags), ["before", "first", "second"]);
});

Deno.test("a post that never ends is cut off, and the file alone has every message", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const file = `${folder.path}/chat.db`;
  await using chat = await ChatProcess.start(["--message-log", `sqlite:${file}`]);
  using _stalled = await HalfPost.begin(chat, "never");
  await post(chat, "stored");
  const { code, tookMs } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assert(tookMs < 1000, `took ${tookMs} ms`);
  const files = await Array.fromAsync(Deno.readDir(folder.path), ({ name }) => name);
  assertEquals(files, ["chat.db"]);
  assertEquals(await messages(["--message-log", `sqlite:${file}`]), ["stored"]);
});

Deno.test("further signals do no harm", { ignore }, async () => {
  await using folder = await newFolder();
  const flags = ["--message-log", `sqlite:${folder.path}/chat.db`];
  await using chat = await ChatProcess.start(flags);
  using stalled = await HalfPost.begin(chat, "last");
  await post(chat, "before");
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGTERM"] as const) {
    Deno.kill(chat.pid, signal);
  }
  assertEquals(await stalled.finish(), "201");
  assertEquals((await chat.stop("SIGINT")).code, 0);
  assertEquals(await messages(flags), ["before", "last"]);
});

Deno.test("a reader that does not read is cut off", { ignore }, async () => {
  await using chat = await ChatProcess.start();
  using _reader = await sendGet(chat.port, "/chat");
  // More than the kernel and Deno take for it.
  for (let n = 0; n < 600; n++) await post(chat, "👋".repeat(4000));
  const { code, tookMs } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assert(tookMs < 1000, `took ${tookMs} ms`);
});

Deno.test(`${READERS} streams end in under a second, each with a retry`, { ignore }, async () => {
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
