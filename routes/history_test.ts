/** `GET /chat` as JSON: what holds while the log goes on. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { mock } from "node:test";
import type { LogEntry, MessageLog } from "../message_log/message_log.ts";
import { openMessageLog } from "../message_log/open.ts";
import { BrokenOffError } from "../reader/reader.ts";
import { sendHistory } from "./history.ts";
import { toVisit } from "./visit.ts";

const HEARTBEAT_MS = 15_000;

async function append(log: MessageLog, count: number): Promise<LogEntry[]> {
  const message = "x".repeat(1000);
  const posts = Array.from({ length: count }, () => log.append({ nickname: "ann", message }));
  return (await Promise.all(posts)).map(({ entry }) => entry);
}

function ask(log: MessageLog, query: string, method = "GET"): Promise<Response> {
  const request = new Request(`http://localhost/chat${query}`, { method });
  return sendHistory(toVisit(request), { log, heartbeatMs: HEARTBEAT_MS });
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
  await using log = await openMessageLog("memory:", { keep: 10_000 });
  const entries = await append(log, 300);
  const cases: [query: string, first: number, end: number][] = [
    ["?since=all", 0, 300],
    [`?since=${entries[99].id}`, 100, 300],
    ["", 250, 300],
    [`?before=${entries[200].id}`, 150, 200],
  ];
  const responses = await Promise.all(cases.map(([query]) => ask(log, query)));
  await append(log, 100);
  for (const [n, [query, first, end]] of cases.entries()) {
    assertEquals(await ids(responses[n]), entries.slice(first, end).map(({ id }) => id), query);
  }
});

Deno.test("a history breaks off when its next message is no longer kept", async () => {
  await using log = await openMessageLog("memory:", { keep: 200 });
  await append(log, 200);
  const response = await ask(log, "?since=all");
  const reader = response.body!.getReader();
  await reader.read();
  await append(log, 150);
  await assertRejects(async () => {
    while (!(await reader.read()).done);
  }, BrokenOffError);
});

Deno.test("a history that nobody reads is broken off after two heartbeats", async () => {
  await using log = await openMessageLog("memory:", { keep: 1000 });
  await append(log, 300);
  using time = fakeTime();
  const [unread, slow] = [await ask(log, "?since=all"), await ask(log, "?since=all")];
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
  await using log = await openMessageLog("memory:", { keep: 1000 });
  await append(log, 300);
  const half = (await ask(log, "?since=all")).body!.getReader();
  await half.read();
  await half.cancel();
  await (await ask(log, "?since=all")).text();
  assertEquals((await ask(log, "?since=all", "HEAD")).body, null);
});

Deno.test("a history links to older messages where some are kept", async () => {
  await using log = await openMessageLog("memory:", { keep: 100 });
  const entries = await append(log, 120);
  const link = async (query: string) => {
    const response = await ask(log, query);
    await response.body!.cancel();
    return response.headers.get("link");
  };
  assertEquals(await link(""), `<?before=${entries[70].id}>; rel="prev"`);
  assertEquals(await link(`?before=${entries[90].id}`), `<?before=${entries[40].id}>; rel="prev"`);
  assertEquals(await link(`?before=${entries[60].id}`), null);
  assertEquals(await link("?since=all"), null);
});

Deno.test("a history says how many messages are missing before it", async () => {
  await using log = await openMessageLog("memory:", { keep: 100 });
  const entries = await append(log, 120);
  for (
    const [query, gap] of [
      [`?since=${entries[9].id}`, "10"],
      [`?since=${entries[19].id}`, null],
      ["?since=1-1", "unknown"],
    ] as const
  ) {
    const response = await ask(log, query);
    assertEquals(response.headers.get("chat-gap"), gap);
    assertEquals((await ids(response)).length, 100);
  }
});
