/**
 * The laws of a message log as one suite that every log must pass, whatever it
 * is kept in. Nothing here assumes that a read answers in the turn it was asked in.
 */

import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { mock } from "node:test";
import { type ChatMessage, compareIds, parseId } from "../chat_message.ts";
import { Room } from "../room.ts";
import { EventReader } from "../tests/event_reader.ts";
import { openMainLog } from "../tests/open_log.ts";
import { until } from "../tests/until.ts";
import { testModeration } from "./conformance_moderation.ts";
import {
  KeyConflictError,
  type LogEntry,
  type LogPage,
  LogUnavailableError,
  type MessageLog,
  type MessageStore,
  type Range,
  type Retention,
  RoomLimitError,
} from "./message_log.ts";

/** What a log is opened with for a test. */
export interface ConformanceOptions extends Retention {
  readonly now?: () => number;
}

/** Where the logs of one test are kept. */
export interface LogStorage extends AsyncDisposable {
  /** Opens the store: an empty one the first time, then the same again. */
  open(options: ConformanceOptions): Promise<MessageStore> | MessageStore;
}

/** What the suite needs to know about a log. */
export interface ConformanceSubject {
  readonly name: string;
  /** Storage with nothing in it yet. */
  newStorage(): Promise<LogStorage> | LogStorage;
  /** The tests can't run here. */
  readonly ignore?: boolean;
  /** What was appended is there when the log is opened again. */
  readonly survives: boolean;
  /** It is kept in another program, which answers in its own time whatever a test's clock shows. */
  readonly isRemote?: boolean;
}

