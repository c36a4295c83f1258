/** The hub's laws. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { mock } from "node:test";
import {
  ChatHub,
  type ChatHubOptions,
  type Reader,
  SlowReaderError,
  STREAM_BUFFER,
} from "./chat_hub.ts";
import { LogUnavailableError, type MessageLog } from "./message_log/message_log.ts";
import { openMessageLog } from "./message_log/open.ts";
import { PATIENCE_MS } from "./reader/presence.ts";
import type { Start } from "./reader/replay.ts";
import { EventReader } from "./tests/event_reader.ts";
import { until } from "./tests/until.ts";

const HEARTBEAT_MS = 15_000;
const MAX_BUFFER_BYTES = 100_000;
const NEWCOMER: Start = { latest: 50 };

/** A hub and its log, with what a test does to them. */
function openHub(options: Partial<ChatHubOptions> = {}) {
  const { log = openMessageLog("memory:", { keep: 20_000 }) } = options;
  const hub = new ChatHub({
    log,
    heartbeatMs: HEARTBEAT_MS,
    maxBufferBytes: MAX_BUFFER_BYTES,
    ...options,
  });
  return {
    hub,
    log,
    post: async (...texts: string[]) => {
      const posts = texts.map((message) => log.append({ nickname: "ann", message }));
      return (await Promise.all(posts)).map(({ entry }) => entry.id);
    },
    /** A stream of the hub, as the route makes one. */
    open(start: Start = NEWCOMER) {
      let reader!: Reader;
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => void (reader = hub.join(controller, start, "192.0.2.1")),
        pull: () => hub.pull(reader),
        cancel: () => hub.leave(reader),
      }, STREAM_BUFFER);
      return { stream, controller: reader.controller, leave: () => hub.leave(reader) };
    },
    /** The same, read event by event. */
    join(start?: Start) {
      const { stream, ...rest } = this.open(start);
      return { reader: new EventReader(new Response(stream)), ...rest };
    },
    /** A reader that has the whole log already. */
    async joinLive() {
      const joined = this.join();
      await joined.reader.nextOf("online");
      return joined;
    },
    async [Symbol.asyncDispose]() {
      hub.close();
      await log[Symbol.asyncDispose]();
    },
  };
}

/** Runs a test with fake timers; `tick` makes time pass. */
function withFakeTime(test: (tick: (ms: number) => void) => Promise<void>) {
  return async () => {
    mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
    try {
      await test((ms) => mock.timers.tick(ms));
    } finally {
      mock.timers.reset();
    }
  };
}

Deno.test("ChatHub sends what the log emits to all readers in order", async () => {
  await using room = openHub();
  const readers = [await room.joinLive(), await room.joinLive(), await room.joinLive()];
  await room.post("one", "two");
  await room.post("three");
  for (const { reader } of readers) {
    for (const text of ["one", "two", "three"]) {
      assertEquals((await reader.nextMessage()).message, text);
    }
  }
});

Deno.test("ChatHub encodes a batch once and enqueues the same bytes to every reader", async () => {
  await using room = openHub();
  const streams = [1, 2, 3].map(() => room.open().stream.getReader());
  await room.post("one", "two");
  const chunks = await Promise.all(streams.map(async (stream) => {
    for (;;) {
      const { value } = await stream.read();
      if (new TextDecoder().decode(value).includes("two")) return value;
    }
  }));
  assert(chunks[0] === chunks[1] && chunks[1] === chunks[2]);
});

Deno.test("ChatHub encodes a replay once for all readers that begin there", async () => {
  await using room = openHub();
  const ids = await room.post(...Array.from({ length: 200 }, (_, n) => `${n}`));
  const read = async (since: string) => {
    const chunks: Uint8Array[] = [];
    const stream = room.open({ since }).stream.getReader();
    while (!new TextDecoder().decode(chunks.at(-1)).includes('"message":"199"')) {
      chunks.push((await stream.read()).value!);
    }
    return chunks;
  };
  const [one, same, next] = await Promise.all([read(ids[10]), read(ids[10]), read(ids[11])]);
  assertEquals(one.length, same.length);
  // Behind the first, which is the reader's own retry.
  for (const n of one.keys()) assert(n === 0 || one[n].buffer === same[n].buffer);
  // Another cursor shares all pages but the one it begins in.
  for (const n of next.keys()) assert(n < 2 || one[n].buffer === next[n].buffer);
});

