/** The log in SQLite: the laws of every log, and what only a file can be wrong with. */

import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { mock } from "node:test";
import { newFolder } from "../tests/folder.ts";
import { openMainLog } from "../tests/open_log.ts";
import { replaced } from "../tests/replaced.ts";
import { until } from "../tests/until.ts";
import { testMessageLog } from "./conformance.ts";
import {
  KeyConflictError,
  type LogEntry,
  type MessageLog,
  type Removal,
  RemovedError,
  UnfinishedRemovalError,
} from "./message_log.ts";
import { openMessageStore } from "./open.ts";
import { SqliteStore, type SqliteStoreOptions } from "./sqlite_store.ts";

const { state } = await Deno.permissions.query({ name: "write" });
const ignore = state !== "granted";

testMessageLog({
  name: "memory:",
  survives: false,
  newStorage: () => ({
    open: (options) => SqliteStore.open(":memory:", options),
    [Symbol.asyncDispose]: async () => {},
  }),
});

testMessageLog({
  name: "sqlite:",
  survives: true,
  ignore,
  async newStorage() {
    const folder = await newFolder();
    return {
      open: (options) => SqliteStore.open(`${folder.path}/chat.db`, options),
      [Symbol.asyncDispose]: folder[Symbol.asyncDispose],
    };
  },
});

Deno.test("SqliteStore.open() says in one line what is wrong with a file", { ignore }, async () => {
  await using folder = await newFolder();
  const make = (name: string, sql: string) => {
    using db = new DatabaseSync(`${folder.path}/${name}`);
    db.exec(sql);
  };
  await Deno.writeTextFile(`${folder.path}/text.db`, "Not a database. ".repeat(1000));
  make("other.db", "CREATE TABLE accounts (name TEXT)");
  make("newer.db", "PRAGMA application_id = 0x43484154; PRAGMA user_version = 99;");
  const cases = [
    [`${folder.path}/text.db`, "text.db is not a database"],
    [`${folder.path}/other.db`, "is a database of another program"],
    [`${folder.path}/newer.db`, "newer version (schema 99, this one knows 4)"],
    [`${folder.path}/none/chat.db`, "none/chat.db can't be opened"],
    [folder.path, "can't be opened"],
  ];
  for (const [path, problem] of cases) {
    const error = await assertRejects(
      () => openMessageStore(`sqlite:${path}`, { keep: 10 }),
      Error,
    );
    assertStringIncludes(error.message, problem);
    assertStringIncludes(error.message, "--message-log");
    assertEquals(error.message.split("\n").length, 1);
  }
});

Deno.test("SqliteStore.open() refuses a file that a server has open", { ignore }, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  {
    await using _log = await open(path, { keep: 10 });
    const error = assertThrows(() => SqliteStore.open(path, { keep: 10 }), Error);
    assertStringIncludes(error.message, "is in use by another server");
  }
  await SqliteStore.open(path, { keep: 10 })[Symbol.asyncDispose]();
});

Deno.test("SqliteStore.open() refuses a file that a server has open by another name", {
  ignore: ignore || Deno.build.os === "windows",
}, async () => {
  await using folder = await newFolder();
  const [path, symlink, hardLink] = ["chat", "symlink", "hard_link"].map((name) =>
    `${folder.path}/${name}.db`
  );
  await using _log = await open(path, { keep: 10 });
  await Deno.symlink(path, symlink);
  assertThrows(() => SqliteStore.open(symlink, { keep: 10 }), Error, "is in use by another server");
  await Deno.link(path, hardLink);
  assertThrows(() => SqliteStore.open(hardLink, { keep: 10 }), Error, "has a second name");
});

Deno.test("SqliteStore.open() names the lock if that is what it can't write", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  await Deno.mkdir(`${path}-lock`);
  const error = assertThrows(() => SqliteStore.open(path, { keep: 10 }), Error);
  assertMatch(error.message, /lock .*chat\.db-lock can't be opened; .* --message-log$/);
});

Deno.test("SqliteStore.open() refuses a file on a file system that has no WAL", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const { prepare } = DatabaseSync.prototype;
  const prepareWithoutWal = function (this: DatabaseSync, sql: string) {
    return prepare.call(this, sql.replace("journal_mode = WAL", "journal_mode = DELETE"));
  };
  using _refusing = replaced(DatabaseSync.prototype, "prepare", prepareWithoutWal);
  const error = assertThrows(() => SqliteStore.open(`${folder.path}/chat.db`, { keep: 10 }), Error);
  assertMatch(
    error.message,
    /chat\.db is on a file system .* disk of this machine with --message-log$/,
  );
});