/** Registers the suite for a log. */
export function testMessageLog(
  { name, newStorage, ignore, survives, isRemote }: ConformanceSubject,
): void {
  /** A test with a log of its own that keeps 1,000 messages. */
  function test(law: string, run: (log: MessageLog) => Promise<void>): void {
    testStorage(law, async (storage) => {
      await using log = await openMainLog(await storage.open({ keep: 1000 }));
      await run(log);
    });
  }
  function testStorage(law: string, run: (storage: LogStorage) => Promise<void>): void {
    Deno.test(`${name} ${law}`, { ignore }, async () => {
      await using storage = await newStorage();
      await run(storage);
    });
  }

  function fakeTimers(): Disposable {
    mock.timers.enable({ apis: isRemote ? ["setInterval"] : ["setTimeout", "setInterval"] });
    return { [Symbol.dispose]: () => mock.timers.reset() };
  }

  test("append() resolves with the message and its id", async (log) => {
    const { entry, repeated } = await log.append({ nickname: "ann", message: "hi" });
    assertEquals(repeated, false);
    assertMatch(entry.id, /^\d{13}-\d+$/);
    const { id, nickname, message, timestamp, time } = JSON.parse(entry.json);
    assertEquals({ id, nickname, message }, { id: entry.id, nickname: "ann", message: "hi" });
    assertEquals(new Date(time).toTimeString().slice(0, 8), timestamp);
    assert(!entry.json.includes("\n"));
  });

  test("keeps messages in the order of appending, with increasing ids", async (log) => {
    const appended = await appendAll(log, 300);
    const { entries } = await readAll(log);
    assertEquals(entries, appended);
    assertIncreasing(entries);
  });

  testStorage("gives increasing ids when the clock steps back, too", async (storage) => {
    let time = Date.UTC(2026, 10, 23);
    await using log = await openMainLog(await storage.open({ keep: 1000, now: () => time }));
    const before = await appendAll(log, 3);
    time -= 3_600_000;
    const after = await appendAll(log, 3);
    assertIncreasing([...before, ...after]);
  });

  if (survives) {
    testStorage(
      "continues where it ended when it is opened again, even if the clock stepped back",
      async (storage) => {
        const time = Date.UTC(2026, 10, 23);
        let before: LogEntry[];
        {
          await using log = await openMainLog(
            await storage.open({
              keep: 1000,
              now: () => time,
            }),
          );
          before = await appendAll(log, 3);
        }
        await using log = await openMainLog(
          await storage.open({ keep: 1000, now: () => time - 3_600_000 }),
        );
        const after = await appendAll(log, 3);
        const { entries, missed } = await readAll(log);
        assertEquals(entries, [...before, ...after]);
        assertEquals(missed, 0);
        assertIncreasing(entries);
      },
    );
  }

  test("calls subscribers with each message once, in order, after it can be read", async (log) => {
    const emitted: LogEntry[] = [];
    const read: Promise<LogPage>[] = [];
    using _subscription = log.subscribe(({ entries }) => {
      emitted.push(...entries);
      read.push(log.read({ latest: 1 }));
    });
    const appended = [...await appendAll(log, 20), ...await appendAll(log, 20)];
    await until(() => emitted.length === appended.length);
    assertEquals(emitted, appended);
    for (const page of await Promise.all(read)) assertEquals(page.entries.length, 1);
  });

  test("calls nobody who has unsubscribed", async (log) => {
    let calls = 0;
    const subscription = log.subscribe(() => calls++);
    subscription[Symbol.dispose]();
    await appendAll(log, 1);
    assertEquals(calls, 0);
  });

  test("makes one batch of what is appended in one turn", async (log) => {
    const sizes: number[] = [];
    using _subscription = log.subscribe(({ entries }) => sizes.push(entries.length));
    await Promise.all(Array.from({ length: 100 }, (_, n) => append(log, `${n}`)));
    await until(() => sizes.length > 0);
    assertEquals(sizes, [100]);
  });

  test("read({ since }) continues exactly after a cursor, page by page", async (log) => {
    const appended = await appendAll(log, 300);
    for (const index of [0, 1, 62, 63, 64, 150, 298]) {
      const { entries, missed } = await readAll(log, { since: appended[index].id });
      assertEquals(missed, 0);
      assertEquals(entries, appended.slice(index + 1));
    }
    const { id } = appended.at(-1)!;
    const end = { entries: [], missed: 0, cursor: id, end: id, hasOlder: true };
    assertEquals(await log.read({ since: id }), end);
  });

  test("read() has a cursor for an empty log that a first message follows", async (log) => {
    const { entries, cursor, missed } = await log.read({ latest: 50 });
    assertEquals([entries, missed], [[], 0]);
    const appended = await appendAll(log, 2);
    const page = await readAll(log, { since: cursor });
    assertEquals([page.entries, page.missed], [appended, 0]);
  });

  test("read({ since }) says that it does not know a cursor, and gives all there is", async (log) => {
    const appended = await appendAll(log, 3);
    const { ms, seq } = parseId(appended[1].id)!;
    const unknown = ["0-0", "1-1", `${ms - 1}-${seq}`, `${ms}-${seq + 1000}`, `${ms * 2}-0`];
    for (const cursor of unknown) {
      const { entries, missed } = await readAll(log, { since: cursor });
      assertEquals([entries, missed], [appended, null], cursor);
    }
  });

  test("read({ latest }) gives the last messages, oldest first", async (log) => {
    const appended = await appendAll(log, 100);
    for (const count of [1, 50, 99, 100, 1000]) {
      const { entries, hasOlder } = await readAll(log, { latest: count });
      assertEquals(entries, appended.slice(-count));
      assertEquals(hasOlder, count < 100);
    }
    const none = await log.read({ latest: 0 });
    assertEquals([none.entries, none.cursor, none.hasOlder], [[], appended.at(-1)!.id, true]);
  });

  test("read({ before }) gives the messages before one, oldest first", async (log) => {
    const appended = await appendAll(log, 100);
    for (const [before, first] of [[70, 20], [50, 0], [10, 0], [0, 0]]) {
      const { entries, missed, hasOlder } = await readAll(log, {
        before: appended[before].id,
        count: 50,
      });
      assertEquals(entries, appended.slice(first, before));
      assertEquals([missed, hasOlder], [0, first > 0]);
    }
    assertEquals((await log.read({ before: "0-0", count: 50 })).entries, []);
  });

  testStorage("keeps the last messages and says how many were missed", async (storage) => {
    await using log = await openMainLog(await storage.open({ keep: 10 }));
    const appended = await appendAll(log, 100);
    assertEquals((await readAll(log, { latest: 1000 })).entries, appended.slice(-10));
    assertEquals((await readAll(log)).entries, appended.slice(-10));
    const before = await readAll(log, { before: appended[95].id, count: 50 });
    assertEquals([before.entries, before.hasOlder], [appended.slice(90, 95), false]);
    for (const [last, missed] of [[0, 89], [79, 10], [88, 1], [89, 0]]) {
      const page = await readAll(log, { since: appended[last].id });
      assertEquals([page.entries, page.missed], [appended.slice(-10), missed], `${last}`);
    }
  });

  test("read() gives long messages in pages of bounded size", async (log) => {
    const message = "é".repeat(2000);
    const posts = Array.from({ length: 60 }, () => log.append({ nickname: "ann", message }));
    const appended = (await Promise.all(posts)).map(({ entry }) => entry);
    const ranges: Range[] = [
      { latest: 50 },
      { since: appended[9].id },
      { before: appended[59].id, count: 50 },
    ];
    for (const range of ranges) {
      const { entries } = await log.read(range);
      const size = new TextEncoder().encode(entries.map(({ json }) => json).join()).length;
      assert(entries.length > 1 && size < 20_000, `${size} bytes`);
      const first = "before" in range ? 9 : 10;
      assertEquals((await readAll(log, range)).entries, appended.slice(first, first + 50));
    }
  });

  testStorage("refuses what is appended once it is disposed of", async (storage) => {
    const log = await openMainLog(await storage.open({ keep: 1000 }));
    await log[Symbol.asyncDispose]();
    await assertRejects(() => append(log, "too late"), LogUnavailableError);
    await assertRejects(() => log.read({ latest: 1 }), LogUnavailableError);
    await log[Symbol.asyncDispose]();
  });

  test("goes on when a subscriber throws, and answers every post", async (log) => {
    const reported: unknown[] = [];
    const report = (event: ErrorEvent) => {
      event.preventDefault();
      reported.push(event.error);
    };
    globalThis.addEventListener("error", report);
    using _off = { [Symbol.dispose]: () => globalThis.removeEventListener("error", report) };
    const fault = new Error("a fault of the subscriber");
    const received: LogEntry[] = [];
    using _throws = log.subscribe(() => {
      throw fault;
    });
    using _other = log.subscribe(({ entries }) => received.push(...entries));
    const appended = [await append(log, "one"), await append(log, "two")];
    await until(() => received.length === 2);
    assertEquals(received, appended);
    assertEquals(reported, [fault, fault]);
  });

  test("append() takes a post with the same key once", async (log) => {
    const post = { nickname: "ann", message: "hi", key: "k1" };
    const first = await log.append(post);
    const again = await log.append(post);
    assertEquals(again, { entry: first.entry, repeated: true });
    const [third, fourth] = await Promise.all([1, 2].map(() => log.append({ ...post, key: "k2" })));
    assertEquals([third.repeated, fourth.repeated], [false, true]);
    assertEquals(third.entry, fourth.entry);
    assertEquals((await readAll(log)).entries.length, 2);
  });

  test("append() answers a repeat of whoever may no longer write", async (log) => {
    const post = { nickname: "ann", message: "hi", key: "k1" };
    const { entry } = await log.append(post);
    const refusal = new Error("muted");
    assertEquals(await log.append(post, () => refusal), { entry, repeated: true });
    for (const key of ["k2", undefined]) {
      assertEquals(await assertRejects(() => log.append({ ...post, key }, () => refusal)), refusal);
    }
    assertEquals((await readAll(log)).entries, [entry]);
  });

  test("append() refuses a key that came with another text", async (log) => {
    const { entry } = await log.append({ nickname: "ann", message: "hi", key: "k" });
    const others = [{ nickname: "ann", message: "ho" }, { nickname: "ben", message: "hi" }];
    for (const other of others) {
      await assertRejects(() => log.append({ ...other, key: "k" }), KeyConflictError);
    }
    assertEquals((await readAll(log)).entries, [entry]);
  });

  testStorage("forgets a key with its message", async (storage) => {
    await using log = await openMainLog(await storage.open({ keep: 10 }));
    const first = await log.append({ nickname: "ann", message: "hi", key: "k" });
    await appendAll(log, 10);
    const second = await log.append({ nickname: "ann", message: "ho", key: "k" });
    assertEquals(second.repeated, false);
    assertNotEquals(second.entry.id, first.entry.id);
    assertEquals((await log.append({ nickname: "ann", message: "ho", key: "k" })).repeated, true);
  });

  if (survives) {
    testStorage("remembers keys when it is opened again", async (storage) => {
      const post = { nickname: "ann", message: "hi", key: "k" };
      let first: LogEntry;
      {
        await using log = await openMainLog(await storage.open({ keep: 1000 }));
        first = (await log.append(post)).entry;
      }
      await using log = await openMainLog(await storage.open({ keep: 1000 }));
      assertEquals(await log.append(post), { entry: first, repeated: true });
    });
  }

  testStorage("probe() writes and leaves nothing, and fails once it is closed", async (storage) => {
    const store = await storage.open({ keep: 10 });
    {
      await using log = await store.openLog("");
      const before = await appendAll(log, 3);
      await store.probe();
      assertEquals((await readAll(log)).entries, before);
    }
    assertEquals(await store.rooms(), [{ name: "", messages: 3 }]);
    await store[Symbol.asyncDispose]();
    await assertRejects(() => store.probe(), LogUnavailableError);
  });

  test("carries every text through unchanged", async (log) => {
    const texts = [
      "a\nb",
      "\u2028\u2029",
      "  inner  ",
      "👋🏽 שלום",
      '"\\',
      "\ud83d\udc4b".repeat(2000),
    ];
    for (const message of texts) await log.append({ nickname: "ann", message });
    const { entries } = await readAll(log);
    const messages = entries.map(({ json }) => (JSON.parse(json) as ChatMessage).message);
    assertEquals(messages, texts);
  });

  testStorage("answers what was appended before it is disposed of", async (storage) => {
    const log = await openMainLog(await storage.open({ keep: 1000 }));
    const appending = append(log, "last words");
    await log[Symbol.asyncDispose]();
    assertMatch((await appending).id, /-/);
  });

  testStorage("has ids, keys and what is kept for each room", async (storage) => {
    await using store = await storage.open({ keep: 3 });
    await using biology = await store.openLog("biology");
    await using physics = await store.openLog("physics");
    const post = { nickname: "ann", message: "hi", key: "k" };
    const [first, second] = await Promise.all([biology.append(post), physics.append(post)]);
    assertEquals([first.repeated, second.repeated], [false, false]);
    assertEquals([parseId(first.entry.id)!.seq, parseId(second.entry.id)!.seq], [1, 1]);
    await appendAll(biology, 5);
    assertEquals((await readAll(biology)).entries.length, 3);
    assertEquals((await readAll(physics)).entries, [second.entry]);
    // Also once both have messages.
    const later = { ...post, key: "later" };
    const [third, fourth] = await Promise.all([biology.append(later), physics.append(later)]);
    assertEquals([third.repeated, fourth.repeated], [false, false]);
  });

  testStorage("takes a key once in the turn in which a room begins", async (storage) => {
    await using store = await storage.open({ keep: 100 });
    await using biology = await store.openLog("biology");
    await using physics = await store.openLog("physics");
    const post = { nickname: "ann", message: "hi", key: "k" };
    const posts = [biology.append(post), biology.append(post), physics.append(post)];
    const [first, second, other] = await Promise.all(posts);
    assertEquals([first.repeated, second.repeated, other.repeated], [false, true, false]);
    assertEquals(second.entry, first.entry);
  });

  testStorage("takes a cursor of another room for an unknown one", async (storage) => {
    let now = Date.UTC(2026, 0, 1);
    await using store = await storage.open({ keep: 100, now: () => now });
    await using biology = await store.openLog("biology");
    await using physics = await store.openLog("physics");
    const [{ id }] = await appendAll(biology, 1);
    now++;
    await appendAll(physics, 3);
    const { missed, entries } = await physics.read({ since: id });
    assertEquals([missed, entries.length], [null, 3]);
    assertEquals((await physics.read({ before: id, count: 50 })).missed, null);
  });

  testStorage(
    "takes no cursor of a room for one of another that began with it",
    async (storage) => {
      await using store = await storage.open({ keep: 100, now: () => Date.UTC(2026, 0, 1) });
      await using biology = await store.openLog("biology");
      await using physics = await store.openLog("physics");
      const cursors = [(await biology.read({ latest: 0 })).cursor];
      // In one turn, as the first of each.
      const [first] = await Promise.all([append(biology, "hi"), append(physics, "hi")]);
      cursors.push(first.id);
      for (const since of cursors) {
        assertEquals((await biology.read({ since })).missed, 0);
        assertEquals((await physics.read({ since })).missed, null);
      }
    },
  );

  testStorage("continues a room that is closed and opened again", async (storage) => {
    await using store = await storage.open({ keep: 100 });
    const write = async () => {
      await using log = await store.openLog("biology");
      return (await append(log, "hi")).id;
    };
    const ids = [await write(), await write()];
    await using log = await store.openLog("biology");
    const { entries, missed } = await log.read({ since: ids[0] });
    assertEquals([entries.map(({ id }) => id), missed], [[ids[1]], 0]);
    assertEquals(ids.map((id) => parseId(id)!.seq), [1, 2]);
  });

  testStorage("stores what is appended to many rooms in one turn together", async (storage) => {
    await using store = await storage.open({ keep: 100 });
    const heard: string[] = [];
    const logs: MessageLog[] = [];
    for (const name of ["", "biology", "physics"]) {
      const log = await store.openLog(name);
      log.subscribe(({ entries }) => heard.push(`${name}: ${entries.length}`));
      logs.push(log);
    }
    await Promise.all(logs.flatMap((log) => [append(log, "one"), append(log, "two")]));
    assertEquals(heard, [": 2", "biology: 2", "physics: 2"]);
    for (const log of logs) await log[Symbol.asyncDispose]();
  });

  testStorage("refuses to write in a room that would be one too many", async (storage) => {
    await using store = await storage.open({ keep: 100, maxRooms: 2 });
    const [main, ...logs] = await Promise.all(
      ["", "biology", "physics", "poetry"].map((name) => store.openLog(name)),
    );
    const posts = await Promise.allSettled([main, ...logs].map((log) => append(log, "hi")));
    assertEquals(posts.map(({ status }) => status), [
      "fulfilled",
      "fulfilled",
      "fulfilled",
      "rejected",
    ]);
    await assertRejects(() => append(logs[2], "again"), RoomLimitError);
    await append(logs[1], "another");
    for (const log of [main, ...logs]) await log[Symbol.asyncDispose]();
  });

  testStorage("has room for another when a room has no messages left", async (storage) => {
    using _real = fakeTimers();
    let now = Date.UTC(2026, 0, 1);
    const options = { keep: 100, keepDays: 1, maxRooms: 1, now: () => now };
    await using store = await storage.open(options);
    await using biology = await store.openLog("biology");
    await using physics = await store.openLog("physics");
    await append(biology, "hi");
    await assertRejects(() => append(physics, "hi"), RoomLimitError);
    now += 25 * 60 * 60_000;
    mock.timers.tick(60_000);
    mock.timers.tick(1000);
    await append(physics, "hi");
  });

  testStorage(
    "never repeats an id, also where a room begins anew before the time it ended",
    async (storage) => {
      using _real = fakeTimers();
      const start = Date.UTC(2026, 0, 1);
      let now = start;
      await using store = await storage.open({ keep: 100, keepDays: 1, now: () => now });
      const write = async () => {
        await using log = await store.openLog("biology");
        return (await append(log, "hi")).id;
      };
      now = start + 60_000;
      const before = await write();
      now += 25 * 60 * 60_000;
      mock.timers.tick(60_000);
      now = start;
      mock.timers.tick(1000);
      const after = await write();
      assert(compareIds(after, before) > 0, `${before}, then ${after}`);
    },
  );

  testStorage("keeps no message longer than its days, in rooms open or not", async (storage) => {
    using _real = fakeTimers();
    const day = 24 * 60 * 60_000;
    let now = Date.UTC(2026, 0, 1);
    await using store = await storage.open({ keep: 100, keepDays: 2, now: () => now });
    const open = await store.openLog("open");
    const batches: number[] = [];
    open.subscribe(({ entries }) => batches.push(entries.length));
    const closed = await store.openLog("closed");
    const [old] = await appendAll(open, 3);
    await appendAll(closed, 3);
    await closed[Symbol.asyncDispose]();
    now += day;
    await appendAll(open, 1);
    now += day + 1;
    mock.timers.tick(60_000);
    const { missed, entries } = await open.read({ since: old.id });
    assertEquals([missed, entries.length], [2, 1]);
    assertEquals(batches.at(-1), 0);
    now += day;
    mock.timers.tick(60_000);
    assertEquals((await readAll(open)).entries, []);
    await open[Symbol.asyncDispose]();
    mock.timers.tick(60_000);
    // They begin anew or go on counting, and nobody takes them for what was there.
    for (const [name, count] of [["open", 4], ["closed", 3]] as const) {
      await using log = await store.openLog(name);
      const { seq } = parseId((await append(log, "hi")).id)!;
      const { missed } = await log.read({ since: old.id });
      assert(seq === 1 ? missed === null : seq === count + 1, `${name}: ${seq}, ${missed}`);
      assertEquals((await readAll(log)).entries.length, 1);
    }
  });

  testStorage("goes on counting in the main room when nothing of it is kept", async (storage) => {
    using _real = fakeTimers();
    let now = Date.UTC(2026, 0, 1);
    await using store = await storage.open({ keep: 100, keepDays: 1, now: () => now });
    {
      await using log = await store.openLog("");
      await appendAll(log, 3);
    }
    now += 25 * 60 * 60_000;
    mock.timers.tick(60_000);
    mock.timers.tick(60_000);
    await using log = await store.openLog("");
    assertEquals(parseId((await append(log, "hi")).id)!.seq, 4);
  });

  testModeration(testStorage, survives);

  testStorage("gives readers that join while others post an exact run", async (storage) => {
    const keep = 5000;
    const log = await openMainLog(await storage.open({ keep }));
    await using room = new Room(log, { heartbeatMs: 60_000 });
    await appendAll(log, 500);
    const transcripts: Promise<string[]>[] = [];
    const starts: string[] = [];
    for (let round = 0; round < 40; round++) {
      const { entries } = await readAll(log, { latest: 200 });
      const start = entries[round * 5].id;
      starts.push(start);
      transcripts.push(readUntil(room, start, "the end"));
      await Promise.all([1, 2, 3].map((n) => append(log, `round ${round} message ${n}`)));
      append(log, `between ${round}`);
    }
    await append(log, "the end");
    const all = (await readAll(log)).entries.map(({ id }) => id);
    for (const [n, transcript] of (await Promise.all(transcripts)).entries()) {
      assertEquals(transcript, all.slice(all.indexOf(starts[n]) + 1));
    }
  });
}

