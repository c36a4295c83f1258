/** The log in SQLite: the laws of every log, and what only a file can be wrong with. */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { newFolder } from "../tests/folder.ts";
import { until } from "../tests/until.ts";
import { testMessageLog } from "./conformance.ts";
import { openMessageLog } from "./open.ts";
import { SqliteLog } from "./sqlite_log.ts";

const { state } = await Deno.permissions.query({ name: "write" });
const ignore = state !== "granted";

testMessageLog({
  name: "memory:",
  survives: false,
  newPlace: () => ({
    open: (options) => SqliteLog.open(":memory:", options),
    [Symbol.asyncDispose]: async () => {},
  }),
});

testMessageLog({
  name: "sqlite:",
  survives: true,
  ignore,
  async newPlace() {
    const folder = await newFolder();
    return {
      open: (options) => SqliteLog.open(`${folder.path}/chat.db`, options),
      [Symbol.asyncDispose]: folder[Symbol.asyncDispose],
    };
  },
});

Deno.test("SqliteLog.open() says in one line what is wrong with a file", { ignore }, async () => {
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
    [`${folder.path}/newer.db`, "newer version (schema 99, this one knows 1)"],
    [`${folder.path}/none/chat.db`, "none/chat.db can't be opened"],
    [folder.path, "can't be opened"],
  ];
  for (const [path, problem] of cases) {
    const error = assertThrows(() => openMessageLog(`sqlite:${path}`, { keep: 10 }), Error);
    assertStringIncludes(error.message, problem);
    assertStringIncludes(error.message, "--message-log");
    assertEquals(error.message.split("\n").length, 1);
  }
});

Deno.test("SqliteLog.open() refuses a file that a server has open", { ignore }, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  {
    await using _log = SqliteLog.open(path, { keep: 10 });
    const error = assertThrows(() => SqliteLog.open(path, { keep: 10 }), Error);
    assertStringIncludes(error.message, "is in use by another server");
  }
  await SqliteLog.open(path, { keep: 10 })[Symbol.asyncDispose]();
});

Deno.test("SqliteLog deletes what is no longer kept, in the background", { ignore }, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  {
    await using log = SqliteLog.open(path, { keep: 5000 });
    await Promise.all(
      Array.from({ length: 5000 }, () => log.append({ nickname: "ann", message: "hi" })),
    );
  }
  {
    await using log = SqliteLog.open(path, { keep: 10 });
    await until(() => log.stored === 10);
  }
  using db = new DatabaseSync(path);
  assertEquals({ ...db.prepare("SELECT count(*) AS count FROM messages").get() }, { count: 10 });
});
