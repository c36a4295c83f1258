/** Readers that do not keep up cost what `--max-buffer` says, and nobody else anything. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ChatProcess } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { newFolder } from "./folder.ts";
import { openStream } from "./raw_stream.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted";

const STALLED = 100;
/** Messages of 16 KB: 100 MB go out to every reader. */
const MESSAGES = 6250;
const MESSAGE = "👋".repeat(4000);
/** What a connection holds beside the buffer: in Deno, and the pages that back it. */
const OVERHEAD_BYTES = 512 * 1024;

async function residentBytes(pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("ps", { args: ["-o", "rss=", "-p", `${pid}`] })
    .output();
  return Number(new TextDecoder().decode(stdout)) * 1024;
}

Deno.test(`${STALLED} readers that stall cost at most their buffers`, {
  ignore: ignore || Deno.build.os === "windows",
}, async () => {
  await using folder = await newFolder();
  const log = `sqlite:${folder.path}/chat.db`;
  await using chat = await ChatProcess.start(["--message-log", log]);
  const url = `http://127.0.0.1:${chat.port}/chat`;
  const stalled = await Promise.all(Array.from({ length: STALLED }, () => openStream(chat.port)));
  // These read a byte now and then, which is no better.
  const crawling = stalled.slice(0, 10);
  await using reader = new EventReader(await fetch(url));
  await reader.nextOf("online");
  const before = await residentBytes(chat.pid);
  let most = before;

  const ids: string[] = [];
  for (let n = 0; n < MESSAGES; n++) {
    const body = new URLSearchParams({ message: MESSAGE });
    ids.push((await (await fetch(url, { method: "POST", body })).json()).id);
    assertEquals((await reader.nextMessage()).id, ids[n]);
    if (n % 50 > 0) continue;
    most = Math.max(most, await residentBytes(chat.pid));
    for (const connection of crawling) await connection.read(new Uint8Array(1)).catch(() => {});
  }
  const cost = (most - before) / STALLED;
  assert(cost <= 1024 * 1024 + OVERHEAD_BYTES, `${Math.round(cost)} bytes for each stalled reader`);

  // One that goes on reading finds its stream cut, comes back with its cursor and misses nothing.
  const text = await new Response(stalled[50].readable).text();
  assert(!text.endsWith("0\r\n\r\n"), "the stream was ended in order, behind all that waited");
  for (const connection of stalled) {
    if (connection !== stalled[50]) connection.close();
  }
  const headers = { "last-event-id": ids[1000] };
  await using again = new EventReader(await fetch(url, { headers }));
  for (const id of ids.slice(1001, 1200)) assertEquals((await again.nextMessage()).id, id);
  const { output } = await chat.stop("SIGTERM");
  assertEquals(output.match(/Slow reader/g)?.length, STALLED);
  assertStringIncludes(output, "the stream of 127.0.0.1 was ended with 1 MiB waiting");
});
