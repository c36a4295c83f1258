/** What authors notice of a backup of a million messages while the chat is busy. It prints the figures. */

import { assert, assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import type { LoadOrder } from "../../bench/load.ts";
import { LoadProcess } from "../../bench/load_process.ts";
import { SqliteStore } from "../../message_log/sqlite_store.ts";
import { runBackup } from "../backup_process.ts";
import { ChatProcess } from "../chat_process.ts";
import { newFolder } from "../folder.ts";

const MESSAGES = 1_000_000;
/** An honest author posts this often. */
const PAUSE_MS = 10;
const ALONE_MS = 10_000;
/** One after the other, so that there are posts enough to tell the slowest hundredth. */
const BACKUPS = 3;
/** Goes on until everything has been measured. */
const LOAD: Omit<LoadOrder, "port"> = {
  paths: ["/chat"],
  readers: 100,
  publishers: 10,
  messages: 200 * 120,
  rate: 200,
  size: 100,
  seconds: 120,
};
const MAX_RATIO = 2;

/** Writes a log of a million messages, much faster than authors would. */
async function fill(path: string): Promise<void> {
  {
    await using store = SqliteStore.open(path, { keep: MESSAGES });
    await using log = store.openLog("");
    await log.append({ nickname: "ann", message: "the first" });
  }
  using db = new DatabaseSync(path);
  db.exec(`
    INSERT INTO messages (room, seq, ms, key, json, address)
    WITH RECURSIVE numbers (seq) AS (
      SELECT 2 UNION ALL SELECT seq + 1 FROM numbers WHERE seq < ${MESSAGES}
    )
    SELECT room, numbers.seq, ms, hex(randomblob(16)),
      json_set(json, '$.id', ms || '-' || numbers.seq, '$.message', 'message ' || numbers.seq),
      hex(randomblob(11))
    FROM numbers, messages WHERE messages.seq = 1
  `);
}

/** Posts until something is over; returns the milliseconds that the slowest hundredth took. */
async function measure(url: string, isOver: () => boolean): Promise<number> {
  const took: number[] = [];
  while (!isOver()) {
    const start = performance.now();
    const response = await fetch(`${url}/chat`, {
      method: "POST",
      body: new URLSearchParams({ nickname: "ann", message: "hello" }),
    });
    await response.body?.cancel();
    took.push(performance.now() - start);
    assertEquals(response.status, 201);
    await delay(PAUSE_MS);
  }
  return took.toSorted((a, b) => a - b)[Math.floor(took.length * 0.99)];
}

Deno.test("a backup of a million messages delays no author much", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  await fill(path);
  const flags = ["--message-log", `sqlite:${path}`, "--keep", "10000000"];
  await using chat = await ChatProcess.start(flags);
  await using load = new LoadProcess(undefined);
  await load.send({ ...LOAD, port: chat.port });
  await load.until("connected");
  await load.send("go");

  const end = performance.now() + ALONE_MS;
  const alone = await measure(chat.numericUrl, () => performance.now() > end);
  let isOver = false;
  const backups = (async () => {
    const lines: string[] = [];
    for (let n = 0; n < BACKUPS; n++) {
      const { code, stdout, stderr } = await runBackup([`${folder.path}/${n}.db`], {
        env: { CHAT_MESSAGE_LOG: `sqlite:${path}` },
      });
      assertEquals([code, stderr], [0, ""]);
      lines.push(stdout.replace(/ to .* in/, " in").trim());
    }
    return lines;
  })().finally(() => isOver = true);
  const during = await measure(chat.numericUrl, () => isOver);
  for (const line of await backups) console.log(line);
  console.log(
    `p99 of an author's posts alone: ${alone.toFixed(1)} ms; during backups: ${
      during.toFixed(1)
    } ms`,
  );
  assert(during <= MAX_RATIO * alone);
});
