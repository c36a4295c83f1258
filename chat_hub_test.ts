/** The hub's laws, and a reader's. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { mock } from "node:test";
import {
  type Batch,
  type LogEntry,
  type LogPage,
  LogUnavailableError,
  type MessageLog,
  type Range,
  type Start,
} from "./message_log/message_log.ts";
import { changedLog, openLog } from "./tests/open_log.ts";
import { EVENT_DELAY_MS } from "./reader/presence.ts";
import { BrokenOffError, Reader } from "./reader/reader.ts";
import { Replay, type ReplayPage, toFrames } from "./reader/replay.ts";
import { Room } from "./room.ts";
import { EventReader } from "./tests/event_reader.ts";
import { FakeElsewhere } from "./tests/readers_elsewhere.ts";

const HEARTBEAT_MS = 15_000;
const PING = JSON.stringify({ heartbeat: HEARTBEAT_MS / 1000 });
const NEWCOMER: Start = { latest: 50 };

/** A room, with what a test does to it. */
async function openRoom(options: { keep?: number; log?: MessageLog } = {}) {
  const log = options.log ?? await openLog("memory:", { keep: options.keep ?? 20_000 });
  const room = new Room(log, { heartbeatMs: HEARTBEAT_MS });
  return {
    hub: room.hub,
    log,
    post: async (...texts: string[]) => {
      const posts = texts.map((message) => log.append({ nickname: "ann", message }));
      return (await Promise.all(posts)).map(({ entry }) => entry.id);
    },
    open: (start: Start = NEWCOMER) => room.read(start),
    /** A stream that is read event by event. */
    join: (start: Start = NEWCOMER) => new EventReader(new Response(room.read(start))),
    /** A reader that has the whole log already. */
    async joinLive() {
      const reader = this.join();
      await reader.nextOf("online");
      return reader;
    },
    [Symbol.asyncDispose]: () => room[Symbol.asyncDispose](),
  };
}

/** The frames of a chunk, which are whole. */
function frames(chunk: Uint8Array): string[] {
  const text = new TextDecoder().decode(chunk);
  assert(text.endsWith("\n\n"), text.slice(-100));
  return text.split("\n\n").slice(0, -1);
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
  await using room = await openRoom();
  const readers = [await room.joinLive(), await room.joinLive(), await room.joinLive()];
  await room.post("one", "two");
  await room.post("three");
  for (const reader of readers) {
    for (const text of ["one", "two", "three"]) {
      assertEquals((await reader.nextMessage()).message, text);
    }
  }
});

