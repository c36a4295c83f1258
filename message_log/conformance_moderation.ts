/** The laws of removing messages, and of what is kept besides them: part of the suite for every log. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { parseId } from "../chat_message.ts";
import { openMainLog } from "../tests/open_log.ts";
import { until } from "../tests/until.ts";
import { type LogStorage, readAll } from "./conformance.ts";
import { type LogEntry, type MessageLog, RemovedError, type RoomState } from "./message_log.ts";

const ANN = "ann-mark";
const BEN = "ben-mark";
const CLOSED: RoomState = { closed: true, muted: [] };

/** What registers a test of one law. */
type Register = (law: string, run: (storage: LogStorage) => Promise<void>) => void;

/** Registers the tests for a log; `survives` as in the suite. */
export function testModeration(testStorage: Register, survives: boolean): void {
  function test(law: string, run: (log: MessageLog) => Promise<void>): void {
    testStorage(law, async (storage) => {
      await using log = await openMainLog(await storage.open({ keep: 1000 }));
      await run(log);
    });
  }

  test("remove({ id }) takes a message out, by an entry of its own", async (log) => {
    const batches: (readonly LogEntry[])[] = [];
    const appended = await appendAll(log, 5);
    using _subscription = log.subscribe(({ entries }) => batches.push(entries));
    assertEquals(await log.remove({ id: appended[2].id }), 1);
    const [[removal]] = batches;
    const { id, removes, json } = removal;
    assertEquals([removes, JSON.parse(json)], [appended[2].id, { id, removes }]);
    assertEquals(parseId(id)!.seq, 6);
    const { entries, missed } = await readAll(log);
    assertEquals([entries, missed], [[...appended.toSpliced(2, 1), removal], 0]);
    for (const [n, { id: since }] of appended.entries()) {
      const page = await readAll(log, { since });
      assertEquals([page.missed, page.entries], [0, entries.slice(n < 2 ? n + 1 : n)]);
    }
    assertEquals((await log.read({ since: id })).entries, []);
  });

  test("remove() counts what is there, once", async (log) => {
    const [{ id }] = await appendAll(log, 3);
    assertEquals(await log.remove({ id }), 1);
    const removal = (await readAll(log)).entries.at(-1)!;
    const { ms, seq } = parseId(id)!;
    for (const other of [id, removal.id, `${ms}-${seq + 9}`, `${ms + 1}-${seq + 1}`, "1-0", "?"]) {
      assertEquals(await log.remove({ id: other }), 0, other);
    }
    assertEquals(await log.remove({ by: "nobody" }), 0);
    assertEquals(await log.remove("all"), 2);
    assertEquals(await log.remove("all"), 0);
    assertEquals(await log.remove({ by: ANN }), 0);
  });

  test("remove({ by }) takes all messages of a mark out", async (log) => {
    const appended = await appendAll(log, 900);
    const removals: LogEntry[] = [];
    using _subscription = log.subscribe(({ entries }) => removals.push(...entries));
    assertEquals(await log.remove({ by: BEN }), 450);
    const bens = appended.filter((_, n) => n % 2 === 1).map(({ id }) => id);
    assertEquals(removals.map(({ removes }) => removes), bens);
    const { entries, missed } = await readAll(log);
    assertEquals(entries, [...appended.filter((_, n) => n % 2 === 0), ...removals]);
    assertEquals(missed, 0);
    for (const n of [0, 1, 300, 301, 899]) {
      const page = await readAll(log, { since: appended[n].id });
      assertEquals([page.missed, page.entries[0]], [0, entries[Math.ceil((n + 1) / 2)]]);
    }
  });

  test('remove("all") takes everything out by one entry, and nothing is missing', async (log) => {
    const appended = await appendAll(log, 700);
    await log.remove({ id: appended[10].id });
    const removals: LogEntry[] = [];
    using _subscription = log.subscribe(({ entries }) => removals.push(...entries));
    assertEquals(await log.remove("all"), 699);
    assertEquals(removals.map(({ removes }) => removes), ["all"]);
    const later = await appendAll(log, 2);
    const expected = [...removals.slice(0, 1), ...later];
    for (const n of [0, 10, 300, 699]) {
      const page = await readAll(log, { since: appended[n].id });
      assertEquals([page.missed, page.entries], [0, expected]);
    }
    assertEquals((await readAll(log)).entries, expected);
    assertEquals((await readAll(log, { since: expected[0].id })).entries, later);
    const { missed, entries } = await readAll(log, { since: "1-1" });
    assertEquals([missed, entries], [null, expected]);
    const before = await readAll(log, { before: later[1].id, count: 50 });
    assertEquals([before.entries, before.missed, before.hasOlder], [[later[0]], 0, false]);
  });

  test("read() gives as many messages as it is asked for, if they are there", async (log) => {
    const appended = await appendAll(log, 300);
    await log.remove({ by: BEN });
    const anns = appended.filter((_, n) => n % 2 === 0);
    const messages = ({ entries }: { entries: LogEntry[] }) =>
      entries.filter(({ removes }) => removes === undefined);
    for (const count of [1, 50, 149, 150, 1000]) {
      const page = await readAll(log, { latest: count });
      assertEquals(messages(page), anns.slice(-count));
      assertEquals(page.hasOlder, count < 150);
    }
    assertEquals((await log.read({ latest: 0 })).entries, []);
    for (const [before, first, end] of [[200, 50, 100], [201, 51, 101], [41, 0, 21], [1, 0, 1]]) {
      const page = await readAll(log, { before: appended[before].id, count: 50 });
      assertEquals(messages(page), anns.slice(first, end), `before ${before}`);
      assertEquals([page.missed, page.hasOlder], [0, first > 0]);
    }
  });

  test("read({ latest }) gives nothing where all has been removed one by one", async (log) => {
    for (const { id } of await appendAll(log, 3)) await log.remove({ id });
    assertEquals((await readAll(log, { latest: 50 })).entries, []);
    const next = await append(log, "next");
    assertEquals((await readAll(log, { latest: 50 })).entries, [next]);
  });

  testStorage("keeps as many messages as without removals", async (storage) => {
    await using log = await openMainLog(await storage.open({ keep: 10 }));
    const appended = await appendAll(log, 20);
    assertEquals(await log.remove({ by: BEN }), 5);
    const kept = async () =>
      (await readAll(log)).entries.filter(({ removes }) => removes === undefined);
    const expected = appended.slice(10).filter((_, n) => n % 2 === 0);
    assertEquals(await kept(), expected);
    for (let n = 0; n < 25; n++) {
      expected.push(await append(log, `${n}`));
      assertEquals(await kept(), expected.slice(-10));
    }
    // The places of what was removed are missing like any other.
    const { missed, entries } = await readAll(log, { since: appended[9].id });
    assertEquals(missed, parseId(entries[0].id)!.seq - 11);
  });

  test("delete() takes everything of a room out by one entry, and remembers nothing", async (log) => {
    const post = { nickname: "ann", message: "hi", by: ANN, address: "secret" };
    const keys = ["cleared", "removed", "there"];
    const ids: string[] = [];
    for (const key of keys) {
      ids.push((await log.append({ ...post, key })).entry.id);
      if (key === "cleared") await log.remove("all");
      if (key === "removed") await log.remove({ id: ids.at(-1)! });
    }
    await appendAll(log, 700);
    await log.update(() => CLOSED);
    const batches: LogEntry[] = [];
    using _subscription = log.subscribe(({ entries }) => batches.push(...entries));
    assertEquals(await log.delete(), 701);
    await until(() => batches.length > 0);
    assertEquals(batches.map(({ removes }) => removes), ["all"]);
    assertEquals([log.state, await log.addressOf(ANN)], [{ closed: false, muted: [] }, undefined]);
    const { entries } = await readAll(log);
    assertEquals(entries, batches);
    for (const id of ids) {
      const page = await readAll(log, { since: id });
      assertEquals([page.missed, page.entries], [0, batches]);
    }
    const before = parseId(batches[0].id)!;
    for (const [n, key] of keys.entries()) {
      const { entry, repeated } = await log.append({ ...post, key });
      const { ms, seq } = parseId(entry.id)!;
      assertEquals([repeated, seq, ms >= before.ms], [false, before.seq + n + 1, true]);
    }
    assertEquals(await log.addressOf(ANN), "secret");
  });

  testStorage("delete() has a room begin anew, with ids that it never gave", async (storage) => {
    const now = Date.UTC(2026, 0, 1);
    await using store = await storage.open({ keep: 100, maxRooms: 1, now: () => now });
    const given = new Set<string>();
    for (let n = 0; n < 3; n++) {
      await using biology = await store.openLog("biology");
      assertEquals((await readAll(biology, { latest: 50 })).entries, []);
      for (const { id } of await appendAll(biology, 5)) {
        assert(!given.has(id), id);
        given.add(id);
      }
      assertEquals(await biology.delete(), 5);
      assertEquals(await store.rooms(), []);
      if (n === 1) await biology.update(() => CLOSED);
      if (n === 1) assertEquals(await biology.delete(), 0);
      assertEquals(await store.rooms(), []);
      const { entries } = await readAll(biology);
      for (const { id } of entries) given.add(id);
    }
    await using physics = await store.openLog("physics");
    await append(physics, "hi");
    assertEquals(await physics.delete(), 1);
  });

  testStorage("delete() leaves nothing behind where there is no room", async (storage) => {
    await using store = await storage.open({ keep: 100 });
    await using log = await store.openLog("biology");
    assertEquals(await log.delete(), 0);
    assertEquals([(await readAll(log)).entries, await store.rooms()], [[], []]);
  });

  test("append() refuses the key of a removed message", async (log) => {
    const post = { nickname: "ann", message: "hi", key: "k" };
    const { entry } = await log.append(post);
    await log.remove({ id: entry.id });
    await assertRejects(() => log.append(post), RemovedError);
    await assertRejects(() => log.append({ ...post, message: "ho" }), RemovedError);
  });

  test("append() refuses the keys of messages that were removed all at once", async (log) => {
    const post = { nickname: "ann", message: "hi", key: "k" };
    await log.append(post);
    await log.append({ ...post, key: "removed before" });
    await log.remove({ id: (await readAll(log, { latest: 1 })).entries[0].id });
    await appendAll(log, 600);
    const keys = ["k", "removed before"];
    // Also while their rows are being deleted.
    const refused: Promise<unknown>[] = [];
    {
      using _subscription = log.subscribe(() => {
        for (const key of keys) {
          refused.push(assertRejects(() => log.append({ ...post, key }), RemovedError));
        }
      });
      await log.remove("all");
    }
    await Promise.all(refused);
    assertEquals(refused.length, 2);
    for (let n = 0; n < 2; n++) {
      for (const key of keys) {
        await assertRejects(() => log.append({ ...post, key }), RemovedError);
      }
      await append(log, "next");
      await log.remove("all");
    }
    assertEquals((await log.append({ ...post, key: "new" })).repeated, false);
  });

  test("has the messages of a moderator, and nobody else's, marked", async (log) => {
    const { entry } = await log.append({
      nickname: "ann",
      message: "hi",
      by: ANN,
      moderator: true,
      address: "secret",
    });
    const members = ["id", "nickname", "message", "timestamp", "time", "by", "moderator"];
    assertEquals(Object.keys(JSON.parse(entry.json)), members);
    assertEquals(JSON.parse(entry.json).moderator, true);
    assert(!("moderator" in JSON.parse((await append(log, "hi")).json)));
  });

  test("addressOf() knows where the last message of a mark came from", async (log) => {
    const post = (by: string, address?: string) =>
      log.append({ nickname: "ann", message: "hi", by, ...(address && { address }) });
    await post(ANN, "first");
    const { entry } = await post(ANN, "second");
    for (let n = 0; n < 600; n++) await post(BEN);
    assertEquals(await log.addressOf(ANN), "second");
    await log.remove({ id: entry.id });
    assertEquals(await log.addressOf(ANN), "second");
    assertEquals(await log.addressOf(BEN), undefined);
    assertEquals(await log.addressOf("nobody"), undefined);
    await log.remove("all");
    assertEquals(await log.addressOf(ANN), "second");
    assertEquals(await log.addressOf(BEN), undefined);
    await post(ANN, "third");
    assertEquals(await log.addressOf(ANN), "third");
  });

  testStorage("has a state, without the mutes that have ended", async (storage) => {
    let now = Date.UTC(2026, 0, 1);
    await using log = await openMainLog(await storage.open({ keep: 10, now: () => now }));
    assertEquals(log.state, { closed: false, muted: [] });
    const short = { by: ANN, since: now, until: now + 1000 };
    const long = { by: BEN, address: "secret", since: now, until: now + 2000 };
    const changes = [
      log.update((state) => ({ ...state, closed: true })),
      log.update((state) => ({ ...state, muted: [short, long] })),
    ];
    assertEquals((await Promise.all(changes))[1], { closed: true, muted: [short, long] });
    now += 1000;
    assertEquals(log.state.muted, [long]);
    const seen: RoomState[] = [];
    await log.update((state) => {
      seen.push(state);
      return state;
    });
    assertEquals(seen, [{ closed: true, muted: [long] }]);
  });

  testStorage("append() goes by the state that the room has then", async (storage) => {
    const now = Date.UTC(2026, 0, 1);
    await using log = await openMainLog(await storage.open({ keep: 10, now: () => now }));
    const asked: (RoomState | number)[] = [];
    const refusal = new Error("closed");
    const post = () =>
      log.append({ nickname: "ann", message: "hi" }, (state, time) => {
        asked.push(state, time);
        return state.closed ? refusal : undefined;
      });
    const [before, , after] = await Promise.allSettled([post(), log.update(() => CLOSED), post()]);
    assertEquals([before.status, after.status], ["fulfilled", "rejected"]);
    assertEquals(asked, [{ closed: false, muted: [] }, now, CLOSED, now]);
    assertEquals((await readAll(log)).entries.length, 1);
  });

  test("keeps its state when a change of it fails", async (log) => {
    await log.update(() => CLOSED);
    const change = () => {
      throw new RangeError("too many");
    };
    const [post] = await Promise.all([
      append(log, "in the same turn"),
      assertRejects(() => log.update(change), RangeError),
    ]);
    assertEquals([log.state, (await readAll(log)).entries], [CLOSED, [post]]);
  });

  testStorage("counts rooms with a state only as rooms without messages", async (storage) => {
    await using store = await storage.open({ keep: 100, maxRooms: 1 });
    await using main = await store.openLog("");
    await using biology = await store.openLog("biology");
    await using physics = await store.openLog("physics");
    await biology.update(() => CLOSED);
    assertEquals(await store.rooms(), [{ name: "biology", messages: 0 }]);
    const [{ id }] = await appendAll(physics, 3);
    await physics.remove({ id });
    await append(main, "hi");
    const byName = async () => (await store.rooms()).toSorted((a, b) => a.name < b.name ? -1 : 1);
    assertEquals(await byName(), [
      { name: "", messages: 1 },
      { name: "biology", messages: 0 },
      { name: "physics", messages: 2 },
    ]);
    await assertRejects(() => append(biology, "hi"), Error, "As many rooms");
    await physics.remove("all");
    await biology.update((state) => ({ ...state, closed: false }));
    await append(biology, "hi");
    await assertRejects(() => append(physics, "hi"), Error, "As many rooms");
    assertEquals((await byName()).map(({ name }) => name), ["", "biology"]);
  });

  testStorage("knows the sessions that have ended before their time", async (storage) => {
    let now = Date.UTC(2026, 0, 1);
    await using store = await storage.open({ keep: 100, now: () => now });
    await store.revoked.add("a", now / 1000 + 10);
    assertEquals([store.revoked.has("a"), store.revoked.has("b")], [true, false]);
    now += 10_000;
    assertEquals(store.revoked.has("a"), false);
  });

  testStorage("calls subscribers with a session that ends, once that is known", async (storage) => {
    await using store = await storage.open({ keep: 100 });
    const ended: unknown[] = [];
    using _subscription = store.revoked.subscribe((id) => ended.push(id, store.revoked.has(id)));
    const over = store.revoked.subscribe(() => ended.push("over"));
    over[Symbol.dispose]();
    await store.revoked.add("a", Date.now() / 1000 + 10);
    await until(() => ended.length > 0);
    assertEquals(ended, ["a", true]);
  });

  if (!survives) return;

  testStorage("remembers what was removed when it is opened again", async (storage) => {
    const post = { nickname: "ann", message: "hi", key: "k" };
    let entries: LogEntry[];
    let ids: string[];
    {
      await using log = await openMainLog(await storage.open({ keep: 100 }));
      const appended = [(await log.append(post)).entry, ...await appendAll(log, 10)];
      ids = appended.map(({ id }) => id);
      await log.remove({ id: ids[0] });
      await log.remove({ by: BEN });
      entries = (await readAll(log)).entries;
    }
    {
      await using log = await openMainLog(await storage.open({ keep: 100 }));
      assertEquals((await readAll(log)).entries, entries);
      assertEquals((await readAll(log, { since: ids[1] })).missed, 0);
      await assertRejects(() => log.append(post), RemovedError);
      assertEquals(await log.remove("all"), 5);
    }
    await using log = await openMainLog(await storage.open({ keep: 100 }));
    await assertRejects(() => log.append(post), RemovedError);
    const page = await readAll(log, { since: ids[4] });
    assertEquals([page.missed, page.entries.map(({ removes }) => removes)], [0, ["all"]]);
  });

  testStorage(
    "remembers nothing of a room that was deleted when it is opened again",
    async (storage) => {
      const post = { nickname: "ann", message: "hi", key: "k", by: ANN, address: "secret" };
      {
        await using store = await storage.open({ keep: 100 });
        await using log = await store.openLog("biology");
        await log.append(post);
        await log.update(() => CLOSED);
        await log.delete();
      }
      await using store = await storage.open({ keep: 100 });
      assertEquals(await store.rooms(), []);
      await using log = await store.openLog("biology");
      assertEquals([log.state, await log.addressOf(ANN)], [
        { closed: false, muted: [] },
        undefined,
      ]);
      assertEquals((await readAll(log, { latest: 50 })).entries, []);
      assertEquals((await log.append(post)).repeated, false);
    },
  );

  testStorage("remembers states and ended sessions when it is opened again", async (storage) => {
    const now = Date.UTC(2026, 0, 1);
    {
      await using store = await storage.open({ keep: 100, now: () => now });
      await using log = await store.openLog("biology");
      await log.update(() => CLOSED);
      await store.revoked.add("a", now / 1000 + 10);
      await store.revoked.add("b", now / 1000 + 1);
    }
    await using store = await storage.open({ keep: 100, now: () => now + 5000 });
    await using log = await store.openLog("biology");
    assertEquals(log.state, CLOSED);
    assertEquals(["a", "b"].map((id) => store.revoked.has(id)), [true, false]);
  });
}

async function append(log: MessageLog, message: string): Promise<LogEntry> {
  return (await log.append({ nickname: "ann", message })).entry;
}

/** Appends messages of two marks in turn. */
async function appendAll(log: MessageLog, count: number): Promise<LogEntry[]> {
  const posts = Array.from(
    { length: count },
    (_, n) => log.append({ nickname: "ann", message: `message ${n}`, by: n % 2 === 0 ? ANN : BEN }),
  );
  return (await Promise.all(posts)).map(({ entry }) => entry);
}
