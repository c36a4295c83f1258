/** Copies of a log in SQLite, and what a chat makes of one that it is started with. */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { Room } from "../room.ts";
import { EventReader } from "../tests/event_reader.ts";
import { newFolder } from "../tests/folder.ts";
import { openMainLog } from "../tests/open_log.ts";
import { replaced } from "../tests/replaced.ts";
import { type LogEntry, type MessageLog, RemovedError } from "./message_log.ts";
import { backUp } from "./sqlite_backup.ts";
import { SqliteStore } from "./sqlite_store.ts";

const { state } = await Deno.permissions.query({ name: "write" });
const ignore = state !== "granted";

async function append(log: MessageLog, message: string): Promise<LogEntry> {
  return (await log.append({ nickname: "ann", message })).entry;
}

async function open(path: string): Promise<MessageLog> {
  return await openMainLog(SqliteStore.open(path, { keep: 1000 }));
}

async function readAll(log: MessageLog): Promise<string[]> {
  const ids: string[] = [];
  for (let page = await log.read({ since: undefined });;) {
    ids.push(...page.entries.map(({ id }) => id));
    if (page.cursor === page.end) return ids;
    page = await log.read({ since: page.cursor });
  }
}

function namesIn(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
}

Deno.test("backUp() copies messages, keys, removals and states of a log that is open", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const [path, copy] = [`${folder.path}/chat.db`, `${folder.path}/copy.db`];
  const post = { nickname: "ann", message: "hi", key: "k" };
  const closed = { closed: true, muted: [] };
  await using store = SqliteStore.open(path, { keep: 1000 });
  await using main = store.openLog("");
  await using biology = store.openLog("biology");
  await biology.update(() => closed);
  for (let n = 0; n < 300; n++) await append(main, `message ${n}`);
  const { entry } = await main.append(post);
  const { entry: removed } = await main.append({ ...post, key: "removed" });
  await main.remove({ id: removed.id });
  const { messages, bytes } = await backUp(path, copy);
  assertEquals(messages, 301);
  assertEquals(bytes, Deno.statSync(copy).size);
  await append(main, "later");
  await using copied = SqliteStore.open(copy, { keep: 1000 });
  await using log = copied.openLog("");
  assertEquals((await readAll(log)).length, 302);
  assertEquals(copied.secret, store.secret);
  assertEquals((await log.append(post)).entry, entry);
  await assertRejects(() => log.append({ ...post, key: "removed" }), RemovedError);
  await using state = copied.openLog("biology");
  assertEquals(state.state, closed);
});

Deno.test("backUp() copies a log that nobody has open, and leaves its file alone", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const [path, copy] = [`${folder.path}/chat.db`, `${folder.path}/copy.db`];
  {
    await using log = await open(path);
    await append(log, "hi");
  }
  const before = await Deno.readFile(path);
  assertEquals((await backUp(path, copy)).messages, 1);
  assertEquals(await Deno.readFile(path), before);
  assertEquals(namesIn(folder.path), ["chat.db", "chat.db-lock", "copy.db"]);
});

Deno.test("backUp() makes a file that only its user can read", {
  ignore: ignore || Deno.build.os === "windows",
}, async () => {
  await using folder = await newFolder();
  const [path, copy] = [`${folder.path}/chat.db`, `${folder.path}/copy.db`];
  await using _log = await open(path);
  await backUp(path, copy);
  assertEquals(Deno.statSync(copy).mode! & 0o777, 0o600);
});

Deno.test("backUp() says in one line what is wrong, and leaves nothing behind", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = (name: string) => `${folder.path}/${name}`;
  await (await open(path("chat.db")))[Symbol.asyncDispose]();
  await Deno.writeTextFile(path("text.db"), "Not a database. ".repeat(1000));
  for (
    const [name, sql] of [["other.db", "CREATE TABLE accounts (name TEXT)"], [
      "newer.db",
      "PRAGMA application_id = 0x43484154; PRAGMA user_version = 99;",
    ]]
  ) {
    using db = new DatabaseSync(path(name));
    db.exec(sql);
  }
  const damaged = await Deno.readFile(path("chat.db"));
  damaged.fill(0xff, 4096, 8192);
  await Deno.writeFile(path("damaged.db"), damaged);
  const names = namesIn(folder.path);
  const cases = [
    ["chat.db", "chat.db", "chat.db is there already; name a file that is not"],
    ["chat.db", "none/copy.db", "none/copy.db can't be written; create its folder"],
    ["none.db", "copy.db", "there is no message log"],
    ["text.db", "copy.db", "text.db is not a database"],
    ["other.db", "copy.db", "is a database of another program"],
    ["newer.db", "copy.db", "was written by a newer version"],
    ["damaged.db", "copy.db", "damaged.db is damaged"],
  ];
  for (const [source, target, problem] of cases) {
    const { message } = await assertRejects(() => backUp(path(source), path(target)), Error);
    assertStringIncludes(message, problem);
    assertEquals(message.split("\n").length, 1);
  }
  assertEquals(namesIn(folder.path), names);
});

