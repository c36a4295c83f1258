/** How the program stops: nobody is cut off, nothing is lost, and it takes less than a second. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { post, readTexts } from "./chat_client.ts";
import { ChatProcess } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { newFolder } from "./folder.ts";
import { HalfPost } from "./half_post.ts";
import { sendGet } from "./raw_stream.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted" ||
  Deno.build.os === "windows";
const READERS = 3000;

/** The messages in a log, as a chat that is started with it has them. */
async function messages(flags: string[]): Promise<string[]> {
  await using chat = await ChatProcess.start(flags);
  return await readTexts(chat.numericUrl);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.test(`${signal} ends a stream with a retry and the process with 0`, { ignore }, async () => {
    await using chat = await ChatProcess.start();
    await using reader = new EventReader(await fetch(`${chat.numericUrl}/chat`));
    await reader.nextOf("online");
    const { code, tookMs, output } = await chat.stop(signal);
    assertEquals(code, 0);
    assert(tookMs < 1000, `took ${tookMs} ms`);
    assertEquals(Object.keys((await reader.next())!), ["retry"]);
    assertEquals(await reader.next(), undefined);
    assertMatch(output, /^(?:.+\n){4}[\d:]{8} Stopped\.\n$/);
  });
}

Deno.test("a post in flight is answered, and one that comes while it is waited for", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const flags = ["--message-log", `sqlite:${folder.path}/chat.db`];
  await using chat = await ChatProcess.start(flags);
  await using reader = new EventReader(await fetch(`${chat.numericUrl}/chat`));
  await reader.nextOf("online");
  using first = await HalfPost.begin(chat.port, "first");
  // By its response, the one above is being read.
  await post(chat.numericUrl, "before");
  const ended = chat.stop("SIGTERM");
  // The end of the stream: the signal has arrived.
  while (await reader.next());
  using second = await HalfPost.begin(chat.port, "second");
  await using latecomer = new EventReader(await fetch(`${chat.numericUrl}/chat`));
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
  using _stalled = await HalfPost.begin(chat.port, "never");
  await post(chat.numericUrl, "stored");
  const { code, tookMs } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assert(tookMs < 1000, `took ${tookMs} ms`);
  const files = await Array.fromAsync(Deno.readDir(folder.path), ({ name }) => name);
  assertEquals(files.sort(), ["chat.db", "chat.db-lock"]);
  assertEquals(await messages(["--message-log", `sqlite:${file}`]), ["stored"]);
});

Deno.test("further signals do no harm", { ignore }, async () => {
  await using folder = await newFolder();
  const flags = ["--message-log", `sqlite:${folder.path}/chat.db`];
  await using chat = await ChatProcess.start(flags);
  using stalled = await HalfPost.begin(chat.port, "last");
  await post(chat.numericUrl, "before");
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGTERM"] as const) {
    Deno.kill(chat.pid, signal);
  }
  assertEquals(await stalled.finish(), "201");
  assertEquals((await chat.stop("SIGINT")).code, 0);
  assertEquals(await messages(flags), ["before", "last"]);
});

Deno.test("a reader that does not read is cut off", { ignore }, async () => {
  await using chat = await ChatProcess.start();
  using _reader = await sendGet(chat.port, "/chat?since=none");
  // More than the kernel and Deno take for it.
  for (let n = 0; n < 600; n++) await post(chat.numericUrl, "👋".repeat(4000));
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
