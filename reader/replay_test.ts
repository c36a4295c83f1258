import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Batch, LogEntry, LogPage, MessageLog, Range } from "../message_log/message_log.ts";
import { openLog } from "../tests/open_log.ts";
import { Replay, toFrames, toJson } from "./replay.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const ENTRY: LogEntry = { id: "9-9", json: "{}" };

/** A log of pages that a test makes up, and how it grows. */
function fakeLog(read: (range: Range) => LogPage) {
  const listeners = new Set<(batch: Batch) => void>();
  const log: Pick<MessageLog, "read" | "subscribe"> = {
    read: (range) => Promise.resolve(read(range)),
    subscribe: (onBatch) => {
      listeners.add(onBatch);
      return { [Symbol.dispose]: () => void listeners.delete(onBatch) };
    },
  };
  return {
    log,
    listeners,
    grow: (batch: Batch = { entries: [ENTRY], missed: 0 }) =>
      listeners.forEach((listener) => listener(batch)),
  };
}

Deno.test("Replay.read() reads a page once, and again when the log has grown", async () => {
  await using log = await openLog("memory:", { keep: 100 });
  using replay = new Replay(log, toFrames);
  await log.append({ nickname: "ann", message: "one" });
  const page = await replay.read({ latest: 50 });
  assert(replay.read({ latest: 50 }) === page);
  await log.append({ nickname: "ann", message: "two" });
  assertStringIncludes(text((await replay.read({ latest: 50 })).bytes), '"two"');
});

Deno.test("Replay.read() keeps no page that was being read when the log grew", async () => {
  await using log = await openLog("memory:", { keep: 100 });
  const { promise: isOpen, resolve: open } = Promise.withResolvers<void>();
  using replay = new Replay({
    subscribe: (onBatch) => log.subscribe(onBatch),
    read: async (range) => {
      const page = await log.read(range);
      await isOpen;
      return page;
    },
  }, toFrames);
  const reading = replay.read({ latest: 50 });
  assert(replay.read({ latest: 50 }) === reading);
  await log.append({ nickname: "ann", message: "meanwhile" });
  open();
  await reading;
  assertStringIncludes(text((await replay.read({ latest: 50 })).bytes), '"meanwhile"');
});

Deno.test("Replay.read() keeps full pages, and no more of them than 16 MiB", async () => {
  const reads: unknown[] = [];
  const entry = { id: "1-1", json: JSON.stringify({ message: "x".repeat(5 * 1024 * 1024) }) };
  const { log, grow } = fakeLog((range) => {
    reads.push(range);
    return { entries: [entry], missed: 0, cursor: entry.id, end: "9-9", hasOlder: false };
  });
  using replay = new Replay(log, toFrames);
  for (const since of ["1-1", "1-2", "1-3", "1-1", "1-4", "1-4", "1-1"]) {
    await replay.read({ since });
    grow();
  }
  assertEquals(reads, ["1-1", "1-2", "1-3", "1-4", "1-1"].map((since) => ({ since })));
});

Deno.test("Replay.read() keeps no page, full ones neither, once the log has lost messages", async () => {
  for (const missed of [1, null]) {
    let reads = 0;
    const { log, grow } = fakeLog(() => {
      reads++;
      return { entries: [ENTRY], missed: 0, cursor: ENTRY.id, end: "9-10", hasOlder: false };
    });
    using replay = new Replay(log, toFrames);
    const start = { since: "9-8" };
    await replay.read(start);
    grow({ entries: [ENTRY], missed });
    await replay.read(start);
    await replay.read(start);
    assertEquals(reads, 2);
  }
});

Deno.test("Replay.read() gives nothing that was removed, whatever it has kept or is reading", async () => {
  await using log = await openLog("memory:", { keep: 1000 });
  const posts = Array.from(
    { length: 200 },
    (_, n) => log.append({ nickname: "ann", message: `text ${n}.` }),
  );
  const [first, second] = (await Promise.all(posts)).map(({ entry }) => entry.id);
  const since = { since: first };
  const cases = [[toFrames, "text 1.", { id: second }], [toJson, "text 2.", "all"]] as const;
  for (const [encode, rude, removal] of cases) {
    using replay = new Replay(log, encode);
    assertStringIncludes(text((await replay.read(since)).bytes), rude);
    const { promise: isOpen, resolve: open } = Promise.withResolvers<void>();
    using slow = new Replay({
      subscribe: (onBatch) => log.subscribe(onBatch),
      read: async (range) => {
        const page = await log.read(range);
        await isOpen;
        return page;
      },
    }, encode);
    const reading = slow.read(since);
    await log.remove(removal);
    open();
    for (const page of [await replay.read(since), await reading, await slow.read(since)]) {
      assertEquals(text(page.bytes).includes(rude), false);
    }
  }
});

Deno.test("Replay no longer follows its log once it is disposed of", () => {
  const { log, listeners } = fakeLog(() => {
    throw new Error("nobody reads");
  });
  const replay = new Replay(log, toFrames);
  assertEquals(listeners.size, 1);
  replay[Symbol.dispose]();
  assertEquals(listeners.size, 0);
});
