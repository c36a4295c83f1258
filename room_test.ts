/** Rooms: opened on demand, closed when idle, one of each. */

import { assert, assertEquals } from "@std/assert";
import { mock } from "node:test";
import { openMessageStore } from "./message_log/open.ts";
import { MAIN_ROOM, Rooms } from "./room.ts";
import { slowly } from "./tests/slow_store.ts";

const IDLE_MS = 60_000;

/** Rooms with fake timers, and how often each log was opened and closed. */
async function openRooms() {
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const store = await openMessageStore("memory:", { keep: 100 });
  const counts = { opened: 0, open: 0 };
  // What takes a moment, as it would from another machine.
  let isHeld: Promise<void> | undefined;
  const slow = slowly(store, async (change) => {
    if (change === "open") {
      counts.opened++;
      counts.open++;
    }
    await isHeld;
    if (change === "close") counts.open--;
  });
  const rooms = new Rooms(slow, { heartbeatMs: 1e9, idleMs: IDLE_MS });
  return {
    rooms,
    counts,
    hold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      isHeld = promise;
      return () => {
        isHeld = undefined;
        resolve();
      };
    },
    async [Symbol.asyncDispose]() {
      await rooms[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      mock.timers.reset();
    },
  };
}

async function settle(): Promise<void> {
  for (let n = 0; n < 20; n++) await Promise.resolve();
}

Deno.test("Rooms.enter() is one room of a name for all who come while it opens", async () => {
  await using chat = await openRooms();
  const release = chat.hold();
  const entering = Promise.all([1, 2, 3].map(() => chat.rooms.enter("biology")));
  release();
  const [first, ...others] = await entering;
  for (const { room } of others) assert(room === first.room);
  assert((await chat.rooms.enter("physics")).room !== first.room);
  assertEquals(chat.counts, { opened: 2, open: 2 });
});

Deno.test("Rooms close a room that nobody has used for a while, and then have no timer", async () => {
  await using chat = await openRooms();
  await chat.rooms.enter(MAIN_ROOM);
  (await chat.rooms.enter("biology"))[Symbol.dispose]();
  mock.timers.tick(IDLE_MS);
  assertEquals(chat.rooms.size, 2);
  mock.timers.tick(IDLE_MS);
  await settle();
  assertEquals([chat.rooms.size, chat.counts.open], [1, 1]);
  // With a timer left, the next room would close after less than its time.
  mock.timers.tick(IDLE_MS / 2);
  (await chat.rooms.enter("biology"))[Symbol.dispose]();
  mock.timers.tick(1.75 * IDLE_MS);
  assertEquals(chat.rooms.size, 2);
});

Deno.test("Rooms keep a room open for its readers and users", async () => {
  await using chat = await openRooms();
  const use = await chat.rooms.enter("biology");
  const stream = use.room.read({ latest: 50 });
  mock.timers.tick(5 * IDLE_MS);
  await stream.cancel();
  mock.timers.tick(5 * IDLE_MS);
  assertEquals(chat.rooms.size, 1);
  const reading = use.room.read({ latest: 50 });
  use[Symbol.dispose]();
  use[Symbol.dispose]();
  mock.timers.tick(5 * IDLE_MS);
  assertEquals(chat.rooms.size, 1);
  await reading.cancel();
  mock.timers.tick(2 * IDLE_MS);
  await settle();
  assertEquals(chat.rooms.size, 0);
});

Deno.test("Rooms.enter() waits for a room that is closing, and loses no message of it", async () => {
  await using chat = await openRooms();
  const use = await chat.rooms.enter("biology");
  const { room: before } = use;
  const { entry } = await before.log.append({ nickname: "ann", message: "hi" });
  use[Symbol.dispose]();
  const release = chat.hold();
  mock.timers.tick(2 * IDLE_MS);
  const entering = chat.rooms.enter("biology");
  await settle();
  assertEquals([chat.counts.opened, chat.counts.open], [1, 1]);
  release();
  const { room: after } = await entering;
  assert(after !== before);
  assertEquals((await after.log.read({ latest: 50 })).entries, [entry]);
});

Deno.test("Rooms that close send away who comes into a room that is opening", async () => {
  await using chat = await openRooms();
  const release = chat.hold();
  const entering = chat.rooms.enter("biology");
  chat.rooms.close();
  release();
  const { room } = await entering;
  const text = await new Response(room.read({ latest: 50 })).text();
  assert(/^retry: \d+\n\n$/.test(text), text);
});

Deno.test("Rooms of which ten thousand are opened and left keep a thousand of them, and then none", async () => {
  await using chat = await openRooms();
  const kept = await chat.rooms.enter("kept");
  for (let n = 0; n < 10_000; n++) (await chat.rooms.enter(`room${n}`))[Symbol.dispose]();
  assert(chat.rooms.size <= 1000, `${chat.rooms.size} are open`);
  assert((await chat.rooms.enter("kept")).room === kept.room);
  mock.timers.tick(2 * IDLE_MS);
  await settle();
  assertEquals([chat.rooms.size, chat.counts.open], [1, 1]);
});