Deno.test("SqliteLog deletes what is no longer kept, in the background", { ignore }, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  {
    await using log = await open(path, { keep: 5000 });
    await Promise.all(Array.from({ length: 5000 }, () => append(log, "hi")));
  }
  mock.timers.enable({ apis: ["setTimeout"] });
  using _real = { [Symbol.dispose]: () => mock.timers.reset() };
  {
    await using log = await open(path, { keep: 10 });
    for (let n = 0; n < 20; n++) mock.timers.tick(50);
    assertEquals((await log.read({ latest: 100 })).entries.length, 10);
  }
  assertEquals(query(path, "SELECT count(*) AS it FROM messages"), 10);
});

Deno.test("SqliteLog leaves no timer when it is disposed of with a post to store", async () => {
  const log = await open(":memory:", { keep: 1 });
  await append(log, "one");
  const appending = append(log, "two");
  await log[Symbol.asyncDispose]();
  await appending;
});

Deno.test("SqliteStore.open() makes a file that only its user can read", {
  ignore: ignore || Deno.build.os === "windows",
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  await using log = await open(path, { keep: 10 });
  await append(log, "hi");
  for (const file of [path, `${path}-wal`]) {
    assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600, file);
  }
});

Deno.test("SqliteStore.probe() commits to the file each time", { ignore }, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  await using store = SqliteStore.open(path, { keep: 10 });
  const size = async () => (await Deno.stat(`${path}-wal`)).size;
  const sizes = [await size()];
  for (let n = 0; n < 3; n++) {
    await store.probe();
    sizes.push(await size());
  }
  for (let n = 1; n < sizes.length; n++) assertLess(sizes[n - 1], sizes[n]);
});

Deno.test("SqliteLog overwrites what is no longer kept", { ignore }, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  const secrets = Array.from({ length: 300 }, (_, n) => `secret ${n} ${"x".repeat(100)}`);
  {
    await using log = await open(path, { keep: 300 });
    for (const secret of secrets) await append(log, secret);
  }
  mock.timers.enable({ apis: ["setTimeout"] });
  using _real = { [Symbol.dispose]: () => mock.timers.reset() };
  {
    await using _log = await open(path, { keep: 10 });
    mock.timers.tick(50);
  }
  const file = new TextDecoder("latin1").decode(await Deno.readFile(path));
  assert(!file.includes("secret 289 "), "a deleted message is still in the file");
  assertStringIncludes(file, "secret 290 ");
});

