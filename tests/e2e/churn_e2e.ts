/**
 * Readers that come and go by the thousand leave nothing behind, and readers that
 * vanish without a word are found.
 *
 * CHURN_SECONDS=60 makes the first test as long as it says; 10 is enough to see
 * a leak of a hundred bytes a reader.
 */

import { assert, assertEquals } from "@std/assert";
import { residentKib } from "../bench/server.ts";
import { ChatProcess } from "../chat_process.ts";
import { EventReader } from "../event_reader.ts";

const CHURN_SECONDS = Number(Deno.env.get("CHURN_SECONDS") ?? 10);
/** As long as memory still grows because code is compiled and heaps find their size. */
const WARM_UP_SECONDS = 5;
const VISITORS_AT_ONCE = 32;
const LEAST_JOINS_A_SECOND = 500;
/** What the resident memory may differ by: a collection of garbage that has not come yet. */
const TOLERANCE_KIB = 24 * 1024;

const encoder = new TextEncoder();
const REQUEST = encoder.encode(
  "GET /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n",
);

/** Visitors that come and go for a while; resolves with how many came. */
async function churn(port: number, seconds: number): Promise<number> {
  const deadline = performance.now() + seconds * 1000;
  let joins = 0;
  const visit = async () => {
    const buffer = new Uint8Array(4096);
    while (performance.now() < deadline) {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(REQUEST);
      // Every third hangs up before its stream has begun.
      if (joins++ % 3 > 0) await connection.read(buffer);
    }
  };
  await Promise.all(Array.from({ length: VISITORS_AT_ONCE }, visit));
  return joins;
}

/** Reads `online` events until one says that many, for ten seconds at most. */
async function untilOnline(watcher: EventReader, readers: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  let online;
  do online = await watcher.nextOf("online"); while (
    online !== String(readers) && performance.now() < deadline
  );
  assertEquals(online, String(readers));
}

function openFiles(pid: number): number {
  return Array.from(Deno.readDirSync(`/proc/${pid}/fd`)).length;
}

Deno.test("thousands of joins and leaves leave the server as it was", {
  ignore: Deno.build.os !== "linux",
}, async (t) => {
  await using chat = await ChatProcess.start();
  await using watcher = new EventReader(await fetch(`${chat.url}/chat`));
  await churn(chat.port, WARM_UP_SECONDS);
  await untilOnline(watcher, 1);
  const files = openFiles(chat.pid);
  const before = await residentKib(chat.pid);

  const joins = await churn(chat.port, CHURN_SECONDS);
  await untilOnline(watcher, 1);
  const after = await residentKib(chat.pid);
  const figures = `${joins} joins in ${CHURN_SECONDS} s; resident ${before} KiB, then ${after} KiB`;
  await t.step(figures, () => {
    assert(joins / CHURN_SECONDS > LEAST_JOINS_A_SECOND);
    assert(after! - before! < TOLERANCE_KIB);
    assert(openFiles(chat.pid) <= files);
  });
});
