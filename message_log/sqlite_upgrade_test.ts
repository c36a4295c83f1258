/**
 * Files as each earlier version of the schema has left them: what is in them is there after an upgrade.
 * The texts here stay as they are; a new step of the schema adds a file.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { newFolder } from "../tests/folder.ts";
import { type MessageLog, RemovedError } from "./message_log.ts";
import { SqliteStore } from "./sqlite_store.ts";

const { state } = await Deno.permissions.query({ name: "write" });
const ignore = state !== "granted";

const HI = { nickname: "ann", message: "hi", key: "k" };

/** A room in the file of an earlier version. */
interface OldRoom {
  readonly name: string;
  /** The cursor before its first message, and what a reader is told from there. */
  readonly born: string;
  readonly ids: readonly string[];
  readonly missed: number;
  /** A cursor just before the first, which is no longer kept. */
  readonly gone?: string;
}

/** The file of an earlier version. In each room the first message that is kept has the key "k". */
interface OldFile {
  readonly version: number;
  readonly sql: string;
  readonly rooms: readonly OldRoom[];
  readonly secret?: Uint8Array<ArrayBuffer>;
  /** Keys of messages that were removed, in the first room. */
  readonly removed?: readonly string[];
}

const ONE_ROOM = `
  CREATE TABLE log (born INTEGER NOT NULL) STRICT;
  INSERT INTO log (born) VALUES (1000);
  CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    ms INTEGER NOT NULL,
    key TEXT,
    json TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX messages_key ON messages (key) WHERE key IS NOT NULL;
  INSERT INTO messages VALUES (3, 2000, 'k', '{"nickname":"ann","message":"hi"}');
  INSERT INTO messages VALUES (4, 2001, NULL, '{"nickname":"ann","message":"ho"}');
`;
const MAIN: OldRoom = {
  name: "",
  born: "1000-0",
  ids: ["2000-3", "2001-4"],
  missed: 2,
  gone: "1500-2",
};

const OLD_FILES: readonly OldFile[] = [
  { version: 1, sql: ONE_ROOM, rooms: [MAIN] },
  {
    version: 2,
    sql: `
      ${ONE_ROOM}
      CREATE TABLE runs (seq INTEGER PRIMARY KEY, ms INTEGER NOT NULL) STRICT;
      INSERT INTO runs VALUES (0, 1000), (3, 2001);
    `,
    rooms: [MAIN],
  },
  {
    version: 3,
    sql: `
      CREATE TABLE log (born INTEGER NOT NULL, secret BLOB) STRICT;
      INSERT INTO log VALUES (1000, x'0102');
      CREATE TABLE rooms (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        born INTEGER NOT NULL,
        last INTEGER NOT NULL,
        ms INTEGER NOT NULL
      ) STRICT;
      INSERT INTO rooms VALUES (1, '', 1000, 0, 1000), (7, 'biology', 900, 0, 900);
      CREATE TABLE messages (
        room INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        ms INTEGER NOT NULL,
        key TEXT,
        json TEXT NOT NULL,
        PRIMARY KEY (room, seq)
      ) STRICT, WITHOUT ROWID;
      INSERT INTO messages VALUES (7, 3, 2000, 'k', '{"nickname":"ann","message":"hi","by":"mark"}');
      INSERT INTO messages VALUES (7, 4, 2001, NULL, '{"nickname":"ann","message":"ho"}');
      INSERT INTO messages VALUES (1, 1, 2002, 'k', '{"nickname":"ann","message":"hi"}');
      CREATE UNIQUE INDEX messages_key ON messages (room, key) WHERE key IS NOT NULL;
      CREATE TABLE runs (
        room INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        ms INTEGER NOT NULL,
        PRIMARY KEY (room, seq)
      ) STRICT, WITHOUT ROWID;
      INSERT INTO runs VALUES (1, 0, 1000), (7, 0, 1500);
    `,
    rooms: [
      { name: "biology", born: "900-0", ids: ["2000-3", "2001-4"], missed: 2, gone: "1700-2" },
      { name: "", born: "1000-0", ids: ["2002-1"], missed: 0 },
    ],
    secret: new Uint8Array([1, 2]),
  },
  {
    version: 4,
    sql: `
      CREATE TABLE log (
        born INTEGER NOT NULL, secret BLOB,
        erasure_due INTEGER NOT NULL DEFAULT 0, started INTEGER NOT NULL DEFAULT 0
      ) STRICT;
      INSERT INTO log VALUES (1000, x'0102', 0, 1500);
      CREATE TABLE rooms (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        born INTEGER NOT NULL,
        last INTEGER NOT NULL,
        ms INTEGER NOT NULL
        , state TEXT, oldest INTEGER NOT NULL DEFAULT 0) STRICT;
      INSERT INTO rooms VALUES
        (1, '', 1000, 0, 1000, NULL, 0),
        (7, 'biology', 900, 0, 900, '{"closed":true,"muted":[]}', 3);
      CREATE TABLE messages (
        room INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        ms INTEGER NOT NULL,
        key TEXT,
        json TEXT NOT NULL,
        address TEXT, removal TEXT,
        PRIMARY KEY (room, seq)
      ) STRICT, WITHOUT ROWID;
      INSERT INTO messages VALUES
        (7, 3, 2000, NULL, '{"id":"2000-3","removes":"all"}', NULL, 'all'),
        (7, 4, 2001, 'k', '{"nickname":"ann","message":"hi","by":"mark"}', 'home', NULL),
        (7, 5, 2002, 'one', '{"by":"mark"}', 'home', ''),
        (7, 6, 2003, NULL, '{"id":"2003-6","removes":"2002-5"}', NULL, '2002-5');
      CREATE UNIQUE INDEX messages_key ON messages (room, key) WHERE key IS NOT NULL;
      CREATE INDEX messages_removal ON messages (room, seq, removal) WHERE removal IS NOT NULL;
      CREATE TABLE runs (
        room INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        ms INTEGER NOT NULL,
        PRIMARY KEY (room, seq)
      ) STRICT, WITHOUT ROWID;
      INSERT INTO runs VALUES (1, 0, 1000), (7, 0, 1500);
      CREATE TABLE cleared (
        room INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        key TEXT,
        mark TEXT,
        address TEXT,
        PRIMARY KEY (room, seq)
      ) STRICT, WITHOUT ROWID;
      INSERT INTO cleared VALUES (7, 1, 'all', 'other', 'school');
      CREATE UNIQUE INDEX cleared_key ON cleared (room, key) WHERE key IS NOT NULL;
      CREATE INDEX cleared_mark ON cleared (room, mark, seq) WHERE address IS NOT NULL;
      CREATE TABLE revoked (id TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      INSERT INTO revoked VALUES ('session', 9);
      CREATE INDEX revoked_until ON revoked (until);
    `,
    rooms: [{ name: "biology", born: "900-0", ids: ["2000-3", "2001-4", "2003-6"], missed: 0 }],
    secret: new Uint8Array([1, 2]),
    removed: ["one", "all"],
  },
];