Deno.test("ChatHub passes over readers whose stream is closed or broken", async () => {
  await using room = openHub();
  const closed = await room.joinLive();
  const broken = await room.joinLive();
  const { reader } = await room.joinLive();
  closed.controller.close();
  broken.controller.error(new Error("connection reset"));
  await room.post("hi");
  assertEquals((await reader.nextMessage()).message, "hi");
  assertEquals(room.hub.readers, 1);
});

Deno.test("ChatHub.join() gives every reader a retry of its own, first of all", async () => {
  await using room = openHub();
  const delays = new Set<number>();
  for (let n = 0; n < 1000; n++) {
    const first = await room.join().reader.next();
    assert(first!.retry! >= 2000 && first!.retry! <= 4000);
    delays.add(first!.retry!);
  }
  assertEquals(delays.size, 1000);
});

Deno.test("ChatHub.join() replays the last messages, then tells the number online", async () => {
  await using room = openHub();
  const ids = await room.post(...Array.from({ length: 60 }, (_, n) => `${n}`));
  const { reader } = room.join();
  await reader.next();
  for (const id of ids.slice(-50)) assertEquals((await reader.next())!.id, id);
  assertEquals(await reader.next(), { event: "online", data: "1" });
});

Deno.test("ChatHub.join() gives a cursor without an event where there is nothing to replay", async () => {
  await using room = openHub();
  const { reader } = room.join();
  await reader.next();
  const { id, ...rest } = (await reader.next())!;
  assertEquals(rest, {});
  // Dropped before its first message, the reader still misses none.
  const ids = await room.post("one", "two");
  const again = room.join({ since: id }).reader;
  assertEquals((await again.nextMessage()).id, ids[0]);
  assertEquals((await again.nextMessage()).id, ids[1]);
  // At the end of the log there is nothing to replay either.
  const end = room.join({ since: ids[1] }).reader;
  await end.next();
  assertEquals(await end.next(), { id: ids[1] });
  const none = room.join({ latest: 0 }).reader;
  await none.next();
  assertEquals(await none.next(), { id: ids[1] });
});

Deno.test("ChatHub.join() says what can't be continued, before the replay", async () => {
  await using room = openHub({ log: openMessageLog("memory:", { keep: 5 }) });
  const ids = await room.post(...Array.from({ length: 20 }, (_, n) => `${n}`));
  const cases: [since: string, missed: number | null][] = [[ids[2], 12], ["0-0", null]];
  for (const [since, missed] of cases) {
    const { reader } = room.join({ since });
    await reader.next();
    assertEquals(await reader.next(), { event: "gap", data: JSON.stringify({ missed }) });
    for (const id of ids.slice(-5)) assertEquals((await reader.next())!.id, id);
    assertEquals((await reader.next())!.event, "online");
  }
});

Deno.test("ChatHub gives a reader that stalls no further page, and nothing to the others late", async () => {
  await using room = openHub();
  const text = "x".repeat(1000);
  await room.post(...Array.from({ length: 10_000 }, (_, n) => `${n} ${text}`));
  const stalled = room.open({ since: undefined });
  const { reader } = await room.joinLive();
  await room.post("live");
  assertEquals((await reader.nextMessage()).message, "live");
  // A buffer and one page of 64 messages is what it may take in, of ten million bytes.
  assert(stalled.controller.desiredSize! > -100_000, `${stalled.controller.desiredSize}`);
  const late = new EventReader(new Response(stalled.stream));
  for (let n = 0; n < 10_000; n++) {
    assertEquals((await late.nextMessage()).message.split(" ")[0], `${n}`);
  }
  assertEquals((await late.nextMessage()).message, "live");
});

Deno.test("ChatHub ends a reader that does not keep up, and frees what waits for it", async () => {
  const slow: string[] = [];
  await using room = openHub({ onSlowReader: (address) => slow.push(address) });
  const stalled = room.open();
  const { reader } = await room.joinLive();
  await until(() => stalled.controller.desiredSize! < STREAM_BUFFER.highWaterMark - 50);
  const ids: string[] = [];
  const text = "x".repeat(4000);
  for (let n = 0; n < 100; n++) {
    ids.push(...await room.post(text));
    assertEquals((await reader.nextMessage()).id, ids[n]);
    const waiting = STREAM_BUFFER.highWaterMark - (stalled.controller.desiredSize ?? 0);
    assert(slow.length > 0 || waiting <= MAX_BUFFER_BYTES, `${waiting} bytes wait`);
  }
  assertEquals(slow, ["192.0.2.1"]);
  assertEquals(room.hub.slowReaders, 1);
  assertEquals(stalled.controller.desiredSize, null);
  assertEquals(room.hub.readers, 1);
  await assertRejects(() => stalled.stream.getReader().read(), SlowReaderError);
});

