/**
 * The laws of a message log as one suite that every log must pass, whatever it
 * is kept in. Nothing here assumes that a read answers in the turn it was asked in.
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { ChatHub, type Reader } from "../chat_hub.ts";
import { type ChatMessage, compareIds, parseId } from "../chat_message.ts";
import { EventReader } from "../tests/event_reader.ts";
import { until } from "../tests/until.ts";
import { KeyConflictError, type LogEntry, type LogPage, type MessageLog } from "./message_log.ts";

/** What a log is opened with for a test. */
export interface ConformanceOptions {
  readonly keep: number;
  readonly now?: () => number;
}

/** Where the logs of one test are kept. */
export interface LogPlace extends AsyncDisposable {
  /** Opens the log at this place: an empty one the first time, then the same again. */
  open(options: ConformanceOptions): Promise<MessageLog> | MessageLog;
}

/** What the suite is to know of a log. */
export interface ConformanceSubject {
  readonly name: string;
  /** A place where nothing is yet. */
  newPlace(): Promise<LogPlace> | LogPlace;
  /** The tests can't run here. */
  readonly ignore?: boolean;
  /** What was appended is there when the log is opened again. */
  readonly survives: boolean;
}

/** Registers the suite for a log. */
export function testMessageLog({ name, newPlace, ignore, survives }: ConformanceSubject): void {
  /** A test with a log of its own that keeps 1,000 messages. */
  function test(law: string, run: (log: MessageLog) => Promise<void>): void {
    testPlace(law, async (place) => {
      await using log = await place.open({ keep: 1000 });
      await run(log);
    });
  }
  function testPlace(law: string, run: (place: LogPlace) => Promise<void>): void {
    Deno.test(`${name} ${law}`, { ignore }, async () => {
      await using place = await newPlace();
      await run(place);
    });
  }

  test("append() answers with the message and its id", async (log) => {
    const { entry, repeated } = await log.append({ nickname: "ann", message: "hi" });
    assertEquals(repeated, false);
    assertMatch(entry.id, /^\d{13}-\d+$/);
    const { id, nickname, message, timestamp, time } = JSON.parse(entry.json);
    assertEquals({ id, nickname, message }, { id: entry.id, nickname: "ann", message: "hi" });
    assertEquals(new Date(time).toTimeString().slice(0, 8), timestamp);
    assert(!entry.json.includes("\n"));
  });

  test("keeps messages in the order of appending, with rising ids", async (log) => {
    const appended = await appendAll(log, 300);
    const { entries } = await readAll(log);
    assertEquals(entries, appended);
    assertRising(entries);
  });

  testPlace("gives rising ids also when the clock steps back", async (place) => {
    let time = Date.UTC(2026, 10, 23);
    await using log = await place.open({ keep: 1000, now: () => time });
    const before = await appendAll(log, 3);
    time -= 3_600_000;
    const after = await appendAll(log, 3);
    assertRising([...before, ...after]);
  });

  if (survives) {
    testPlace("goes on where it ended, also when the clock stepped back", async (place) => {
      const time = Date.UTC(2026, 10, 23);
      let before: LogEntry[];
      {
        await using log = await place.open({
          keep: 1000,
          now: () => time,
        });
        before = await appendAll(log, 3);
      }
      await using log = await place.open({ keep: 1000, now: () => time - 3_600_000 });
      const after = await appendAll(log, 3);
      const { entries, missed } = await readAll(log);
      assertEquals(entries, [...before, ...after]);
      assertEquals(missed, 0);
      assertRising(entries);
    });
  }

  test("tells subscribers of each message once, in order, after it can be read", async (log) => {
    const told: LogEntry[] = [];
    const read: Promise<LogPage>[] = [];
    using _subscription = log.subscribe((batch) => {
      told.push(...batch);
      read.push(log.latest(1));
    });
    const appended = [...await appendAll(log, 20), ...await appendAll(log, 20)];
    await until(() => told.length === appended.length);
    assertEquals(told, appended);
    for (const page of await Promise.all(read)) assertEquals(page.entries.length, 1);
  });

  test("tells nobody who has unsubscribed", async (log) => {
    let told = 0;
    const subscription = log.subscribe(() => told++);
    subscription[Symbol.dispose]();
    await appendAll(log, 1);
    assertEquals(told, 0);
  });

  test("makes one batch of what is appended in one turn", async (log) => {
    const sizes: number[] = [];
    using _subscription = log.subscribe((batch) => sizes.push(batch.length));
    await Promise.all(Array.from({ length: 100 }, (_, n) => append(log, `${n}`)));
    await until(() => sizes.length > 0);
    assertEquals(sizes, [100]);
  });

  test("since() continues exactly after a cursor, page by page", async (log) => {
    const appended = await appendAll(log, 300);
    for (const index of [0, 1, 62, 63, 64, 150, 298]) {
      const { entries, missed } = await readAll(log, appended[index].id);
      assertEquals(missed, 0);
      assertEquals(entries, appended.slice(index + 1));
    }
    const end = await log.since(appended.at(-1)!.id);
    assertEquals(end, { entries: [], missed: 0, cursor: appended.at(-1)!.id, more: false });
  });

  test("since() has a cursor for an empty log that a first message follows", async (log) => {
    const { entries, cursor, missed } = await log.latest(50);
    assertEquals([entries, missed], [[], 0]);
    const appended = await appendAll(log, 2);
    assertEquals(await readAll(log, cursor), { entries: appended, missed: 0 });
  });

  test("since() says that it does not know a cursor, and gives all there is", async (log) => {
    const appended = await appendAll(log, 3);
    const { ms, seq } = parseId(appended[1].id)!;
    const unknown = ["0-0", "1-1", `${ms - 1}-${seq}`, `${ms}-${seq + 1000}`, `${ms * 2}-0`];
    for (const cursor of unknown) {
      assertEquals(await readAll(log, cursor), { entries: appended, missed: null }, cursor);
    }
  });

  test("latest() gives the last messages, oldest first", async (log) => {
    const appended = await appendAll(log, 100);
    for (const count of [1, 50, 99, 100, 1000]) {
      const { entries, cursor, more } = await log.latest(count);
      assertEquals(entries, appended.slice(-count));
      assertEquals([cursor, more], [appended.at(-1)!.id, false]);
    }
    assertEquals((await log.latest(0)).entries, []);
  });

  test("before() gives the messages before one, oldest first", async (log) => {
    const appended = await appendAll(log, 100);
    assertEquals(await log.before(appended[70].id, 50), appended.slice(20, 70));
    assertEquals(await log.before(appended[10].id, 50), appended.slice(0, 10));
    assertEquals(await log.before(appended[0].id, 50), []);
    assertEquals(await log.before("0-0", 50), []);
  });

  testPlace("keeps the last messages and tells how many were missed", async (place) => {
    await using log = await place.open({ keep: 10 });
    const appended = await appendAll(log, 100);
    assertEquals((await log.latest(1000)).entries, appended.slice(-10));
    assertEquals((await readAll(log)).entries, appended.slice(-10));
    assertEquals(await log.before(appended[95].id, 50), appended.slice(90, 95));
    const old = await readAll(log, appended[79].id);
    assertEquals(old.entries, appended.slice(-10));
    assert(old.missed === 10 || old.missed === null);
    const edge = await readAll(log, appended[89].id);
    assertEquals([edge.entries.length, edge.missed], [10, 0]);
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

  test("append() refuses a key that came with another text", async (log) => {
    const { entry } = await log.append({ nickname: "ann", message: "hi", key: "k" });
    const others = [{ nickname: "ann", message: "ho" }, { nickname: "ben", message: "hi" }];
    for (const other of others) {
      await assertRejects(() => log.append({ ...other, key: "k" }), KeyConflictError);
    }
    assertEquals((await readAll(log)).entries, [entry]);
  });

  testPlace("forgets a key with its message", async (place) => {
    await using log = await place.open({ keep: 10 });
    const first = await log.append({ nickname: "ann", message: "hi", key: "k" });
    await appendAll(log, 10);
    const second = await log.append({ nickname: "ann", message: "ho", key: "k" });
    assertEquals(second.repeated, false);
    assertNotEquals(second.entry.id, first.entry.id);
    assertEquals((await log.append({ nickname: "ann", message: "ho", key: "k" })).repeated, true);
  });

  if (survives) {
    testPlace("remembers keys when it is opened again", async (place) => {
      const post = { nickname: "ann", message: "hi", key: "k" };
      let first: LogEntry;
      {
        await using log = await place.open({ keep: 1000 });
        first = (await log.append(post)).entry;
      }
      await using log = await place.open({ keep: 1000 });
      assertEquals(await log.append(post), { entry: first, repeated: true });
    });
  }

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

  testPlace("answers what was appended before it is disposed of", async (place) => {
    const log = await place.open({ keep: 1000 });
    const appending = append(log, "last words");
    await log[Symbol.asyncDispose]();
    assertMatch((await appending).id, /-/);
  });

  testPlace("gives readers that join while others post an exact run", async (place) => {
    const keep = 5000;
    await using log = await place.open({ keep });
    using hub = new ChatHub({ log, heartbeatMs: 60_000, maxBufferBytes: 1_000_000 });
    await appendAll(log, 500);
    const transcripts: Promise<string[]>[] = [];
    const starts: string[] = [];
    for (let round = 0; round < 40; round++) {
      const { entries } = await log.latest(200);
      const start = entries[round * 5].id;
      starts.push(start);
      transcripts.push(readUntil(hub, start, "the end"));
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

/** The ids that a reader of the hub gets after `since`, to the message with that text. */
async function readUntil(hub: ChatHub, since: string, text: string): Promise<string[]> {
  let joined: Reader;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => void (joined = hub.join(controller, { since })),
    pull: () => hub.pull(joined),
    cancel: () => hub.leave(joined),
  });
  await using reader = new EventReader(new Response(stream));
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

/** Appends so many messages, some in one turn and some in turns of their own. */
async function appendAll(log: MessageLog, count: number): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  while (entries.length < count) {
    const size = Math.min(count - entries.length, 1 + entries.length % 7);
    const posts = Array.from({ length: size }, (_, n) => append(log, `message ${n}`));
    entries.push(...await Promise.all(posts));
  }
  return entries;
}

/** All pages after a cursor, and how many messages were missed before the first. */
async function readAll(log: MessageLog, since?: string) {
  const entries: LogEntry[] = [];
  const first = await log.since(since);
  for (let page = first;; page = await log.since(page.cursor)) {
    entries.push(...page.entries);
    assertEquals(page.cursor, entries.at(-1)?.id ?? page.cursor);
    if (!page.more) return { entries, missed: first.missed };
    assertGreater(page.entries.length, 0);
  }
}

function assertRising(entries: readonly LogEntry[]): void {
  for (const [n, { id }] of entries.entries()) {
    if (n > 0) assertLess(compareIds(entries[n - 1].id, id), 0, `${entries[n - 1].id} ${id}`);
  }
}