Deno.test("backUp() says whose right it takes where the folder is closed to its user", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const [path, copy] = [`${folder.path}/chat.db`, `${folder.path}/copy.db`];
  await Deno.writeTextFile(path, "");
  const { lstatSync } = Deno;
  const cases = [
    [path, "chat.db can't be read; run it as the user that the server runs as"],
    [copy, "copy.db can't be written; create its folder and give this user permission"],
  ];
  for (const [closed, problem] of cases) {
    using _closed = replaced(Deno, "lstatSync", (path: string) => {
      if (path === closed) throw new Deno.errors.PermissionDenied("Permission denied");
      return lstatSync(path);
    });
    await assertRejects(() => backUp(path, copy), Error, problem);
  }
});

Deno.test("backUp() deletes what killed ones to the same file have left, and nothing else", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = (name: string) => `${folder.path}/${name}`;
  await using _log = await open(path("chat.db"));
  const others = ["copy.db.old", "copy.db.part", "other.db.1a2b.part"];
  for (const name of [...others, "copy.db.1a2b.part", "copy.db.1a2b.part-journal"]) {
    await Deno.writeTextFile(path(name), "text");
  }
  await backUp(path("chat.db"), path("copy.db"));
  const names = namesIn(folder.path).filter((name) => !name.startsWith("chat.db"));
  assertEquals(names, ["copy.db", ...others]);
});

Deno.test("backUp() leaves nothing of a copy that is ended while it is made", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const [path, copy] = [`${folder.path}/chat.db`, `${folder.path}/copy.db`];
  await using _log = await open(path);
  const names = namesIn(folder.path);
  const controller = new AbortController();
  const copying = backUp(path, copy, controller.signal);
  controller.abort(new Error("SIGINT has ended it"));
  await assertRejects(() => copying, Error, "SIGINT has ended it");
  assertEquals(namesIn(folder.path), names);
});

Deno.test("backUp() replaces no file that came to be while it copied", { ignore }, async () => {
  await using folder = await newFolder();
  const [path, copy] = [`${folder.path}/chat.db`, `${folder.path}/copy.db`];
  await using _log = await open(path);
  const copying = backUp(path, copy);
  await Deno.writeTextFile(copy, "text");
  await assertRejects(() => copying, Error, "copy.db is there already");
  assertEquals(await Deno.readTextFile(copy), "text");
});

Deno.test("backUp() takes a file as an earlier version has left it, and keeps it so", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const [path, copy] = [`${folder.path}/chat.db`, `${folder.path}/copy.db`];
  {
    using db = new DatabaseSync(path);
    db.exec(`
      PRAGMA application_id = 0x43484154;
      PRAGMA user_version = 1;
      CREATE TABLE messages (seq INTEGER PRIMARY KEY, ms INTEGER, key TEXT, json TEXT) STRICT;
      INSERT INTO messages VALUES (1, 2000, NULL, '{}');
    `);
  }
  assertEquals((await backUp(path, copy)).messages, 1);
  using db = new DatabaseSync(copy);
  assertEquals(db.prepare("PRAGMA user_version").get()!.user_version, 1);
});

Deno.test("a copy goes on after the cursors in it, and gives a gap for those it does not have", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const [path, copy] = [`${folder.path}/chat.db`, `${folder.path}/copy.db`];
  const given = new Set<string>();
  const kept: string[] = [];
  const lost: string[] = [];
  {
    await using log = await open(path);
    for (let n = 0; n < 5; n++) kept.push((await append(log, `kept ${n}`)).id);
    await backUp(path, copy);
    for (let n = 0; n < 5; n++) lost.push((await append(log, `lost ${n}`)).id);
    for (const id of [...kept, ...lost]) given.add(id);
  }
  const room = new Room(await open(copy), { heartbeatMs: 15_000 });
  await using _room = room;
  const later: string[] = [];
  for (let n = 0; n < 7; n++) later.push((await append(room.log, `later ${n}`)).id);
  assert(later.every((id) => !given.has(id)));
  const events = async (since: string) => {
    const response = new Response(room.read({ since }), {
      headers: { "content-type": "text/event-stream" },
    });
    await using reader = new EventReader(response);
    const events: string[] = [];
    while (events.at(-1) !== later.at(-1)) {
      const { event = "message", id = "", data } = (await reader.next())!;
      if (data === undefined) continue;
      if (event === "gap") events.push(data);
      else if (event === "message") events.push(String(id));
    }
    return events;
  };
  for (const [n, id] of kept.entries()) {
    assertEquals(await events(id), [...kept.slice(n + 1), ...later], `kept ${n}`);
  }
  for (const [n, id] of lost.entries()) {
    assertEquals(await events(id), ['{"missed":null}', ...kept, ...later], `lost ${n}`);
  }
});