Deno.test("ChatHub does not count a replay as a slow reader's backlog", async () => {
  await using room = openHub();
  const text = "x".repeat(4000);
  await room.post(...Array.from({ length: 50 }, (_, n) => `${n} ${text}`));
  const { reader, controller } = room.join();
  await until(() => controller.desiredSize! <= 0);
  for (let n = 0; n < 20; n++) await room.post(`live ${n} ${text}`);
  const waiting = STREAM_BUFFER.highWaterMark - controller.desiredSize!;
  assert(waiting <= MAX_BUFFER_BYTES, `${waiting} bytes wait`);
  for (let n = 0; n < 50; n++) {
    assertEquals((await reader.nextMessage()).message.split(" ")[0], `${n}`);
  }
  for (let n = 0; n < 20; n++) {
    assertEquals((await reader.nextMessage()).message.split(" ")[1], `${n}`);
  }
  assertEquals(room.hub.slowReaders, 0);
});

Deno.test("ChatHub forgets a reader whose log fails, and leaves no timer for it", async () => {
  for (const error of [new LogUnavailableError("disk"), new TypeError("a fault of ours")]) {
    await using room = openHub();
    room.log.since = () => Promise.reject(error);
    await room.joinLive().then(({ leave }) => leave());
    const stream = room.open({ since: "1-1" }).stream.getReader();
    await stream.read();
    await stream.read().catch((reason) => assertEquals(reason, error));
    assertEquals(room.hub.readers, 0);
  }
});