/** The ids that a reader gets after `since`, to the message with that text. */
async function readUntil(room: Room, since: string, text: string): Promise<string[]> {
  await using reader = new EventReader(new Response(room.read({ since })));
  const ids = [];
  for (;;) {
    const { id, message } = await reader.nextMessage();
    ids.push(id);
    if (message === text) return ids;
  }
}

async function append(log: MessageLog, message: string): Promise<LogEntry> {
  return (await log.append({ nickname: "ann", message })).entry;
}

/** Appends `count` messages, some in one turn and some in turns of their own. */
async function appendAll(log: MessageLog, count: number): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  while (entries.length < count) {
    const size = Math.min(count - entries.length, 1 + entries.length % 7);
    const posts = Array.from({ length: size }, (_, n) => append(log, `message ${n}`));
    entries.push(...await Promise.all(posts));
  }
  return entries;
}

/** All pages of a range as one; all that is kept where none is given. */
export async function readAll(log: MessageLog, range: Range = { since: undefined }) {
  const entries: LogEntry[] = [];
  const first = await log.read(range);
  for (let page = first;; page = await log.read({ since: page.cursor })) {
    entries.push(...page.entries.filter(({ id }) => compareIds(id, first.end) <= 0));
    if (compareIds(page.cursor, first.end) >= 0) {
      return { entries, missed: first.missed, hasOlder: first.hasOlder };
    }
  }
}

function assertIncreasing(entries: readonly LogEntry[]): void {
  for (const [n, { id }] of entries.entries()) {
    if (n > 0) assertLess(compareIds(entries[n - 1].id, id), 0, `${entries[n - 1].id} ${id}`);
  }
}
