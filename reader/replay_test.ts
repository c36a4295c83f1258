import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { LogPage, MessageLog } from "../message_log/message_log.ts";
import { openMessageLog } from "../message_log/open.ts";
import { Replay } from "./replay.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("Replay.read() reads a page once, and again when the log has grown", async () => {
  await using log = openMessageLog("memory:", { keep: 100 });
  const replay = new Replay(log);
  await log.append({ nickname: "ann", message: "one" });
  const page = await replay.read({ latest: 50 });
  assert(replay.read({ latest: 50 }) === page);
  await log.append({ nickname: "ann", message: "two" });
  replay.grown();
  assertStringIncludes(text((await replay.read({ latest: 50 })).bytes), '"two"');
});

Deno.test("Replay.read() keeps no page that was being read when the log grew", async () => {
  await using log = openMessageLog("memory:", { keep: 100 });
  const { promise: isOpen, resolve: open } = Promise.withResolvers<void>();
  const slow: Pick<MessageLog, "latest" | "since"> = {
    since: (cursor) => log.since(cursor),
    latest: async (count) => {
      const page = await log.latest(count);
      await isOpen;
      return page;
    },
  };
  const replay = new Replay(slow);
  const reading = replay.read({ latest: 50 });
  assert(replay.read({ latest: 50 }) === reading);
  await log.append({ nickname: "ann", message: "meanwhile" });
  replay.grown();
  open();
  await reading;
  assertStringIncludes(text((await replay.read({ latest: 50 })).bytes), '"meanwhile"');
});

Deno.test("Replay.read() keeps full pages, and no more of them than 16 MiB", async () => {
  const reads: (string | undefined)[] = [];
  const entry = { id: "1-1", json: JSON.stringify({ message: "x".repeat(5 * 1024 * 1024) }) };
  const page: LogPage = { entries: [entry], missed: 0, cursor: entry.id, more: true };
  const replay = new Replay({
    since: (cursor) => {
      reads.push(cursor);
      return Promise.resolve(page);
    },
    latest: () => Promise.resolve(page),
  });
  for (const since of ["1-1", "1-2", "1-3", "1-1", "1-4", "1-4", "1-1"]) {
    await replay.read({ since });
    replay.grown();
  }
  assertEquals(reads, ["1-1", "1-2", "1-3", "1-4", "1-1"]);
});
