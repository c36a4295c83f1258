/** What rooms cost: those that are open, those that were left, and those that wait in the file. */

import { assert } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { residentKib } from "../../bench/server.ts";
import { SqliteStore } from "../../message_log/sqlite_store.ts";
import { ChatProcess } from "../chat_process.ts";
import { newFolder } from "../folder.ts";
import { RawStream } from "../raw_stream.ts";

const ignore = Deno.build.os !== "linux";

const READERS = 2000;
const MAX_KIB_EACH = 10;

Deno.test(`an open room takes at most ${MAX_KIB_EACH} KiB beyond its reader`, {
  ignore,
}, async () => {
  /** What the server takes once all read, each where it is told to. */
  const memoryOf = async (pathOf: (reader: number) => string) => {
    await using chat = await ChatProcess.start(["--heartbeat", "600"]);
    using readers = new DisposableStack();
    for (let n = 0; n < READERS; n++) {
      readers.use(await RawStream.open(chat.port, pathOf(n)));
    }
    return (await residentKib(chat.pid))!;
  };
  const together = await memoryOf(() => "/room/chat");
  const apart = await memoryOf((n) => `/room${n}/chat`);
  const each = (apart - together) / READERS;
  console.log(`${each.toFixed(1)} KiB a room`);
  assert(each <= MAX_KIB_EACH, `${each} KiB`);
});

const LEFT = 10_000;
/** By how much memory varies in any case: garbage that waits to be collected. */
const TOLERANCE_KIB = 8 * 1024;

Deno.test("rooms that were left take no memory", { ignore }, async () => {
  await using chat = await ChatProcess.start();
  const visit = async (from: number, count: number) => {
    for (let n = from; n < from + count; n++) {
      const response = await fetch(`${chat.url}/room${n}/chat`, {
        headers: { accept: "application/json" },
      });
      await response.body?.cancel();
    }
    return (await residentKib(chat.pid))!;
  };
  const before = await visit(0, LEFT);
  const after = await visit(LEFT, LEFT);
  console.log(`${((after - before) / 1024).toFixed(1)} MiB for ${LEFT} rooms`);
  assert(after - before < TOLERANCE_KIB, `${after - before} KiB`);
});

const KEPT_ROOMS = 100;
const MESSAGES = 10_000;
const MAX_START_MS = 300;

Deno.test(`${KEPT_ROOMS} rooms of ${MESSAGES} messages delay the start by at most ${MAX_START_MS} ms`, async () => {
  await using folder = await newFolder();
  const [empty, full] = ["empty", "full"].map((name) => `${folder.path}/${name}.db`);
  for (const path of [empty, full]) {
    await using _store = SqliteStore.open(path, { keep: MESSAGES });
  }
  using file = new DatabaseSync(full);
  file.exec(`
    WITH RECURSIVE room (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM room WHERE n <= ${KEPT_ROOMS})
    INSERT INTO rooms SELECT n, 'room' || n, 1000, 0, 1000 FROM room;
    WITH RECURSIVE message (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM message WHERE n < ${MESSAGES})
    INSERT INTO messages
      SELECT id, n, 2000 + n, 'key' || n, '{"nickname":"ann","message":"' || hex(randomblob(50)) || '"}'
      FROM rooms, message WHERE name <> '';
  `);
  file.close();
  const startMs = async (path: string) => {
    const began = performance.now();
    await using _chat = await ChatProcess.start(["--message-log", `sqlite:${path}`]);
    return performance.now() - began;
  };
  const delays: number[] = [];
  for (let round = 0; round < 3; round++) delays.push(await startMs(full) - await startMs(empty));
  const delay = delays.toSorted((a, b) => a - b)[1];
  console.log(`${delay.toFixed(0)} ms`);
  assert(delay <= MAX_START_MS, `${delays} ms`);
});