Deno.test("ChatHub encodes a batch once and enqueues the same bytes to every reader", async () => {
  await using room = await openRoom();
  const streams = [1, 2, 3].map(() => room.open().getReader());
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
  await using room = await openRoom();
  const ids = await room.post(...Array.from({ length: 200 }, (_, n) => `${n}`));
  const read = async (since: string) => {
    const chunks: Uint8Array[] = [];
    const stream = room.open({ since }).getReader();
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

Deno.test("ChatHub forgets readers whose stream is cancelled, and goes on for the others", async () => {
  await using room = await openRoom();
  const leaving = [await room.joinLive(), await room.joinLive()];
  const reader = await room.joinLive();
  for (const reader of leaving) await reader[Symbol.asyncDispose]();
  await room.post("hi");
  assertEquals((await reader.nextMessage()).message, "hi");
  assertEquals(room.hub.readers, 1);
});

Deno.test("ChatHub.join() gives every reader a retry of its own, first of all", async () => {
  await using room = await openRoom();
  const delays = new Set<number>();
  for (let n = 0; n < 1000; n++) {
    const first = await room.join().next();
    assert(first!.retry! >= 2000 && first!.retry! <= 4000);
    delays.add(first!.retry!);
  }
  assertEquals(delays.size, 1000);
});

Deno.test("ChatHub.join() replays the last messages, then the number of readers", async () => {
  await using room = await openRoom();
  const ids = await room.post(...Array.from({ length: 60 }, (_, n) => `${n}`));
  const reader = room.join();
  await reader.next();
  for (const id of ids.slice(-50)) assertEquals((await reader.next())!.id, id);
  assertEquals(await reader.next(), { event: "online", data: "1" });
});

Deno.test("ChatHub.join() gives a cursor without an event where there is nothing to replay", async () => {
  await using room = await openRoom();
  const reader = room.join();
  await reader.next();
  const { id, ...rest } = (await reader.next())!;
  assertEquals(rest, {});
  // Dropped before its first message, the reader still misses none.
  const ids = await room.post("one", "two");
  const again = room.join({ since: id });
  assertEquals((await again.nextMessage()).id, ids[0]);
  assertEquals((await again.nextMessage()).id, ids[1]);
  // At the end of the log there is nothing to replay either.
  const end = room.join({ since: ids[1] });
  await end.next();
  assertEquals(await end.next(), { id: ids[1] });
  const none = room.join({ latest: 0 });
  await none.next();
  assertEquals(await none.next(), { id: ids[1] });
});

Deno.test("ChatHub.join() says what can't be continued, before the replay", async () => {
  await using room = await openRoom({ keep: 5 });
  const ids = await room.post(...Array.from({ length: 20 }, (_, n) => `${n}`));
  const cases: [since: string, missed: number | null][] = [[ids[2], 12], ["0-0", null]];
  for (const [since, missed] of cases) {
    const reader = room.join({ since });
    await reader.next();
    assertEquals(await reader.next(), { event: "gap", data: JSON.stringify({ missed }) });
    for (const id of ids.slice(-5)) assertEquals((await reader.next())!.id, id);
    assertEquals((await reader.next())!.event, "online");
  }
});

Deno.test("ChatHub gives a reader that stalls no further page, and the others theirs in time", async () => {
  await using room = await openRoom();
  const text = "x".repeat(1000);
  await room.post(...Array.from({ length: 10_000 }, (_, n) => `${n} ${text}`));
  const stalled = room.open({ since: undefined });
  const reader = await room.joinLive();
  await room.post("live");
  assertEquals((await reader.nextMessage()).message, "live");
  const late = new EventReader(new Response(stalled));
  for (let n = 0; n < 10_000; n++) {
    assertEquals((await late.nextMessage()).message.split(" ")[0], `${n}`);
  }
  assertEquals((await late.nextMessage()).message, "live");
});

for (
  const [state, start] of [["live", { latest: 0 }], ["catching up", { since: undefined }]] as const
) {
  Deno.test(`ChatHub queues a buffer and a chunk for a reader that stalls while ${state}`, async () => {
    await using room = await openRoom();
    const text = "x".repeat(4000);
    const post = async () => {
      for (let n = 0; n < 200; n++) await room.post(text);
    };
    if (state === "catching up") await post();
    const stalled = room.open(start);
    const reader = await room.joinLive();
    if (state === "live") await post();
    await room.post("the last");
    while ((await reader.nextMessage()).message !== "the last");
    room.hub.close();
    const { length } = await new Response(stalled).bytes();
    assert(length > 60_000 && length < 110_000, `${length} bytes of ${200 * 4100}`);
  });
}

Deno.test("a live reader that has no room reads on from the log, exactly, and goes live again", async () => {
  await using room = await openRoom();
  const stream = room.open();
  const other = await room.joinLive();
  const ids: string[] = [];
  for (let n = 0; n < 300; n++) {
    ids.push(...await room.post(`${n} ${"x".repeat(1000)}`));
    assertEquals((await other.nextMessage()).id, ids[n]);
  }
  const slow = new EventReader(new Response(stream));
  await slow.nextOf("online");
  for (const id of ids) assertEquals((await slow.nextMessage()).id, id);
  await slow.nextOf("online");
  const [live] = await room.post("live");
  assertEquals((await slow.next())!.id, live);
  assertEquals(room.hub.readers, 2);
});

Deno.test("ChatHub bounds a chunk, whatever comes in one turn", async () => {
  await using room = await openRoom();
  const stream = room.open().getReader();
  await room.joinLive();
  const ids = await room.post(...Array.from({ length: 150 }, () => "x".repeat(4000)));
  const received: string[] = [];
  while (received.length < ids.length) {
    const { value } = await stream.read();
    assert(value!.length < 300_000, `a chunk of ${value!.length} bytes`);
    received.push(...frames(value!).flatMap((frame) => /^id: (.+)\ndata/.exec(frame)?.[1] ?? []));
  }
  assertEquals(received, ids);
});

Deno.test("ChatHub lets all readers read the log when messages come faster than they are sent", async () => {
  await using room = await openRoom();
  // Two are live; the third has the log's end and is yet to get its first chunk.
  const readers = [await room.joinLive(), await room.joinLive()];
  await room.post("first");
  for (const reader of readers) await reader.nextMessage();
  readers.push(await room.joinLive());
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) {
    ids.push(...await room.post(...Array.from({ length: 1200 }, () => "x".repeat(4000))));
  }
  for (const reader of readers) {
    for (const id of ids) assertEquals((await reader.nextMessage()).id, id);
  }
});

Deno.test(
  "ChatHub cuts off a reader that takes nothing for two heartbeats, and no other",
  withFakeTime(async (tick) => {
    await using room = await openRoom();
    await room.post(...Array.from({ length: 100 }, () => "x".repeat(4000)));
    const idle = { live: room.open({ latest: 0 }), behind: room.open({ since: undefined }) };
    const slow = room.open({ since: undefined }).getReader();
    const quick = await room.joinLive();
    for (let beat = 0; beat < 2; beat++) {
      tick(HEARTBEAT_MS);
      await slow.read();
      assertEquals(room.hub.readers, 4);
    }
    tick(HEARTBEAT_MS);
    assertEquals(room.hub.readers, 2);
    for (const stream of Object.values(idle)) {
      await assertRejects(() => stream.getReader().read(), BrokenOffError);
    }
    for (let beat = 0; beat < 5; beat++) {
      await slow.read();
      tick(HEARTBEAT_MS);
    }
    assertEquals(room.hub.readers, 2);
    tick(EVENT_DELAY_MS);
    await quick.nextOf("ping");
  }),
);

Deno.test("ChatHub sends no empty chunk", async () => {
  await using room = await openRoom();
  const [first] = await room.post("first");
  // It reads the second message before the hub sends it.
  await room.post("second");
  const arriving = room.open({ since: first }).getReader();
  await room.post("third");
  const received: string[] = [];
  while (!received.at(-1)?.includes("third")) {
    const { value } = await arriving.read();
    received.push(new TextDecoder().decode(value));
  }
  assertEquals(received.filter((chunk) => chunk === ""), []);
  // The piece of a page that is sent first ends with a frame.
  const [{ json }] = (await room.log.read({ since: first })).entries;
  const fit = 2048 - `id: ${first}\ndata: ${json}\n\n`.length + "second".length;
  const [last] = await room.post("between", "x".repeat(fit), "the rest");
  const stream = room.open({ since: last }).getReader();
  for (let chunk = 0; chunk < 2; chunk++) {
    assertEquals(frames((await stream.read()).value!).length, 1);
  }
  room.hub.close();
  assertMatch(frames((await stream.read()).value!)[0], /^retry: /);
});

Deno.test("ChatHub forgets a reader whose log fails, and leaves no timer for it", async () => {
  for (const error of [new LogUnavailableError("disk"), new TypeError("a fault of ours")]) {
    await using room = await openRoom();
    room.log.read = () => Promise.reject(error);
    const stream = room.open({ since: "1-1" }).getReader();
    await stream.read();
    await stream.read().catch((reason) => assertEquals(reason, error));
    assertEquals(room.hub.readers, 0);
  }
});

Deno.test("ChatHub joins replay and live exactly for a log that reads slowly", async () => {
  const log = await openLog("memory:", { keep: 20_000 });
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
  let turns = 0;
  await using room = await openRoom({
    log: changedLog(log, {
      // The page is read at once or late: messages come in before and after.
      async read(range: Range) {
        if (turns++ % 2) await turn();
        const page = await log.read(range);
        await turn();
        return page;
      },
    }),
  });
  const ids = await room.post(...Array.from({ length: 200 }, (_, n) => `${n}`));
  const readers: [start: number, reader: EventReader][] = [];
  for (let n = 0; n < 100; n++) {
    readers.push([n * 2, room.join({ since: ids[n * 2] })]);
    ids.push(...await room.post(`a ${n}`, `b ${n}`));
    if (n % 3 === 0) await turn();
  }
  ids.push(...await room.post("the end"));
  for (const [start, reader] of readers) {
    for (const id of ids.slice(start + 1)) assertEquals((await reader.nextMessage()).id, id);
  }
});

Deno.test(
  "ChatHub sends nothing twice for a log that can be read before it emits",
  withFakeTime(async (tick) => {
    const log = await openLog("memory:", { keep: 100 });
    const held: (() => void)[] = [];
    await using room = await openRoom({
      log: changedLog(log, {
        subscribe: (onBatch) => log.subscribe((batch) => held.push(() => onBatch(batch))),
      }),
    });
    const ids = await room.post("one", "two");
    const reader = await room.joinLive();
    tick(HEARTBEAT_MS);
    tick(EVENT_DELAY_MS);
    assertEquals((await reader.next())!.event, "ping");
    ids.push(...await room.post("three"));
    const later = room.join({ since: ids[1] });
    await later.nextOf("online");
    for (const emit of held.splice(0)) emit();
    assertEquals((await reader.nextMessage()).id, ids[2]);
    ids.push(...await room.post("four"));
    for (const emit of held.splice(0)) emit();
    assertEquals((await reader.nextMessage()).id, ids[3]);
    assertEquals((await later.nextMessage()).id, ids[3]);
  }),
);

Deno.test("ChatHub lets a reader without room read the rest of a batch in the log", async () => {
  const log = await openLog("memory:", { keep: 100 });
  const held: (() => void)[] = [];
  await using room = await openRoom({
    log: changedLog(log, {
      subscribe: (onBatch) => log.subscribe((batch) => held.push(() => onBatch(batch))),
    }),
  });
  const texts = Array.from({ length: 16 }, () => "x".repeat(4000));
  const ids = await room.post("first", ...texts.slice(0, 15));
  for (const emit of held.splice(0)) emit();
  ids.push(...await room.post(texts[15]));
  // It has the log's end, and with that no room; part of the next batch is new to it.
  const stream = room.open({ since: ids[0] });
  const other = room.join({ since: ids[0] });
  await other.nextOf("online");
  await room.post("rest");
  for (const emit of held.splice(0)) emit();
  while ((await other.nextMessage()).message !== "rest");
  const reader = new EventReader(new Response(stream));
  for (const id of ids.slice(1, 17)) assertEquals((await reader.nextMessage()).id, id);
  await room.post("later");
  for (const emit of held.splice(0)) emit();
  assertEquals((await reader.nextMessage()).message, "rest");
  assertEquals((await reader.nextMessage()).message, "later");
});

Deno.test(
  "ChatHub pings every reader, and no timer runs when nobody reads",
  withFakeTime(async (tick) => {
    await using room = await openRoom();
    const reader = await room.joinLive();
    tick(EVENT_DELAY_MS);
    for (let n = 0; n < 3; n++) {
      tick(HEARTBEAT_MS - EVENT_DELAY_MS);
      tick(EVENT_DELAY_MS);
      assertEquals(await reader.next(), { event: "ping", data: PING });
    }
    await reader[Symbol.asyncDispose]();
    tick(HEARTBEAT_MS / 2);
    const later = await room.joinLive();
    // The old timer would be due now.
    tick(HEARTBEAT_MS / 2);
    tick(EVENT_DELAY_MS);
    await room.post("not a ping");
    assertEquals((await later.next())!.event, undefined);
    tick(HEARTBEAT_MS / 2);
    tick(EVENT_DELAY_MS);
    assertEquals(await later.next(), { event: "ping", data: PING });
  }),
);

Deno.test(
  "ChatHub announces the number of readers at most once a second, and the last one always",
  withFakeTime(async (tick) => {
    await using room = await openRoom();
    const reader = await room.joinLive();
    const others = [];
    for (let n = 0; n < 50; n++) others.push(await room.joinLive());
    tick(999);
    for (const other of others.slice(0, 10)) await other[Symbol.asyncDispose]();
    tick(1);
    tick(EVENT_DELAY_MS);
    assertEquals(await reader.nextOf("online"), "41");
    tick(5000);
    await others.pop()![Symbol.asyncDispose]();
    tick(EVENT_DELAY_MS);
    assertEquals(await reader.nextOf("online"), "40");
    await room.post("nothing between");
    assertEquals((await reader.next())!.event, undefined);
    tick(5000);
    for (const other of others) await other[Symbol.asyncDispose]();
    tick(EVENT_DELAY_MS);
    assertEquals(await reader.nextOf("online"), "39");
    tick(1000);
    tick(EVENT_DELAY_MS);
    assertEquals(await reader.nextOf("online"), "1");
  }),
);

Deno.test(
  "ChatHub corrects the number that a reader was sent when it went live",
  withFakeTime(async (tick) => {
    await using room = await openRoom();
    const first = await room.joinLive();
    // Within the second after the number was announced, which is the same at its end.
    const second = room.join();
    assertEquals(await second.nextOf("online"), "2");
    await first[Symbol.asyncDispose]();
    tick(1000);
    tick(EVENT_DELAY_MS);
    assertEquals(await second.nextOf("online"), "1");
  }),
);

Deno.test(
  "ChatHub sends events along with the messages that come meanwhile",
  withFakeTime(async (tick) => {
    await using room = await openRoom();
    const reader = room.open({ latest: 0 }).getReader();
    const nextChunk = async () => new TextDecoder().decode((await reader.read()).value);
    while (!(await nextChunk()).includes("event: online"));
    tick(HEARTBEAT_MS);
    await room.post("hello");
    assertMatch(await nextChunk(), /^id: .*\ndata: .*"hello".*\n\nevent: ping\ndata: \{.*\}\n\n$/);
    tick(EVENT_DELAY_MS);
    await room.post("once");
    assert(!(await nextChunk()).includes("ping"));
  }),
);

Deno.test(
  "ChatHub sends events that become due during a fan-out after it",
  withFakeTime(async (tick) => {
    await using room = await openRoom();
    const reader = await room.joinLive();
    for (let n = 0; n < 199; n++) room.open();
    const last = await room.joinLive();
    await room.post("to the first now, to the others in later turns");
    await reader.nextMessage();
    tick(HEARTBEAT_MS);
    tick(EVENT_DELAY_MS);
    await last.nextMessage();
    await reader.nextOf("ping");
    await last.nextOf("ping");
  }),
);

Deno.test("ChatHub forgets a reader that leaves while its page is read or sent", async () => {
  await using room = await openRoom();
  for (let n = 0; n < 50; n++) await room.post("x".repeat(1000));
  await room.open().cancel();
  const reader = room.open().getReader();
  await reader.read();
  await reader.read();
  await reader.cancel();
  await room.joinLive();
  assertEquals(room.hub.readers, 1);
});

Deno.test("ChatHub.leave() forgets a reader at once, and again changes nothing", async () => {
  await using room = await openRoom();
  const leaving = room.open();
  room.open();
  await leaving.cancel();
  await leaving.cancel();
  assertEquals(room.hub.readers, 1);
});

Deno.test("ChatHub forgets a reader whose stream is cancelled by what it is sent", async () => {
  // Deno cancels a stream when a chunk meets a closed connection.
  const moments = ["retry", "replay", "online", "last retry"];
  for (const moment of moments.slice(1)) {
    await using room = await openRoom();
    await room.post("hi");
    using replay = new Replay(room.log, toFrames);
    let chunks = 0;
    const stream = new ReadableStream<Uint8Array>(new Reader(room.hub, replay, NEWCOMER), {
      highWaterMark: 64 * 1024,
      size: ({ length }) => {
        if (moments[chunks++] === moment) stream.cancel();
        return length;
      },
    });
    assert(!stream.locked);
    const other = await room.joinLive();
    if (moment === "last retry") room.hub.close();
    else assertEquals(room.hub.readers, 1, moment);
    await other[Symbol.asyncDispose]();
    assertEquals(room.hub.readers, 0, moment);
  }
});

Deno.test("ChatHub.close() ends a stream after a whole frame, wherever it is in the log", async () => {
  await using room = await openRoom();
  const ids = await room.post(...Array.from({ length: 500 }, (_, n) => "x".repeat(n * 8)));
  const streams = Array.from({ length: 40 }, () => room.open({ since: undefined }).getReader());
  streams.push(...Array.from({ length: 10 }, () => room.open().getReader()));
  const texts = await Promise.all(streams.map(async (stream, n) => {
    const decoder = new TextDecoder();
    let text = "";
    for (let chunk = 0;; chunk++) {
      if (chunk === n && n === 25) room.hub.close();
      const { value, done } = await stream.read();
      if (done) return text;
      text += decoder.decode(value, { stream: true });
    }
  }));
  for (const text of texts) {
    assertMatch(text, /\n\nretry: \d+\n\n$/);
    const received = text.split("\n\n").flatMap((frame) => {
      if (!frame.startsWith("id: ")) return [];
      const [, id, json] = /^id: (.+)\ndata: (.+)$/.exec(frame)!;
      assertEquals(JSON.parse(json).id, id);
      return [id];
    });
    const first = ids.indexOf(received[0]);
    assertEquals(received, ids.slice(first, first + received.length));
  }
  assert(texts.some((text) => !text.includes(ids.at(-1)!)), "the hub was closed in the middle");
});

Deno.test("ChatHub.close() ends every stream with a retry of its own, and loses nothing", async () => {
  await using room = await openRoom();
  const readers: EventReader[] = [];
  for (let n = 0; n < 100; n++) readers.push(await room.joinLive());
  readers.push(room.join());
  const [id] = await room.post("last words");
  room.hub.close();
  const late = room.join();
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

/** A text that fills a page by itself. */
const FULL = "x".repeat(3990);

Deno.test("ChatHub sends a removal as an event with an id", async () => {
  await using room = await openRoom();
  const [id] = await room.post("rude", "fine");
  await using live = await room.joinLive();
  await room.log.remove({ id });
  const event = (await live.next())!;
  assertEquals(event.event, "removed");
  assertEquals(JSON.parse(event.data!), { id: event.id, removes: id });
});

Deno.test("ChatHub sends nobody a message that is removed in the turn in which it was posted", async () => {
  await using room = await openRoom();
  await using live = await room.joinLive();
  const posting = room.post("rude", "fine");
  const removing = room.log.remove("all");
  await posting;
  await removing;
  assertEquals((await live.next())!.event, "removed");
  await room.post("after");
  assertEquals((await live.nextMessage()).message, "after");
});

Deno.test("ChatHub makes readers that the chunk has not reached read on without what is removed", async () => {
  await using room = await openRoom();
  const readers = await Promise.all(Array.from({ length: 200 }, () => room.joinLive()));
  const [id] = await room.post("rude");
  // Some have it now, the others in turns to come.
  await new Promise((resolve) => setImmediate(resolve));
  const removing = room.log.remove({ id });
  const heard = await Promise.all(readers.map(async (reader) => {
    for (let text = "";;) {
      const { event, data } = (await reader.next())!;
      if (event === undefined) text += data;
      if (event === "removed") return text;
    }
  }));
  await removing;
  assertEquals(heard.length, 200);
  assert(heard.filter((text) => text === "").length > 60, "some had not been reached");
  for (const reader of readers) await reader[Symbol.asyncDispose]();
});

Deno.test("ChatHub sends nothing of a page after a message in it is removed, but for a frame that has begun", async () => {
  await using room = await openRoom();
  const posted = await room.post("first", ...Array.from({ length: 3 }, () => FULL), "rude", "last");
  const { body } = new Response(room.open({ since: undefined }));
  const stream = body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const readUntil = async (mark: string) => {
    while (!text.includes(mark)) text += (await stream.read()).value;
  };
  await readUntil('"first"');
  await room.log.remove({ id: posted[4] });
  await readUntil("event: removed");
  await stream.cancel();
  assert(!text.includes("rude"), text.slice(-200));
  const ids = [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id);
  assertEquals(ids.slice(0, -1), posted.toSpliced(4, 1));
});

/** A room whose log emits nothing but what a test says, and what reads of it there are. */
async function openLossyRoom(keep: number) {
  const log = await openLog("memory:", { keep });
  const listeners = new Set<(batch: Batch) => void>();
  const emitEntries = (entries: readonly LogEntry[], missed: number | null = 0) => {
    for (const listener of listeners) listener({ entries, missed });
  };
  const reads: Range[] = [];
  /** What the log says instead of what it has. */
  const answers: LogPage[] = [];
  const room = await openRoom({
    log: changedLog(log, {
      // deno-lint-ignore require-await
      async read(range) {
        reads.push(range);
        return answers.at(-1) ?? log.read(range);
      },
      subscribe: (onBatch) => {
        listeners.add(onBatch);
        return { [Symbol.dispose]: () => void listeners.delete(onBatch) };
      },
    }),
  });
  return {
    ...room,
    reads,
    answers,
    emitEntries,
    /** Emits the last messages there are. */
    async emit(count: number, missed: number | null = 0) {
      emitEntries((await log.read({ latest: count })).entries, missed);
    },
  };
}

/** The ids of all messages and the gaps, up to a message. */
async function readUntil(reader: EventReader, last: string): Promise<unknown[]> {
  const seen: unknown[] = [];
  while (seen.at(-1) !== last) {
    const { event, id, data } = (await reader.next())!;
    if (event === "gap") seen.push(JSON.parse(data!));
    else if (event === undefined && data !== undefined) seen.push(id);
  }
  return seen;
}

Deno.test("ChatHub gives each reader the gap that it has where the log has lost messages", async () => {
  await using room = await openLossyRoom(5);
  const early = await room.joinLive();
  const ids = await room.post("1", "2", "3");
  await room.emit(3);
  assertEquals(await readUntil(early, ids[2]), ids);
  // Two that no reader gets of the log before they are lost, and one that has everything.
  ids.push(...await room.post("4", "5", "6", "7", "8", "9"));
  const arriving = await room.joinLive();
  ids.push(...await room.post("10"));
  const late = room.join({ since: ids[0] });
  await late.nextOf("online");
  await room.emit(1, 6);
  assertEquals(await readUntil(early, ids[9]), [{ missed: 2 }, ...ids.slice(5)]);
  assertEquals(await readUntil(arriving, ids[9]), [ids[9]]);
  for (const reader of [early, arriving, late]) await reader.nextOf("online");
  ids.push(...await room.post("11"));
  await room.emit(1);
  for (const reader of [early, arriving, late]) {
    assertEquals(await readUntil(reader, ids[10]), [ids[10]]);
  }
  assertEquals(room.hub.readers, 3);
});

Deno.test("ChatHub sends nothing that waits or is on its way once the log has lost messages", async () => {
  await using room = await openLossyRoom(5);
  const readers = [];
  for (let n = 0; n < 100; n++) readers.push(await room.joinLive());
  const ids = await room.post("1", "2", "3", "4", "5", "6", "7", "8", "9");
  const { entries } = await room.log.read({ latest: 5 });
  room.emitEntries(entries.slice(0, 2));
  // Some have got the chunk, the others have not.
  await new Promise((resolve) => setImmediate(resolve));
  room.emitEntries(entries.slice(2, 3));
  room.emitEntries(entries.slice(4), 1);
  assertEquals(await readUntil(readers[0], ids[8]), ids.slice(4));
  assertEquals(await readUntil(readers[99], ids[8]), [{ missed: 4 }, ...ids.slice(4)]);
});

Deno.test("ChatHub lets readers be live where the log has lost all, whatever it had sent", async () => {
  await using room = await openLossyRoom(5);
  const reader = await room.joinLive();
  const [last] = await room.post("1");
  await room.emit(1);
  await readUntil(reader, last);
  const lost = { entries: [], missed: null, cursor: "5-0", end: "5-0", hasOlder: false };
  room.answers.push(lost);
  room.reads.length = 0;
  await room.emit(0, null);
  assertEquals(await reader.nextOf("gap"), '{"missed":null}');
  await reader.nextOf("online");
  for (let n = 0; n < 10; n++) await new Promise((resolve) => setImmediate(resolve));
  assertEquals(room.reads, [{ since: last }]);
  // Those who come later are not kept waiting for what was sent before.
  const later = room.join({ since: "5-0" });
  await later.nextOf("online");
  await room.emit(0, null);
  assertEquals(await later.nextOf("gap"), '{"missed":null}');
  assertEquals(room.hub.readers, 2);
});

Deno.test("ChatHub has a reader that is getting a page go on after its frame once messages are lost", async () => {
  await using room = await openLossyRoom(20);
  const ids = await room.post(...Array.from({ length: 5 }, () => "x".repeat(3500)));
  const stream = room.open({ since: ids[0] });
  // It is sent a piece in each turn.
  for (let n = 0; n < 50; n++) await Promise.resolve();
  room.answers.push({ entries: [], missed: null, cursor: "5-0", end: "5-0", hasOlder: false });
  room.reads.length = 0;
  await room.emit(0, null);
  const reader = new EventReader(new Response(stream));
  assertEquals(await reader.nextOf("gap"), '{"missed":null}');
  const [{ since }] = room.reads as { since: string }[];
  const seen = ids.indexOf(since);
  assert(seen > 0 && seen < ids.length - 1, `it has read ${seen} messages of ${ids.length}`);
});

Deno.test("Reader sends nothing of a page that was dropped when it had just been read", async () => {
  const pages = ["stale", "fresh"].map((text) => ({
    bytes: new TextEncoder().encode(`id: 1-1\ndata: ${text}\n\n`),
    missed: 0,
    cursor: "1-1",
    isLast: false,
  }));
  const { promise, resolve } = Promise.withResolvers<ReplayPage>();
  const replay = { read: mock.fn(() => pages[1], () => promise, { times: 1 }) };
  const hub = { join() {}, goLive: () => true, leave() {}, sendAway() {}, noteGap() {} };
  const reader = new Reader(hub, replay, NEWCOMER);
  const stream = new ReadableStream(reader);
  while (replay.read.mock.callCount() === 0) await Promise.resolve();
  resolve(pages[0]);
  reader.dropPage();
  const events = new EventReader(new Response(stream));
  assertEquals((await events.next())!.data, "fresh");
  await events[Symbol.asyncDispose]();
});

Deno.test("Reader reads on where the page that its client waits for has been dropped", async () => {
  const page = {
    bytes: new TextEncoder().encode("id: 1-1\ndata: fresh\n\n"),
    missed: 0,
    cursor: "1-1",
    isLast: true,
  };
  const { promise, resolve } = Promise.withResolvers<ReplayPage>();
  const replay = {
    read: mock.fn((): ReplayPage | Promise<ReplayPage> => page, () => promise, { times: 1 }),
  };
  const hub = { join() {}, goLive: () => true, leave() {}, sendAway() {}, noteGap() {} };
  const reader = new Reader(hub, replay, NEWCOMER);
  const events = new EventReader(new Response(new ReadableStream(reader)));
  const first = events.next();
  // It has asked before, so nothing but the page makes it ask again.
  for (let n = 0; n < 3; n++) await new Promise((resolve) => setImmediate(resolve));
  reader.dropPage();
  resolve(page);
  assertEquals((await first)!.data, "fresh");
  await events[Symbol.asyncDispose]();
});

Deno.test(
  "ChatHub announces its readers with those elsewhere, and tells of its own",
  withFakeTime(async (tick) => {
    const elsewhere = new FakeElsewhere();
    elsewhere.count = 3;
    const log = await openLog("memory:", { keep: 100 });
    await using room = await openRoom({ log: changedLog(log, { elsewhere }) });
    const reader = room.join();
    assertEquals(await reader.nextOf("online"), "4");
    elsewhere.count = 5;
    tick(1000);
    tick(EVENT_DELAY_MS);
    assertEquals(await reader.nextOf("online"), "6");
    const other = await room.joinLive();
    tick(1000);
    tick(EVENT_DELAY_MS);
    assertEquals(await reader.nextOf("online"), "7");
    await other[Symbol.asyncDispose]();
    await reader[Symbol.asyncDispose]();
    assertEquals(elsewhere.told, [1, 2, 1, 0]);
    // With nobody here there is nobody to announce it to, and no timer.
    elsewhere.count = 1;
    tick(HEARTBEAT_MS);
    await room.joinLive();
    room.hub.close();
    assertEquals([elsewhere.told.slice(4), elsewhere.followers], [[1, 0], 0]);
  }),
);