Deno.test("ChatHub joins replay and live exactly for a log that reads slowly", async () => {
  const log = openMessageLog("memory:", { keep: 20_000 });
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
  let turns = 0;
  const slow: MessageLog = {
    append: (post) => log.append(post),
    subscribe: (onBatch) => log.subscribe(onBatch),
    before: (id, count) => log.before(id, count),
    // The page is read at once or late: messages come in before and after.
    async latest(count) {
      if (turns++ % 2) await turn();
      const page = await log.latest(count);
      await turn();
      return page;
    },
    async since(cursor) {
      if (turns++ % 2) await turn();
      const page = await log.since(cursor);
      await turn();
      return page;
    },
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
  await using room = openHub({ log: slow });
  const ids = await room.post(...Array.from({ length: 200 }, (_, n) => `${n}`));
  const readers: [start: number, reader: EventReader][] = [];
  for (let n = 0; n < 100; n++) {
    readers.push([n * 2, room.join({ since: ids[n * 2] }).reader]);
    ids.push(...await room.post(`a ${n}`, `b ${n}`));
    if (n % 3 === 0) await turn();
  }
  ids.push(...await room.post("the end"));
  for (const [start, reader] of readers) {
    for (const id of ids.slice(start + 1)) assertEquals((await reader.nextMessage()).id, id);
  }
});

Deno.test(
  "ChatHub sends nothing twice for a log that can be read before it tells",
  withFakeTime(async (tick) => {
    const log = openMessageLog("memory:", { keep: 100 });
    const held: (() => void)[] = [];
    await using room = openHub({
      log: {
        append: (post) => log.append(post),
        since: (cursor) => log.since(cursor),
        latest: (count) => log.latest(count),
        before: (id, count) => log.before(id, count),
        subscribe: (onBatch) => log.subscribe((batch) => held.push(() => onBatch(batch))),
        [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
      },
    });
    const ids = await room.post("one", "two");
    const { reader } = await room.joinLive();
    tick(HEARTBEAT_MS);
    tick(PATIENCE_MS);
    assertEquals((await reader.next())!.event, "ping");
    ids.push(...await room.post("three"));
    const { reader: later } = await room.joinLive();
    for (const tell of held) tell();
    assertEquals((await reader.nextMessage()).id, ids[2]);
    ids.push(...await room.post("four"));
    held.at(-1)!();
    assertEquals((await reader.nextMessage()).id, ids[3]);
    for (const id of ids.slice(2)) assertEquals((await later.nextMessage()).id, id);
  }),
);

Deno.test(
  "ChatHub pings every reader, and no timer runs when nobody reads",
  withFakeTime(async (tick) => {
    await using room = openHub();
    const { reader, leave } = await room.joinLive();
    tick(PATIENCE_MS);
    for (let n = 0; n < 3; n++) {
      tick(HEARTBEAT_MS - PATIENCE_MS);
      tick(PATIENCE_MS);
      assertEquals(await reader.next(), { event: "ping", data: "{}" });
    }
    leave();
    tick(HEARTBEAT_MS / 2);
    const later = await room.joinLive();
    // The old timer would be due now.
    tick(HEARTBEAT_MS / 2);
    tick(PATIENCE_MS);
    await room.post("not a ping");
    assertEquals((await later.reader.next())!.event, undefined);
    tick(HEARTBEAT_MS / 2);
    tick(PATIENCE_MS);
    assertEquals(await later.reader.next(), { event: "ping", data: "{}" });
  }),
);

Deno.test(
  "ChatHub tells the number of readers at most once a second, and the last one always",
  withFakeTime(async (tick) => {
    await using room = openHub();
    const { reader } = await room.joinLive();
    const others = [];
    for (let n = 0; n < 50; n++) others.push(await room.joinLive());
    tick(999);
    for (const { leave } of others.slice(0, 10)) leave();
    tick(1);
    tick(PATIENCE_MS);
    assertEquals(await reader.nextOf("online"), "41");
    tick(5000);
    others.at(-1)!.leave();
    tick(PATIENCE_MS);
    assertEquals(await reader.nextOf("online"), "40");
    await room.post("nothing between");
    assertEquals((await reader.next())!.event, undefined);
    tick(5000);
    for (const { leave } of others) leave();
    tick(PATIENCE_MS);
    assertEquals(await reader.nextOf("online"), "39");
    tick(1000);
    tick(PATIENCE_MS);
    assertEquals(await reader.nextOf("online"), "1");
  }),
);

Deno.test(
  "ChatHub sends events along with the messages that come meanwhile",
  withFakeTime(async (tick) => {
    await using room = openHub();
    const { stream } = room.open({ latest: 0 });
    const reader = stream.getReader();
    const nextChunk = async () => new TextDecoder().decode((await reader.read()).value);
    while (!(await nextChunk()).includes("event: online"));
    tick(HEARTBEAT_MS);
    await room.post("hello");
    assertMatch(await nextChunk(), /^id: .*\ndata: .*"hello".*\n\nevent: ping\ndata: \{\}\n\n$/);
    tick(PATIENCE_MS);
    await room.post("once");
    assert(!(await nextChunk()).includes("ping"));
  }),
);

Deno.test(
  "ChatHub sends events that become due while a fan-out is going out, after it",
  withFakeTime(async (tick) => {
    await using room = openHub();
    const { reader } = await room.joinLive();
    for (let n = 0; n < 199; n++) room.open();
    const last = await room.joinLive();
    await room.post("to the first, and in later turns to the others");
    await reader.nextMessage();
    tick(HEARTBEAT_MS);
    tick(PATIENCE_MS);
    await last.reader.nextMessage();
    await reader.nextOf("ping");
    await last.reader.nextOf("ping");
  }),
);

Deno.test("ChatHub forgets a reader that leaves while its page is read or going out", async () => {
  await using room = openHub();
  for (let n = 0; n < 50; n++) await room.post("x".repeat(1000));
  const reading = room.open();
  reading.leave();
  const { stream } = room.open();
  const reader = stream.getReader();
  await reader.read();
  await reader.read();
  await reader.cancel();
  await room.joinLive();
  assertEquals(room.hub.readers, 1);
});

Deno.test("ChatHub.close() leaves no timer, also where a stream is broken", async () => {
  await using room = openHub();
  const broken = await room.joinLive();
  await room.joinLive();
  broken.controller.error(new Error("connection reset"));
  room.hub.close();
  const closed = room.open();
  await closed.stream.cancel();
});

Deno.test("ChatHub.leave() forgets a reader at once, and again changes nothing", async () => {
  await using room = openHub();
  const { leave } = room.join();
  room.join();
  leave();
  leave();
  assertEquals(room.hub.readers, 1);
});

Deno.test("ChatHub.close() ends every stream with a retry of its own, and loses nothing", async () => {
  await using room = openHub();
  const readers = [];
  for (let n = 0; n < 100; n++) readers.push((await room.joinLive()).reader);
  readers.push(room.join().reader);
  const [id] = await room.post("last words");
  room.hub.close();
  const late = room.join().reader;
  const delays = new Set<number>();
  for (const reader of [...readers, late]) {
    const events = [];
    for (let event = await reader.next(); event; event = await reader.next()) events.push(event);
    assertEquals(events.filter((event) => event.id === id).length, reader === late ? 0 : 1);
    delays.add(events.at(-1)!.retry!);
  }
  assertEquals(delays.size, 102);
  assertEquals(room.hub.readers, 0);
});
