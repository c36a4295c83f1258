/** `/moderation` and `/rooms`, as whoever may use them does. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { openMessageStore } from "../message_log/open.ts";
import { Rooms } from "../room.ts";
import { changedStore } from "../tests/open_log.ts";
import { assertProblem } from "../tests/open_room.ts";
import { HttpError } from "./http_error.ts";
import { moderate, sendRooms, sendState } from "./moderation.ts";

const ANN = "ann_mark";
const BEN = "ben-mark";
const USUAL = { closed: false, muted: [] };

/** A room with a few messages of two senders. */
async function openRoom(name = "") {
  const store = await openMessageStore("memory:", { keep: 100 });
  const rooms = new Rooms(store, { heartbeatMs: 15_000 });
  const use = await rooms.enter(name);
  const { log } = use.room;
  const post = async (by: string, address = "home") =>
    (await log.append({ nickname: "ann", message: "hi", by, address })).entry.id;
  return {
    log,
    rooms,
    post,
    room: use.room,
    state: async () => await sendState(log).json(),
    act: (fields: Record<string, unknown>, init: RequestInit = {}) => {
      const request = new Request("http://localhost/moderation", {
        method: "POST",
        body: JSON.stringify(fields),
        headers: { "content-type": "application/json" },
        ...init,
      });
      return moderate(request, { room: name, log });
    },
    async [Symbol.asyncDispose]() {
      use[Symbol.dispose]();
      await rooms[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

async function assertRefused(acting: Promise<Response>, status: number, field: string) {
  const error = await assertRejects(() => acting, HttpError);
  return await assertProblem(error.toResponse(), status, field);
}

Deno.test("POST /moderation removes one message, all of a sender, or all there is", async () => {
  await using room = await openRoom();
  const [first] = [await room.post(ANN), await room.post(ANN), await room.post(BEN)];
  await room.post(ANN);
  const answer = async (fields: Record<string, string>) => await (await room.act(fields)).json();
  assertEquals(await answer({ action: "remove", id: first }), { ...USUAL, removed: 1 });
  assertEquals(await answer({ action: "remove", by: ANN }), { ...USUAL, removed: 2 });
  assertEquals(await answer({ action: "clear" }), { ...USUAL, removed: 1 });
  assertEquals(await answer({ action: "clear" }), { ...USUAL, removed: 0 });
  await assertRefused(room.act({ action: "remove", id: first }), 404, "id");
  await assertRefused(room.act({ action: "remove", by: ANN }), 404, "by");
});

Deno.test("POST /moderation deletes a room with its messages, keys, mutes and state", async () => {
  await using room = await openRoom("biology");
  const post = { nickname: "ann", message: "hi", by: ANN, address: "home", key: "k" };
  await room.log.append(post);
  await room.post(BEN);
  await room.act({ action: "mute", by: ANN });
  await room.act({ action: "close" });
  const answer = await (await room.act({ action: "delete" })).json();
  assertEquals(answer, { ...USUAL, removed: 2 });
  assertEquals(await room.rooms.list(), []);
  assertEquals(await room.log.addressOf(ANN), undefined);
  assertEquals((await room.log.append(post)).repeated, false);
});

Deno.test("POST /moderation does not delete the main room, and says what does", async () => {
  await using room = await openRoom();
  await room.post(ANN);
  const detail = await assertRefused(room.act({ action: "delete" }), 422, "action");
  assertMatch(detail, /"clear"/);
  assertEquals((await room.rooms.list())[0].messages, 1);
});

Deno.test("POST /moderation mutes a sender, and where it last wrote from, for some minutes", async () => {
  await using room = await openRoom();
  await room.post(ANN, "home");
  await room.post(ANN, "school");
  const before = Date.now();
  const { muted: [mute], ...rest } = await (await room.act({ action: "mute", by: ANN })).json();
  assertEquals([mute.by, Object.keys(mute), rest], [ANN, ["by", "until"], { closed: false }]);
  const minutes = (Date.parse(mute.until) - before) / 60_000;
  assert(minutes >= 60 && minutes < 60.5, mute.until);
  const [{ address, since }] = room.log.state.muted;
  assertEquals([address, since % 1000], ["school", 0]);
  assert(since <= before && since > before - 1000);
  // Again is from now on, and once.
  const again = await (await room.act({ action: "mute", by: ANN, minutes: 10_080 })).json();
  assertEquals(again.muted.length, 1);
  assert(again.muted[0].until > mute.until);
  await room.act({ action: "mute", by: BEN, minutes: "1" });
  assertEquals((await room.state()).muted.map(({ by }: { by: string }) => by), [ANN, BEN]);
  assertEquals((await (await room.act({ action: "unmute", by: ANN })).json()).muted.length, 1);
  await assertRefused(room.act({ action: "unmute", by: ANN }), 404, "by");
});

Deno.test("POST /moderation closes a room and opens it", async () => {
  await using room = await openRoom();
  assertEquals(await (await room.act({ action: "close" })).json(), { ...USUAL, closed: true });
  assertEquals(await room.state(), { ...USUAL, closed: true });
  assertEquals(await (await room.act({ action: "open" })).json(), USUAL);
});

Deno.test("POST /moderation says which field is not as it must be", async () => {
  await using room = await openRoom();
  const cases: [fields: Record<string, unknown>, field: string][] = [
    [{}, "action"],
    [{ action: "explode" }, "action"],
    [{ action: ["remove"] }, "action"],
    [{ action: "remove" }, "id"],
    [{ action: "remove", id: "" }, "id"],
    [{ action: "remove", id: 7 }, "id"],
    [{ action: "remove", by: "ann" }, "by"],
    [{ action: "mute" }, "by"],
    [{ action: "mute", by: "ann mark" }, "by"],
    [{ action: "unmute", by: null }, "by"],
  ];
  for (const minutes of [0, -1, 10_081, 1.5, "1e3", "ten", true, {}, "-5"]) {
    cases.push([{ action: "mute", by: ANN, minutes }, "minutes"]);
  }
  for (const [fields, field] of cases) await assertRefused(room.act(fields), 422, field);
  assertEquals(await room.state(), USUAL);
});

Deno.test("POST /moderation mutes no more than 1,000", async () => {
  await using room = await openRoom();
  const mark = (n: number) => `m${n}`.padEnd(8, "-");
  await room.log.update((state) => ({
    ...state,
    muted: Array.from(
      { length: 1000 },
      (_, n) => ({ by: mark(n), since: 0, until: Date.now() + 60_000 }),
    ),
  }));
  await assertRefused(room.act({ action: "mute", by: ANN }), 422, "by");
  await room.act({ action: "mute", by: mark(3) });
  assertEquals(room.log.state.muted.length, 1000);
});

Deno.test("POST /moderation takes a form, and sends a browser back to the page of the room", async () => {
  for (const [name, location] of [["", "."], ["biology", "../biology"]]) {
    await using room = await openRoom(name);
    const response = await room.act({}, {
      body: new URLSearchParams({ action: "close" }),
      headers: { "sec-fetch-mode": "navigate" },
    });
    assertEquals([response.status, response.headers.get("location")], [303, location]);
    assertEquals(room.log.state.closed, true);
  }
});

Deno.test("GET /moderation is JSON that nobody keeps", async () => {
  await using room = await openRoom();
  const { headers } = sendState(room.log);
  assertMatch(headers.get("content-type")!, /^application\/json/);
  assertEquals(headers.get("cache-control"), "no-store");
});

Deno.test("GET /rooms lists rooms with messages, a state or readers, the main room first", async () => {
  await using room = await openRoom("physics");
  const { rooms } = room;
  const list = async () => await (await sendRooms(rooms)).json();
  assertEquals(await list(), []);
  await room.post(ANN);
  {
    using main = await rooms.enter("");
    using closed = await rooms.enter("biology");
    await closed.room.log.update((state) => ({ ...state, closed: true }));
    await (await rooms.enter("nobody's")).room.log.read({ latest: 1 });
    const reader = main.room.read({ latest: 0 }).getReader();
    await reader.read();
    assertEquals(await list(), [
      { name: "", readers: 1, messages: 0 },
      { name: "biology", readers: 0, messages: 0 },
      { name: "physics", readers: 0, messages: 1 },
    ]);
    await reader.cancel();
  }
  await room.log.remove("all");
  assertEquals((await list()).map(({ name }: { name: string }) => name), ["biology"]);
});

Deno.test("GET /rooms counts readers at other instances, and lists a room that only they read", async () => {
  await using store = await openMessageStore("memory:", { keep: 100 });
  const entries = [
    { name: "physics", messages: 2, readersElsewhere: 3 },
    { name: "biology", messages: 0, readersElsewhere: 1 },
  ];
  await using rooms = new Rooms(changedStore(store, { rooms: () => Promise.resolve(entries) }), {
    heartbeatMs: 15_000,
  });
  using use = await rooms.enter("physics");
  const reader = use.room.read({ latest: 0 }).getReader();
  await reader.read();
  assertEquals(await (await sendRooms(rooms)).json(), [
    { name: "biology", readers: 1, messages: 0 },
    { name: "physics", readers: 4, messages: 2 },
  ]);
  await reader.cancel();
});