Deno.test("SqliteStore.open() writes nothing to a database of another program", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/other.db`;
  {
    using db = new DatabaseSync(path);
    db.exec("CREATE TABLE accounts (name TEXT)");
  }
  const before = await Deno.readFile(path);
  assertThrows(() => SqliteStore.open(path, { keep: 10 }), Error, "another program");
  assertEquals(await Deno.readFile(path), before);
});

Deno.test("SqliteLog keeps 20,000 places of what is removed for nothing, and no more", async () => {
  await using log = await open(":memory:", { keep: 21_000 });
  const posts = Array.from(
    { length: 21_000 },
    () => log.append({ nickname: "ben", message: "hi", by: "ben-mark" }),
  );
  const [{ entry: first }] = await Promise.all(posts);
  assertEquals(await log.remove({ by: "ben-mark" }), 21_000);
  await append(log, "left");
  const { missed, entries } = await log.read({ latest: 50 });
  assertEquals([missed, entries.length], [0, 1]);
  // Of 42,001 places, 41,000 are kept.
  assertEquals((await log.read({ since: first.id })).missed, 1000);
});

Deno.test("SqliteLog gives the disk back what is no longer kept", { ignore }, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  const message = "x".repeat(4000);
  {
    await using log = await open(path, { keep: 2000 });
    await Promise.all(Array.from({ length: 2000 }, () => append(log, message)));
  }
  const before = (await Deno.stat(path)).size;
  {
    mock.timers.enable({ apis: ["setTimeout"] });
    using _real = { [Symbol.dispose]: () => mock.timers.reset() };
    await using _log = await open(path, { keep: 10 });
    for (let n = 0; n < 50; n++) mock.timers.tick(50);
  }
  const after = (await Deno.stat(path)).size;
  assert(after < before / 5, `${before} bytes, then ${after}`);
});

Deno.test(
  "SqliteLog that was closed takes nothing from rooms that come after it",
  { ignore },
  async () => {
    await using folder = await newFolder();
    mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
    using _real = { [Symbol.dispose]: () => mock.timers.reset() };
    let now = Date.UTC(2026, 0, 1);
    await using store = SqliteStore.open(`${folder.path}/chat.db`, {
      keep: 5000,
      keepDays: 1,
      now: () => now,
    });
    const write = async (room: string, count: number) => {
      await using log = store.openLog(room);
      const message = "x".repeat(4000);
      await Promise.all(Array.from({ length: count }, () => append(log, message)));
    };
    const countOf = async (room: string) => {
      await using log = store.openLog(room);
      let count = 0;
      for (let since: string | undefined, end = false; !end;) {
        const page = await log.read({ since });
        count += page.entries.length;
        since = page.cursor;
        end = page.cursor === page.end;
      }
      return count;
    };
    await write("old", 2000);
    now += 25 * 60 * 60_000;
    mock.timers.tick(60_000);
    // All while what was old is trimmed, and the file shrinks after it.
    for (let n = 1; n < 100; n++) {
      if (n % 5 === 0) await write(`new ${n}`, 3);
      if (n === 20) await write("old", 3);
      mock.timers.tick(50);
    }
    for (let n = 5; n < 100; n += 5) assertEquals(await countOf(`new ${n}`), 3, `new ${n}`);
    assertEquals(await countOf("old"), 3);
  },
);

Deno.test("SqliteLog reads on where rows are missing from the file, and says how many", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  const ids: string[] = [];
  {
    await using log = await open(path, { keep: 1000 });
    for (let n = 0; n < 400; n++) ids.push((await append(log, `${n}`)).id);
  }
  {
    using db = new DatabaseSync(path);
    // Sequence numbers count from 1: these are ids[100] to ids[299].
    db.exec("DELETE FROM messages WHERE seq > 100 AND seq <= 300");
    // A hole within a page.
    db.exec("DELETE FROM messages WHERE seq = 340");
  }
  await using log = await open(path, { keep: 1000 });
  const found: string[] = [];
  const gaps: (number | null)[] = [];
  for (let page = await log.read({ since: undefined });;) {
    found.push(...page.entries.map(({ id }) => id));
    if (page.missed !== 0) gaps.push(page.missed);
    if (page.cursor === page.end) break;
    page = await log.read({ since: page.cursor });
  }
  assertEquals(found, [...ids.slice(0, 100), ...ids.slice(300, 339), ...ids.slice(340)]);
  assertEquals(gaps, [200, 1]);
  const inHole = await log.read({ since: ids[150] });
  assertEquals([inHole.missed, inHole.entries[0].id], [149, ids[300]]);
  const after = await log.read({ before: ids[310], count: 50 });
  assertEquals([after.missed, after.entries.map(({ id }) => id)], [0, ids.slice(300, 310)]);
  assertEquals(after.hasOlder, true);
  const before = await log.read({ before: ids[300], count: 50 });
  assertEquals([before.missed, before.entries.at(-1)!.id], [200, ids[99]]);
  assertEquals(before.end, ids[99]);
});

Deno.test("SqliteLog takes no cursor of what an older copy of its file has lost", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  let now = Date.UTC(2026, 0, 1);
  const run = async (count: number) => {
    await using log = await open(path, { keep: 10, now: () => now });
    const ids: string[] = [];
    for (let n = 0; n < count; n++) {
      now++;
      ids.push((await append(log, `${n}`)).id);
    }
    return ids;
  };
  const kept = await run(20);
  const copy = await Deno.readFile(path);
  const lost = await run(20);
  await Deno.writeFile(path, copy);
  now += 1000;
  const later = await run(40);
  {
    using db = new DatabaseSync(path);
    // What is no longer kept is deleted, so that only its time can tell.
    db.exec("DELETE FROM messages WHERE seq <= 50");
  }
  await using log = await open(path, { keep: 10, now: () => now });
  for (const id of lost) assertEquals((await log.read({ since: id })).missed, null, id);
  for (const [n, id] of [...kept, ...later].entries()) {
    assertEquals((await log.read({ since: id })).missed, Math.max(0, 49 - n), id);
  }
});

Deno.test("SqliteLog knows the cursors of deleted messages when the clock stepped back", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  const noon = Date.UTC(2026, 0, 1, 12);
  let now = noon;
  const ids: string[] = [];
  for (const start of [noon, noon + 1000, noon]) {
    now = start;
    await using log = await open(path, { keep: 1, now: () => now });
    now = noon;
    ids.push((await append(log, "hi")).id);
  }
  mock.timers.enable({ apis: ["setTimeout"] });
  using _real = { [Symbol.dispose]: () => mock.timers.reset() };
  await using log = await open(path, { keep: 1, now: () => now });
  mock.timers.tick(50);
  for (const [n, id] of ids.entries()) {
    assertEquals((await log.read({ since: id })).missed, Math.max(0, 1 - n), id);
  }
});

Deno.test("SqliteLog gives no id again that an older copy of its file has lost", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  let now = Date.UTC(2026, 0, 1);
  const run = async () => {
    await using log = await open(path, { keep: 1, now: () => now });
    return (await append(log, "hi")).id;
  };
  await run();
  const copy = await Deno.readFile(path);
  const lost = await run();
  await Deno.writeFile(path, copy);
  now += 1000;
  await (await open(path, { keep: 1, now: () => now }))[Symbol.asyncDispose]();
  now -= 1000;
  assertNotEquals(await run(), lost);
  await using log = await open(path, { keep: 1, now: () => now });
  assertEquals((await log.read({ since: lost })).missed, null);
});

Deno.test(
  "SqliteLog gives no id again that a copy has lost, though nobody came before the clock stepped back",
  {
    ignore,
  },
  async () => {
    await using folder = await newFolder();
    const path = `${folder.path}/chat.db`;
    let now = Date.UTC(2026, 0, 1);
    const options = { keep: 1, now: () => now };
    await SqliteStore.open(path, options)[Symbol.asyncDispose]();
    const copy = await Deno.readFile(path);
    const run = async () => {
      await using log = await open(path, options);
      return (await append(log, "hi")).id;
    };
    const lost = await run();
    await Deno.writeFile(path, copy);
    now += 1000;
    await SqliteStore.open(path, options)[Symbol.asyncDispose]();
    now -= 1000;
    assertNotEquals(await run(), lost);
  },
);

Deno.test("SqliteLog refuses a key whose message was damaged in the file", { ignore }, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  const post = { nickname: "ann", message: "hi", key: "k" };
  {
    await using log = await open(path, { keep: 10 });
    await log.append(post);
  }
  {
    using db = new DatabaseSync(path);
    db.exec("UPDATE messages SET json = '{'");
  }
  await using log = await open(path, { keep: 10 });
  await assertRejects(() => log.append(post), KeyConflictError);
  assertEquals((await append(log, "next")).id.split("-")[1], "2");
});

interface Secret {
  readonly room: string;
  readonly text: string;
  readonly id: string;
  readonly by: string;
}

/** Writes as a busy chat does: in rooms at once, short and long messages, with keys and without. */
async function writeSecrets(logs: ReadonlyMap<string, MessageLog>): Promise<Secret[]> {
  const secrets: Secret[] = [];
  const rooms = [...logs.keys()];
  for (let turn = 0; turn < 600; turn++) {
    await Promise.all(Array.from({ length: 1 + turn % 4 }, async (_, n) => {
      const room = rooms[(turn * 7 + n) % rooms.length];
      const text = `SECRET-${turn}-${n}.`;
      const by = turn % 3 === 0 ? "ann-mark" : "ben-mark";
      const padding = "x".repeat(
        (turn * 31 + n * 17) % 10 === 0 ? 2500 : (turn * 13 + n * 29) % 150,
      );
      const { entry } = await logs.get(room)!.append({
        nickname: `${text}nick`,
        message: padding + text + padding,
        by,
        ...(turn % 2 === 0 && { key: `key ${turn} ${n}` }),
      });
      secrets.push({ room, text, id: entry.id, by });
    }));
  }
  return secrets;
}

/** Which of their texts are somewhere in a file or its WAL. */
function findSecrets(path: string): Set<string> {
  const found = new Set<string>();
  for (const file of [path, `${path}-wal`]) {
    if (!existsSync(file)) continue;
    const text = new TextDecoder("latin1").decode(Deno.readFileSync(file));
    for (const [secret] of text.matchAll(/SECRET-\d+-\d+\./g)) found.add(secret);
  }
  return found;
}

Deno.test("SqliteLog keeps nothing again that it had given up when others were removed", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  mock.timers.enable({ apis: ["setTimeout"] });
  using _real = { [Symbol.dispose]: () => mock.timers.reset() };
  const killed = `${folder.path}/killed.db`;
  {
    await using log = await open(path, { keep: 1 });
    const post = (by: string) => log.append({ nickname: "ann", message: "hi", by });
    for (const by of ["ann-mark", "ann-mark", "ben-mark"]) await post(by);
    using _subscription = log.subscribe(() => {
      for (const end of ["", "-wal"]) Deno.copyFileSync(path + end, killed + end);
    });
    const removing = log.remove({ by: "ben-mark" });
    let isOver = false;
    removing.finally(() => isOver = true);
    // The pauses of a removal are over at once, those of trimming never.
    while (!isOver) {
      mock.timers.tick(0);
      await nextTurn();
    }
    assertEquals(await removing, 1);
    assertEquals(query(killed, "SELECT count(*) AS it FROM messages"), 4);
  }
  assertEquals(query(path, "SELECT count(*) AS it FROM messages"), 2);
  await using log = await open(killed, { keep: 1 });
  const { entries } = await log.read({ since: undefined });
  assertEquals(entries.map(({ removes }) => removes !== undefined), [true]);
});

function openLogs(store: SqliteStore): Map<string, MessageLog> {
  return new Map(["", "biology", "physics"].map((room) => [room, store.openLog(room)]));
}

Deno.test("SqliteLog leaves nothing of what is removed in the file, nor in its WAL", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  {
    await using store = SqliteStore.open(path, { keep: 10_000 });
    const logs = openLogs(store);
    const secrets = await writeSecrets(logs);
    const isPicked = (n: number) => n % 50 === 0;
    for (const { room, id } of secrets.filter((_, n) => isPicked(n))) {
      await logs.get(room)!.remove({ id });
    }
    for (const log of logs.values()) await log.remove({ by: "ann-mark" });
    const left = new Set(
      secrets.filter(({ by }, n) => by !== "ann-mark" && !isPicked(n)).map(({ text }) => text),
    );
    assertEquals(findSecrets(path), left);
    // What SQLite has in memory of a page comes to the WAL with the next change of it.
    const found: Set<string>[] = [];
    for (const log of logs.values()) {
      log.subscribe(() => found.push(findSecrets(path)));
      await log.remove({ by: "ben-mark" });
    }
    assert(found.every((texts) => texts.isSubsetOf(left)));
    assertEquals(findSecrets(path), new Set());
  }
  assertEquals(query(path, "SELECT integrity_check AS it FROM pragma_integrity_check"), "ok");
  assertEquals(findSecrets(path), new Set());
});

Deno.test(
  "SqliteLog leaves nothing in the file of a room that is cleared",
  { ignore },
  async () => {
    await using folder = await newFolder();
    const path = `${folder.path}/chat.db`;
    await using store = SqliteStore.open(path, { keep: 10_000 });
    const logs = openLogs(store);
    const secrets = await writeSecrets(logs);
    for (const [name, log] of logs) {
      await log.remove("all");
      const texts = secrets.filter(({ room }) => room === name).map(({ text }) => text);
      assert(findSecrets(path).isDisjointFrom(new Set(texts)), name);
    }
  },
);

Deno.test("SqliteLog leaves nothing in the file of a room that is deleted, nor its name", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  const room = "SECRET-0-0.";
  const post = { nickname: "ann", message: "SECRET-1-1.", key: "SECRET-2-2." };
  await using store = SqliteStore.open(path, { keep: 10_000 });
  await using main = store.openLog("");
  {
    await using log = store.openLog(room);
    await log.append({ ...post, by: "SECRET-3-3.", address: "SECRET-4-4." });
    await log.remove("all");
    await log.append({ ...post, key: "SECRET-5-5." });
    const mute = { by: "SECRET-6-6.", since: 0, until: Date.now() + 60_000 };
    await log.update(() => ({ closed: true, muted: [mute] }));
    assertEquals(findSecrets(path).size, 7);
    await log.delete();
    assertEquals(findSecrets(path), new Set([room]));
  }
  await append(main, "hi");
  await until(() => findSecrets(path).size === 0);
});

Deno.test("SqliteLog that was deleted and closed has nothing left to do", { ignore }, async () => {
  await using folder = await newFolder();
  await using store = SqliteStore.open(`${folder.path}/chat.db`, { keep: 10 });
  const log = store.openLog("biology");
  await append(log, "hi");
  mock.timers.enable({ apis: ["setTimeout"] });
  using _real = { [Symbol.dispose]: () => mock.timers.reset() };
  let isOver = false;
  const deleting = log.delete().finally(() => isOver = true);
  while (!isOver) {
    mock.timers.tick(0);
    await nextTurn();
  }
  assertEquals(await deleting, 1);
  await log[Symbol.asyncDispose]();
  // What was planned while the room was there finds it gone.
  mock.timers.tick(25);
  assertEquals(await store.rooms(), []);
});

Deno.test("SqliteStore.open() makes up for the deletion of a room that a kill has interrupted", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  const killed = `${folder.path}/killed.db`;
  let given: Set<string>;
  {
    await using store = SqliteStore.open(path, { keep: 10_000 });
    const logs = openLogs(store);
    const secrets = (await writeSecrets(logs)).filter(({ room }) => room === "biology");
    given = new Set(secrets.map(({ text }) => text));
    await logs.get("biology")!.update(() => ({ closed: true, muted: [] }));
    using _copying = copyAtEach(logs.get("biology")!, path, killed);
    await logs.get("biology")!.delete();
  }
  assert(!findSecrets(killed).isDisjointFrom(given));
  await using store = SqliteStore.open(killed, { keep: 10_000 });
  assertEquals((await store.rooms()).map(({ name }) => name), ["", "physics"]);
  await until(() => isErased(killed));
  assert(findSecrets(killed).isDisjointFrom(given));
});

Deno.test("SqliteStore.open() makes up for the deletion of a room that a stop has interrupted", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  const write = (log: MessageLog, n: number) =>
    log.append({ nickname: "ann", message: "hi", key: `SECRET-${n}-1.`, by: "ann-mark" });
  {
    await using store = SqliteStore.open(path, { keep: 10_000 });
    const log = store.openLog("biology");
    await Promise.all(Array.from({ length: 3000 }, (_, n) => write(log, n)));
    await log.remove("all");
    const { promise: isPublished, resolve } = Promise.withResolvers<void>();
    using _subscription = log.subscribe(() => resolve());
    const deleting = log.delete();
    await isPublished;
    // The room goes on, so that it can't be forgotten as a whole.
    const writing = write(log, 9000);
    await store[Symbol.asyncDispose]();
    await writing;
    await assertRejects(() => deleting, UnfinishedRemovalError);
  }
  {
    using db = new DatabaseSync(path);
    // As a wipe leaves it that has ended between two steps.
    db.exec("UPDATE log SET erasure_due = 0");
  }
  assert(findSecrets(path).size > 1000);
  await using store = SqliteStore.open(path, { keep: 10_000 });
  await until(() => findSecrets(path).size === 1);
  await using log = store.openLog("biology");
  assertEquals((await write(log, 9000)).repeated, true);
  assertEquals((await write(log, 0)).repeated, false);
});

Deno.test("SqliteStore.open() drops a room as a whole, or not at all", { ignore }, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  {
    await using store = SqliteStore.open(path, { keep: 10_000 });
    const log = store.openLog("biology");
    await Promise.all(Array.from({ length: 1000 }, (_, n) => append(log, `SECRET-${n}-1.`)));
    const { promise: isPublished, resolve } = Promise.withResolvers<void>();
    using _subscription = log.subscribe(() => resolve());
    const deleting = log.delete();
    await isPublished;
    await store[Symbol.asyncDispose]();
    await assertRejects(() => deleting, UnfinishedRemovalError);
  }
  const sql = (text: string) => {
    using db = new DatabaseSync(path);
    db.exec(text);
  };
  const count = () => query(path, "SELECT count(*) AS it FROM messages");
  const before = count();
  sql("CREATE TRIGGER full BEFORE DELETE ON rooms BEGIN SELECT RAISE(ABORT, 'full'); END");
  await SqliteStore.open(path, { keep: 10_000 })[Symbol.asyncDispose]();
  assertEquals(count(), before);
  sql("DROP TRIGGER full");
  await using store = SqliteStore.open(path, { keep: 10_000 });
  await until(() => findSecrets(path).size === 0);
  assertEquals([count(), await store.rooms()], [0, []]);
});

Deno.test("SqliteStore leaves nothing in the file of what became too old, a day later at most", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  using _real = { [Symbol.dispose]: () => mock.timers.reset() };
  let now = Date.UTC(2026, 0, 1);
  await using store = SqliteStore.open(path, { keep: 10_000, keepDays: 2, now: () => now });
  const logs = openLogs(store);
  const secrets = await writeSecrets(logs);
  const isIdle = () => query(path, "SELECT count(*) AS it FROM messages") === 0 && isErased(path);
  for (const days of [2, 1]) {
    now += (days * 24 + 1) * 60 * 60_000;
    mock.timers.tick(60_000);
    for (let ticks = 0; ticks % 50 !== 0 || !isIdle(); ticks++) {
      assert(ticks < 2000, "it does not end");
      mock.timers.tick(25);
      await nextTurn();
    }
  }
  assertEquals(findSecrets(path), new Set());
  assert(secrets.length > 0);
});

/** Copies a file and its WAL as they are when something has become durable: what a kill then leaves. */
function copyAtEach(log: MessageLog, path: string, copy: string): Disposable {
  return log.subscribe(() => {
    for (const end of ["", "-wal"]) Deno.copyFileSync(path + end, copy + end);
  });
}

const REMOVALS: readonly (readonly [Removal, isRemoved: (secret: Secret) => boolean])[] = [
  [{ by: "ann-mark" }, ({ by }) => by === "ann-mark"],
  ["all", () => true],
];

for (const [removal, isRemoved] of REMOVALS) {
  const name = JSON.stringify(removal);
  Deno.test(`SqliteStore.open() makes up for a removal that a kill has interrupted: ${name}`, {
    ignore,
  }, async () => {
    await using folder = await newFolder();
    const path = `${folder.path}/chat.db`;
    const killed = `${folder.path}/killed.db`;
    let removed: Set<string>;
    {
      await using store = SqliteStore.open(path, { keep: 10_000 });
      const logs = openLogs(store);
      const secrets = (await writeSecrets(logs)).filter(({ room }) => room === "biology");
      removed = new Set(secrets.filter(isRemoved).map(({ text }) => text));
      using _copying = copyAtEach(logs.get("biology")!, path, killed);
      await logs.get("biology")!.remove(removal);
    }
    assert(!findSecrets(killed).isDisjointFrom(removed));
    {
      await using _store = SqliteStore.open(killed, { keep: 10_000 });
      // In the background: it is open by now.
      assert(!findSecrets(killed).isDisjointFrom(removed));
      await until(() => findSecrets(killed).isDisjointFrom(removed));
      await until(() => isErased(killed));
    }
    assert(findSecrets(killed).isDisjointFrom(removed));
  });
}

Deno.test("SqliteStore.open() makes up for a removal that a stop has interrupted", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  {
    await using store = SqliteStore.open(path, { keep: 10_000 });
    const log = store.openLog("biology");
    await Promise.all(Array.from({ length: 2000 }, (_, n) => append(log, `SECRET-${n}-1.`)));
    const { promise: isPublished, resolve } = Promise.withResolvers<void>();
    using _subscription = log.subscribe(() => resolve());
    const removing = log.remove("all");
    await isPublished;
    await store[Symbol.asyncDispose]();
    await assertRejects(() => removing, UnfinishedRemovalError);
  }
  assert(findSecrets(path).size > 0);
  await using _store = SqliteStore.open(path, { keep: 10_000 });
  await until(() => findSecrets(path).size === 0);
});

Deno.test("SqliteLog.remove() says when only the file could not be overwritten", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  await using log = await open(path, { keep: 10 });
  const { id } = await append(log, "SECRET-1-1.");
  {
    const fail = () => {
      throw Object.assign(new Error("Input/output error (os error 5)"), { code: "EIO" });
    };
    using _failing = replaced(Deno.FsFile.prototype, "syncDataSync", fail);
    await assertRejects(() => log.remove({ id }), UnfinishedRemovalError);
  }
  const { entries } = await log.read({ since: undefined });
  assertEquals(entries.map(({ removes }) => removes), [id]);
  {
    const fail = () => {
      throw new TypeError("a bug");
    };
    using _failing = replaced(Deno.FsFile.prototype, "syncDataSync", fail);
    await assertRejects(() => log.remove({ id }), TypeError);
  }
  // Whoever repeats it has the file overwritten.
  assertEquals(await log.remove({ id }), 0);
  assertEquals(findSecrets(path), new Set());
});

/** Reads a file as a backup does, until it is disposed of. */
function reading(path: string): Disposable {
  const db = new DatabaseSync(path);
  db.exec("BEGIN");
  db.prepare("SELECT count(*) FROM messages").get();
  return db;
}

Deno.test("SqliteLog.remove() waits for who reads the file, and leaves nothing in it then", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  await using log = await open(path, { keep: 100 });
  const { id } = await append(log, "SECRET-1-1.");
  let isOver = false;
  let removing: Promise<unknown>;
  {
    using _reading = reading(path);
    removing = log.remove({ id }).finally(() => isOver = true);
    await until(() => findSecrets(path).size === 1);
    for (let n = 0; n < 10; n++) await nextTurn();
    // Others do not see it any more, and posts do not wait.
    const entry = await append(log, "next");
    assertEquals((await log.read({ latest: 1 })).entries, [entry]);
    assertEquals([isOver, findSecrets(path).size], [false, 1]);
  }
  assertEquals(await removing, 1);
  assertEquals(findSecrets(path), new Set());
});

Deno.test(
  "SqliteLog.remove() says that the text is left where somebody reads on, and erases it then",
  {
    ignore,
  },
  async () => {
    await using folder = await newFolder();
    const path = `${folder.path}/chat.db`;
    await using log = await open(path, { keep: 100 });
    const { id } = await append(log, "SECRET-1-1.");
    mock.timers.enable({ apis: ["setTimeout"] });
    using _real = { [Symbol.dispose]: () => mock.timers.reset() };
    const wait = async (isOver: () => boolean) => {
      while (!isOver()) {
        mock.timers.tick(20);
        await nextTurn();
      }
    };
    {
      using _reading = reading(path);
      let error: unknown;
      log.remove({ id }).catch((reason) => error = reason);
      await wait(() => error !== undefined);
      assert(error instanceof UnfinishedRemovalError);
      assertEquals(findSecrets(path).size, 1);
    }
    await wait(() => findSecrets(path).size === 0);
  },
);

Deno.test("SqliteLog.remove() goes through the file once for many, and not for nothing", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  await using log = await open(`${folder.path}/chat.db`, { keep: 100 });
  const ids: string[] = [];
  for (let n = 0; n < 50; n++) ids.push((await append(log, "hi")).id);
  let scans = 0;
  const { syncDataSync } = Deno.FsFile.prototype;
  using _counting = replaced(Deno.FsFile.prototype, "syncDataSync", function (this: Deno.FsFile) {
    scans++;
    return syncDataSync.call(this);
  });
  for (const what of [{ id: "1-1" }, { by: "nobody" }]) assertEquals(await log.remove(what), 0);
  assertEquals(scans, 0);
  const removing = ids.map(async (id) => {
    await nextTurn();
    return await log.remove({ id });
  });
  assertEquals(await Promise.all(removing), ids.map(() => 1));
  assert(scans <= 2, `${scans}`);
});

Deno.test("SqliteStore.revoked forgets sessions in the order in which they would have ended", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  let now = 1_000_000;
  const options = { keep: 10, now: () => now };
  await SqliteStore.open(path, options)[Symbol.asyncDispose]();
  {
    using db = new DatabaseSync(path);
    // They would have ended in the seconds 2,001 to 52,000.
    db.exec(`
      WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 50000)
      INSERT INTO revoked SELECT 'session ' || n, 2000 + n FROM n ORDER BY n DESC
    `);
  }
  {
    await using store = SqliteStore.open(path, options);
    const isRevoked = (n: number) => store.revoked.has(`session ${n}`);
    assertEquals([1, 50_000].map(isRevoked), [true, true]);
    for (let n = 1; n <= 10; n++) await store.revoked.add(`new ${n}`, 90_000);
    // As many as there may be.
    assertEquals([1, 9, 21, 50_000].map(isRevoked), [false, false, true, true]);
    assertEquals(store.revoked.has("new 1"), true);
    now = 2_100_000;
    for (let n = 11; n <= 60; n++) await store.revoked.add(`new ${n}`, 90_000);
    assertEquals([100, 101].map(isRevoked), [false, true]);
  }
  assertEquals(query(path, "SELECT count(*) AS it FROM revoked WHERE until <= 2100"), 0);
  assertEquals(query(path, "SELECT count(*) <= 50000 AS it FROM revoked"), 1);
});

Deno.test("SqliteLog.remove() does a bounded part in one turn", async () => {
  await using log = await open(":memory:", { keep: 1000 });
  for (const [length, count, max] of [[4000, 50, 17], [1, 500, 100]]) {
    const message = "x".repeat(length);
    const post = { nickname: "ann", message, by: `mark-${length}` };
    await Promise.all(Array.from({ length: count }, () => log.append(post)));
    const sizes: number[] = [];
    using _subscription = log.subscribe(({ entries }) => sizes.push(entries.length));
    assertEquals(await log.remove({ by: post.by }), count);
    assert(Math.max(...sizes) <= max, `${sizes} messages of ${length} characters`);
  }
});

Deno.test("SqliteLog remembers 20,000 keys of a room that is cleared, and no more", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  {
    await using log = await open(path, { keep: 30_000 });
    for (let round = 0; round < 2; round++) {
      const post = (n: number) => ({ nickname: "ann", message: "hi", key: `${round} ${n}` });
      await Promise.all(Array.from({ length: 15_000 }, (_, n) => log.append(post(n))));
      assertEquals(await log.remove("all"), 15_000);
    }
    const post = { nickname: "ann", message: "hi" };
    await assertRejects(() => log.append({ ...post, key: "0 14000" }), RemovedError);
    assertEquals((await log.append({ ...post, key: "0 0" })).repeated, false);
  }
  assertEquals(query(path, "SELECT count(*) <= 20000 AS it FROM cleared"), 1);
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Whether it is noted that nothing of what was removed is left in a file, which a store has open. */
function isErased(path: string): boolean {
  for (const end of ["", "-wal"]) Deno.copyFileSync(path + end, `${path}.copy${end}`);
  return query(`${path}.copy`, "SELECT erasure_due AS it FROM log") === 0;
}

/** The main room's log in a file. */
async function open(path: string, options: SqliteStoreOptions): Promise<MessageLog> {
  return await openMainLog(SqliteStore.open(path, options));
}

async function append(log: MessageLog, message: string): Promise<LogEntry> {
  return (await log.append({ nickname: "ann", message })).entry;
}

function query(path: string, sql: string): unknown {
  using db = new DatabaseSync(path);
  return db.prepare(sql).get()!.it;
}