function write(path: string, { version, sql }: OldFile): void {
  using db = new DatabaseSync(path);
  db.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA application_id = 0x43484154;
    PRAGMA user_version = ${version};
    ${sql}
  `);
}

/** The tables with their columns, and the indexes. */
function schemaOf(path: string): unknown[] {
  using db = new DatabaseSync(path);
  return db.prepare(`
    SELECT s.type, s.name, s.tbl_name, group_concat(c.name || ' ' || c.type || c."notnull" || c.pk)
    FROM sqlite_schema AS s LEFT JOIN pragma_table_xinfo(s.name) AS c
    WHERE s.name NOT LIKE 'sqlite_%' GROUP BY s.name ORDER BY s.name
  `).all().map((row) => Object.values(row).join(" ").split(/[ ,]/).toSorted());
}

async function append(log: MessageLog): Promise<string> {
  return (await log.append({ nickname: "ann", message: "new" })).entry.id;
}

for (const file of OLD_FILES) {
  const { version, rooms, secret, removed = [] } = file;
  Deno.test(`SqliteStore.open() finds everything in a file of schema ${version}`, {
    ignore,
  }, async () => {
    await using folder = await newFolder();
    const path = `${folder.path}/chat.db`;
    write(path, file);
    // The second time it is a file of today.
    for (const now of [3000, 4000]) {
      await using store = SqliteStore.open(path, { keep: 100, now: () => now });
      if (secret) assertEquals(store.secret, secret);
      for (const [index, { name, born, ids, missed, gone }] of rooms.entries()) {
        await using log = store.openLog(name);
        const page = await log.read({ since: born });
        assertEquals(page.missed, missed);
        assertEquals(page.entries.map(({ id }) => id).slice(0, ids.length), ids);
        for (const [n, id] of ids.entries()) {
          const rest = await log.read({ since: id });
          assertEquals([rest.missed, rest.entries.length], [0, page.entries.length - n - 1], id);
        }
        if (gone) assertEquals((await log.read({ since: gone })).missed, 0);
        assertEquals((await log.append(HI)).repeated, true);
        for (const key of index === 0 ? removed : []) {
          await assertRejects(() => log.append({ ...HI, key }), RemovedError);
        }
        const seq = Number(page.cursor.split("-")[1]);
        assertEquals(await append(log), `${now}-${seq + 1}`);
      }
    }
  });
}

Deno.test("SqliteStore.open() finds addresses, states and ended sessions in a file of schema 4", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = `${folder.path}/chat.db`;
  write(path, OLD_FILES[3]);
  await using store = SqliteStore.open(path, { keep: 100, now: () => 3000 });
  await using log = store.openLog("biology");
  assertEquals(await log.addressOf("mark"), "home");
  assertEquals(await log.addressOf("other"), "school");
  assertEquals(log.state, { closed: true, muted: [] });
  assertEquals(store.revoked.has("session"), true);
  assertEquals(await log.remove({ by: "mark" }), 1);
});

Deno.test("SqliteStore.open() makes of every earlier file what a new one is", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const path = (name: string | number) => `${folder.path}/${name}.db`;
  const open = async (name: string | number) => {
    await SqliteStore.open(path(name), { keep: 100 })[Symbol.asyncDispose]();
    return schemaOf(path(name));
  };
  const expected = await open("new");
  for (const file of OLD_FILES) {
    write(path(file.version), file);
    assertEquals(await open(file.version), expected, `schema ${file.version}`);
  }
});
