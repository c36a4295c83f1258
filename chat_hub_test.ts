/** The hub's laws. */

import { assert, assertEquals } from "@std/assert";
import { mock } from "node:test";
import { ChatHub, type ReaderController } from "./chat_hub.ts";
import type { ChatMessage } from "./chat_message.ts";
import { EventReader } from "./tests/event_reader.ts";

const HEARTBEAT_MS = 15_000;

function message(text: string): ChatMessage {
  return {
    nickname: "ann",
    message: text,
    timestamp: "14:41:34",
    time: "2026-11-23T14:41:34.123Z",
  };
}

/** A stream of the hub, as the route makes one. */
function openStream(hub: ChatHub) {
  let controller!: ReaderController;
  const stream = new ReadableStream<Uint8Array>({
    start: (it) => hub.join(controller = it),
    cancel: () => hub.leave(controller),
  });
  return { stream, controller };
}

/** The same, read event by event. */
function join(hub: ChatHub) {
  const { stream, controller } = openStream(hub);
  return { reader: new EventReader(new Response(stream)), controller };
}

/** Runs a test with fake timers. */
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

Deno.test("ChatHub.publish() sends all messages to all readers in order", async () => {
  using hub = new ChatHub({ heartbeatMs: HEARTBEAT_MS });
  const readers = [join(hub), join(hub), join(hub)];
  hub.publish([message("one"), message("two")]);
  hub.publish([]);
  hub.publish([message("three")]);
  for (const { reader } of readers) {
    for (const text of ["one", "two", "three"]) {
      assertEquals(await reader.nextMessage(), { ...message(text) });
    }
  }
});

Deno.test("ChatHub.publish() encodes once and enqueues the same bytes to every reader", async () => {
  using hub = new ChatHub({ heartbeatMs: HEARTBEAT_MS });
  const streams = [1, 2].map(() => openStream(hub).stream.getReader());
  hub.publish([message("one"), message("two")]);
  const last = await Promise.all(streams.map(async (stream) => {
    for (;;) {
      const { value } = await stream.read();
      if (new TextDecoder().decode(value).includes("two")) return value;
    }
  }));
  assert(last[0] === last[1]);
});

Deno.test("ChatHub.publish() passes over readers whose stream is closed or broken", async () => {
  using hub = new ChatHub({ heartbeatMs: HEARTBEAT_MS });
  const closed = join(hub);
  const broken = join(hub);
  const { reader } = join(hub);
  closed.controller.close();
  broken.controller.error(new Error("connection reset"));
  hub.publish([message("hi")]);
  assertEquals((await reader.nextMessage()).message, "hi");
  assertEquals(hub.readers, 1);
});

Deno.test("ChatHub.join() gives every reader a retry of its own, first of all", async () => {
  using hub = new ChatHub({ heartbeatMs: HEARTBEAT_MS });
  const delays = new Set<number>();
  for (let n = 0; n < 1000; n++) {
    const first = await join(hub).reader.next();
    assert(first!.retry! >= 2000 && first!.retry! <= 4000);
    delays.add(first!.retry!);
  }
  assertEquals(delays.size, 1000);
});

Deno.test(
  "ChatHub pings every reader, and no timer runs when nobody reads",
  withFakeTime(async (tick) => {
    using hub = new ChatHub({ heartbeatMs: HEARTBEAT_MS });
    const { reader, controller } = join(hub);
    await reader.nextOf("online");
    tick(HEARTBEAT_MS);
    assertEquals(await reader.next(), { event: "ping", data: "{}" });
    tick(HEARTBEAT_MS);
    assertEquals(await reader.next(), { event: "ping", data: "{}" });
    hub.leave(controller);
    // A timer that still ran would reach this controller.
    controller.enqueue = () => assert(false, "a ping after leaving");
    tick(HEARTBEAT_MS * 3);
    const later = join(hub).reader;
    assertEquals(await later.nextOf("online"), "1");
    tick(HEARTBEAT_MS - 1);
    tick(1);
    assertEquals(await later.next(), { event: "ping", data: "{}" });
  }),
);

Deno.test(
  "ChatHub tells the number of readers at most once a second, and the last one always",
  withFakeTime(async (tick) => {
    using hub = new ChatHub({ heartbeatMs: HEARTBEAT_MS });
    const { reader } = join(hub);
    assertEquals(await reader.nextOf("online"), "1");
    const others = Array.from({ length: 50 }, () => join(hub));
    tick(999);
    for (const { controller } of others.slice(0, 10)) hub.leave(controller);
    tick(1);
    assertEquals(await reader.nextOf("online"), "41");
    tick(5000);
    hub.leave(others.at(-1)!.controller);
    assertEquals(await reader.nextOf("online"), "40");
    hub.publish([message("nothing between")]);
    assertEquals((await reader.next())!.event, undefined);
  }),
);

Deno.test("ChatHub.leave() forgets a reader at once, and again changes nothing", () => {
  using hub = new ChatHub({ heartbeatMs: HEARTBEAT_MS });
  const { controller } = join(hub);
  join(hub);
  hub.leave(controller);
  hub.leave(controller);
  assertEquals(hub.readers, 1);
});

Deno.test("ChatHub.close() ends every stream with a retry of its own", async () => {
  const hub = new ChatHub({ heartbeatMs: HEARTBEAT_MS });
  const readers = Array.from({ length: 100 }, () => join(hub).reader);
  hub.close();
  const late = join(hub).reader;
  const delays = new Set<number>();
  for (const reader of [...readers, late]) {
    const retries = [];
    for (let event = await reader.next(); event; event = await reader.next()) {
      if (event.retry) retries.push(event.retry);
    }
    delays.add(retries.at(-1)!);
  }
  assertEquals(delays.size, 101);
  assertEquals(hub.readers, 0);
});
