/** `GET /chat` as JSON: what holds while the log goes on. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { mock } from "node:test";
import type { Batch, LogEntry } from "../message_log/message_log.ts";
import { changedLog, openLog } from "../tests/open_log.ts";
import { BrokenOffError } from "../reader/reader.ts";
import { Room } from "../room.ts";
import { sendHistory } from "./history.ts";
import { toVisit } from "./visit.ts";

const HEARTBEAT_MS = 15_000;

async function openRoom(keep: number): Promise<Room> {
  return new Room(await openLog("memory:", { keep }), { heartbeatMs: HEARTBEAT_MS });
}

async function append({ log }: Room, count: number): Promise<LogEntry[]> {
  const message = "x".repeat(1000);
  const posts = Array.from({ length: count }, () => log.append({ nickname: "ann", message }));
  return (await Promise.all(posts)).map(({ entry }) => entry);
}

function ask(room: Room, query: string, method = "GET"): Promise<Response> {
  const request = new Request(`http://localhost/chat${query}`, { method });
  return sendHistory(toVisit(request), room);
}

async function ids(response: Response): Promise<string[]> {
  return (await response.json()).map(({ id }: LogEntry) => id);
}

function fakeTime() {
  mock.timers.enable({ apis: ["setTimeout"] });
  return {
    tick: (ms: number) => mock.timers.tick(ms),
    [Symbol.dispose]: () => mock.timers.reset(),
  };
}

Deno.test("a history ends where the log ended when it was asked for", async () => {
  await using room = await openRoom(10_000);
  const entries = await append(room, 300);
  const cases: [query: string, first: number, end: number][] = [
    ["?since=all", 0, 300],
    [`?since=${entries[99].id}`, 100, 300],
    ["", 250, 300],
    [`?before=${entries[200].id}`, 150, 200],
  ];
  const responses = await Promise.all(cases.map(([query]) => ask(room, query)));
  await append(room, 100);
  for (const [n, [query, first, end]] of cases.entries()) {
    assertEquals(await ids(responses[n]), entries.slice(first, end).map(({ id }) => id), query);
  }
});

Deno.test("a history breaks off when its next message is no longer kept", async () => {
  await using room = await openRoom(200);
  await append(room, 200);
  const response = await ask(room, "?since=all");
  const reader = response.body!.getReader();
  await reader.read();
  await append(room, 150);
  await assertRejects(async () => {
    while (!(await reader.read()).done);
  }, BrokenOffError);
});

Deno.test("a history that nobody reads is broken off after two heartbeats", async () => {
  await using room = await openRoom(1000);
  await append(room, 300);
  using time = fakeTime();
  const [unread, slow] = [await ask(room, "?since=all"), await ask(room, "?since=all")];
  const reader = slow.body!.getReader();
  for (let page = 0; page < 4; page++) {
    time.tick(2 * HEARTBEAT_MS - 1);
    assert(!(await reader.read()).done);
  }
  await assertRejects(() => unread.text(), BrokenOffError);
  time.tick(2 * HEARTBEAT_MS);
  await assertRejects(() => reader.read(), BrokenOffError);
});

Deno.test("a history leaves no timer when it is cancelled, read whole, or asked for by HEAD", async () => {
  await using room = await openRoom(1000);
  await append(room, 300);
  const half = (await ask(room, "?since=all")).body!.getReader();
  await half.read();
  await half.cancel();
  await (await ask(room, "?since=all")).text();
  assertEquals((await ask(room, "?since=all", "HEAD")).body, null);
});

Deno.test("a history links to older messages where some are kept", async () => {
  await using room = await openRoom(100);
  const entries = await append(room, 120);
  const link = async (query: string) => {
    const response = await ask(room, query);
    await response.body!.cancel();
    return response.headers.get("link");
  };
  assertEquals(await link(""), `<?before=${entries[70].id}>; rel="prev"`);
  assertEquals(await link(`?before=${entries[90].id}`), `<?before=${entries[40].id}>; rel="prev"`);
  assertEquals(await link(`?before=${entries[60].id}`), null);
  assertEquals(await link("?since=all"), null);
});

Deno.test("a history says how many messages are missing before it", async () => {
  await using room = await openRoom(100);
  const entries = await append(room, 120);
  for (
    const [query, gap] of [
      [`?since=${entries[9].id}`, "10"],
      [`?since=${entries[19].id}`, null],
      ["?since=1-1", "unknown"],
    ] as const
  ) {
    const response = await ask(room, query);
    assertEquals(response.headers.get("chat-gap"), gap);
    assertEquals((await ids(response)).length, 100);
  }
});

Deno.test("a history has neither removals nor what they have removed, but with ?removed", async () => {
  await using room = await openRoom(1000);
  const entries = await append(room, 200);
  // Whole pages of it, the first one too.
  const removed = entries.filter((_, n) => n < 130 || n === 150);
  for (const { id } of removed) await room.log.remove({ id });
  const kept = entries.filter((entry) => !removed.includes(entry)).map(({ id }) => id);
  for (const query of ["?since=all", `?since=${entries[0].id}`]) {
    assertEquals(await ids(await ask(room, query)), kept);
    const response = await ask(room, `${query}&removed`);
    assertEquals(response.headers.get("chat-gap"), null);
    const rows: { id: string; removes?: string }[] = await response.json();
    assertEquals(rows.slice(0, kept.length).map(({ id }) => id), kept);
    assertEquals(
      rows.slice(kept.length).map(({ removes }) => removes),
      removed.map(({ id }) => id),
    );
    assertEquals(Object.keys(rows.at(-1)!), ["id", "removes"]);
  }
  await room.log.remove("all");
  assertEquals(await ids(await ask(room, "?since=all")), []);
  const [clear, ...others] = await (await ask(room, `?since=${entries[0].id}&removed`)).json();
  assertEquals([clear.removes, others], ["all", []]);
});

Deno.test("a history breaks off when something is removed that it has read and not sent", async () => {
  await using room = await openRoom(1000);
  const entries = await append(room, 200);
  const begin = async () => {
    const reader = (await ask(room, "?since=all")).body!.getReader();
    await reader.read();
    return reader;
  };
  const rest = async (reader: ReadableStreamDefaultReader<Uint8Array>) => {
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return text;
      text += new TextDecoder().decode(value);
    }
  };
  const goesOn = await begin();
  // Of a page that it has yet to read.
  await room.log.remove({ id: entries[180].id });
  const text = await rest(goesOn);
  assertEquals([text.includes(entries[179].id), text.includes(entries[180].id)], [true, false]);
  const first = await begin();
  await room.log.remove({ id: entries[12].id });
  await assertRejects(() => rest(first), BrokenOffError);
  const second = await begin();
  await room.log.remove("all");
  await assertRejects(() => rest(second), BrokenOffError);
});

Deno.test("a history breaks off when the log has lost messages while some are not sent", async () => {
  const log = await openLog("memory:", { keep: 1000 });
  let emit!: (batch: Batch) => void;
  await using room = new Room(
    changedLog(log, {
      subscribe: (onBatch) => {
        const emitted = emit;
        emit = (batch) => (emitted?.(batch), onBatch(batch));
        return log.subscribe(onBatch);
      },
    }),
    { heartbeatMs: HEARTBEAT_MS },
  );
  await append(room, 200);
  const reader = (await ask(room, "?since=all")).body!.getReader();
  await reader.read();
  emit({ entries: [], missed: null });
  await assertRejects(async () => {
    while (!(await reader.read()).done);
  }, BrokenOffError);
});
