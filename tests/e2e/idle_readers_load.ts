/** Readers that take nothing: what they cost, and that they are ended in the end. */

import { assert, assertEquals } from "@std/assert";
import { residentKib } from "../../bench/server.ts";
import { makeCertificate } from "../certificate_files.ts";
import { post, readHistory } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { EventReader } from "../event_reader.ts";
import { newFolder } from "../folder.ts";
import { openUnread, STREAMS_PER_CONNECTION } from "../http2_connection.ts";
import { RawResponse, RawStream, sendGet } from "../raw_stream.ts";

// What a connection takes before anything waits in the server is known of Linux: less than 3 MB.
const ignore = Deno.build.os !== "linux" ||
  (await Deno.permissions.query({ name: "run" })).state !== "granted";

/** A message of 16 KB. */
const LONG_MESSAGE = "👋".repeat(4000);

/** Tests may connect to this address only. */
function addressOf({ port }: ChatProcess): string {
  return `http://127.0.0.1:${port}`;
}

async function postLongMessages(url: string, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => post(url, LONG_MESSAGE)));
}

const STALLED = 100;
/** 100 MB are sent to every reader, this many messages at once. */
const MESSAGES = 6250;
const AT_ONCE = 50;
/** As many as it takes until memory grows no more with them. */
const WARM_UP_MESSAGES = 2000;
/** What waits for a reader in its stream, a chunk that was begun, and what Deno takes beyond them. */
const MAX_KIB_EACH = 64 + 256 + 64;
/** By how much memory varies in any case: garbage that waits to be collected. */
const TOLERANCE_KIB = 16 * 1024;

Deno.test(`${STALLED} live readers that take nothing cost at most ${MAX_KIB_EACH} KiB each`, {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const log = `sqlite:${folder.path}/chat.db`;
  // With this heartbeat they are not ended within the test.
  await using chat = await ChatProcess.start(["--message-log", log, "--heartbeat", "600"]);
  await using reader = new EventReader(await fetch(`${addressOf(chat)}/chat`));
  /** Sends messages to all, and returns the most memory that the server had meanwhile. */
  const sendLongMessages = async (count: number) => {
    let max = 0;
    for (let sent = 0; sent < count; sent += AT_ONCE) {
      await postLongMessages(addressOf(chat), AT_ONCE);
      for (let received = 0; received < AT_ONCE; received++) await reader.nextMessage();
      max = Math.max(max, (await residentKib(chat.pid))!);
    }
    return max;
  };
  const before = await sendLongMessages(WARM_UP_MESSAGES);
  using stalled = new DisposableStack();
  for (let n = 0; n < STALLED; n++) {
    const stream = stalled.use(await RawStream.open(chat.port));
    await stream.readReplay();
  }
  const max = await sendLongMessages(MESSAGES);
  assert(max - before <= STALLED * MAX_KIB_EACH + TOLERANCE_KIB, `${max - before} KiB in all`);
});

Deno.test(
  `${STREAMS_PER_CONNECTION} streams of an HTTP/2 connection that is not read cost no more, and are ended`,
  { ignore },
  async () => {
    await using folder = await newFolder();
    const { cert, key } = await makeCertificate(folder.path, "chat");
    const certificate = await Deno.readTextFile(cert);
    await using chat = await ChatProcess.start([
      ...["--tls-cert", cert, "--tls-key", key],
      ...["--heartbeat", "2"],
    ]);
    const url = `https://127.0.0.1:${chat.port}/chat`;
    using client = Deno.createHttpClient({ caCerts: [certificate] });
    const flood = async () => {
      for (let n = 0; n < 300; n++) {
        const body = new URLSearchParams({ message: LONG_MESSAGE });
        const response = await fetch(url, { method: "POST", body, client });
        await response.body?.cancel();
        assertEquals(response.status, 201);
      }
      return (await residentKib(chat.pid))!;
    };
    /** Waits until there are that many, besides the one who asks. */
    const readersAre = async (count: number) => {
      await using watcher = new EventReader(await fetch(`${url}?since=none`, { client }));
      while (await watcher.nextOf("online") !== String(count + 1));
    };
    const before = await flood();
    using _unread = await openUnread(chat.port, certificate);
    await readersAre(STREAMS_PER_CONNECTION);
    const after = await flood();
    const max = STREAMS_PER_CONNECTION * MAX_KIB_EACH + TOLERANCE_KIB;
    assert(after - before <= max, `${after - before} KiB in all`);
    await readersAre(0);
  },
);

Deno.test("readers that take nothing for two heartbeats are cut off", { ignore }, async () => {
  await using chat = await ChatProcess.start(["--heartbeat", "1"]);
  const url = addressOf(chat);
  await postLongMessages(url, 300);
  using live = await RawStream.open(chat.port);
  await live.readReplay();
  using replayed = await RawStream.open(chat.port, "/chat?since=all");
  using history = await RawResponse.get(chat.port, "/chat?since=all", {
    accept: "application/json",
  });
  // More than the connection of a live reader takes.
  await postLongMessages(url, 700);
  await using watcher = new EventReader(await fetch(`${url}/chat?since=none`));
  // Two for the readers, one until the server looks at them, and one to spare.
  for (let pings = 0; pings < 4; pings++) await watcher.nextOf("ping");

  const all = (await readHistory(url)).map(({ id }) => id);
  for (const [stream, ids] of [[live, all.slice(300)], [replayed, all]] as const) {
    assert(!await stream.readTo(all.at(-1)!), "the stream goes on");
    assertEquals(stream.response.end, "broken");
    assertEquals(stream.ids, ids.slice(0, stream.ids.length));
  }
  let text = "";
  for (let part = await history.read(); part !== undefined; part = await history.read()) {
    text += part;
  }
  assertEquals(history.end, "broken");
  const received: { id: string }[] = JSON.parse(`${text.slice(0, text.lastIndexOf(",\n"))}]`);
  assertEquals(received.map(({ id }) => id), all.slice(0, received.length));
});

/**
 * What many responses that nobody reads may cost together. In some runs Deno doubles the
 * write buffers of all connections to 128 KiB, which makes up 75 MiB of the first figure.
 */
const UNREAD: [kind: string, count: number, accept: string, maxMib: number][] = [
  ["streams, each from another message on,", 600, "text/event-stream", 130],
  ["histories, each from another message on,", 300, "application/json", 80],
];

for (const [kind, count, accept, maxMib] of UNREAD) {
  Deno.test(`${count} ${kind} that nobody reads cost at most ${maxMib} MiB`, {
    ignore,
  }, async () => {
    await using chat = await ChatProcess.start(["--heartbeat", "600"]);
    const page = async () => await (await fetch(addressOf(chat))).text();
    for (let n = 0; n < 16; n++) await postLongMessages(addressOf(chat), 50);
    const ids = (await readHistory(addressOf(chat))).map(({ id }) => id);
    const before = (await residentKib(chat.pid))!;
    using unread = new DisposableStack();
    for (const id of ids.slice(0, count)) {
      const connection = await sendGet(chat.port, `/chat?since=${id}`, { accept });
      unread.defer(() => connection.close());
    }
    let max = before;
    for (let round = 0; round < 300; round++) {
      await page();
      max = Math.max(max, (await residentKib(chat.pid))!);
    }
    assert(max - before <= maxMib * 1024, `${Math.round((max - before) / 1024)} MiB`);
  });
}
