/** The schema of the database: whose file it is, its tables, and how they grew. */

import type { DatabaseSync } from "node:sqlite";

/** Marks the file as ours in its header: "CHAT" in ASCII. */
const APPLICATION_ID = 0x43484154;
const SECRET_BYTES = 32;

/** How the schema grew; a file's `user_version` is the number of steps it has taken. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE log (born INTEGER NOT NULL) STRICT;
  INSERT INTO log (born) VALUES (:now);
  CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    ms INTEGER NOT NULL,
    key TEXT,
    json TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX messages_key ON messages (key) WHERE key IS NOT NULL;
  `,
  // Each run of the server: the messages after seq were written at ms or later.
  `
  CREATE TABLE runs (seq INTEGER PRIMARY KEY, ms INTEGER NOT NULL) STRICT;
  INSERT INTO runs (seq, ms) SELECT 0, born FROM log;
  `,
  // Rooms. The main one has the id 1 and no name; last and ms are where an empty one goes on.
  `
  ALTER TABLE log ADD COLUMN secret BLOB;
  UPDATE log SET secret = :secret;
  CREATE TABLE rooms (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    born INTEGER NOT NULL,
    last INTEGER NOT NULL,
    ms INTEGER NOT NULL
  ) STRICT;
  INSERT INTO rooms SELECT 1, '', born, 0, born FROM log;
  ALTER TABLE messages RENAME TO messages_of_one_room;
  CREATE TABLE messages (
    room INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    key TEXT,
    json TEXT NOT NULL,
    PRIMARY KEY (room, seq)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO messages SELECT 1, seq, ms, key, json FROM messages_of_one_room ORDER BY seq;
  DROP TABLE messages_of_one_room;
  CREATE UNIQUE INDEX messages_key ON messages (room, key) WHERE key IS NOT NULL;
  ALTER TABLE runs RENAME TO runs_of_one_room;
  CREATE TABLE runs (
    room INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    PRIMARY KEY (room, seq)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO runs SELECT 1, seq, ms FROM runs_of_one_room;
  DROP TABLE runs_of_one_room;
  `,
  // Moderation. The index has what it is asked for, so that no message is read for it. What is before
  // oldest had been given up when something was removed last, whose text may be left in the file while
  // erasure_due is 1. The latest time at which a run began, by its clock, is started.
  `
  ALTER TABLE messages ADD COLUMN address TEXT;
  ALTER TABLE messages ADD COLUMN removal TEXT;
  CREATE INDEX messages_removal ON messages (room, seq, removal) WHERE removal IS NOT NULL;
  ALTER TABLE rooms ADD COLUMN state TEXT;
  ALTER TABLE rooms ADD COLUMN oldest INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE cleared (
    room INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    key TEXT,
    mark TEXT,
    address TEXT,
    PRIMARY KEY (room, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX cleared_key ON cleared (room, key) WHERE key IS NOT NULL;
  CREATE INDEX cleared_mark ON cleared (room, mark, seq) WHERE address IS NOT NULL;
  ALTER TABLE log ADD COLUMN erasure_due INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE log ADD COLUMN started INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE revoked (id TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX revoked_until ON revoked (until);
  `,
];

/** A file that is not ours, or not ours to read. */
export class ForeignFileError extends Error {}

/** Refuses a database of another program, or of a newer version, before anything is written. */
export function checkOwner(db: DatabaseSync): void {
  const owner = readPragma(db, "application_id");
  const { tables } = db.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()!;
  if (owner !== APPLICATION_ID && tables !== 0) {
    throw new ForeignFileError(
      "the message log is a database of another program; use another file with --message-log",
    );
  }
  const version = readPragma(db, "user_version");
  if (version > MIGRATIONS.length) {
    throw new ForeignFileError(
      `the message log was written by a newer version (schema ${version}, this one knows ` +
        `${MIGRATIONS.length}); start that version, or a copy from before it with --message-log`,
    );
  }
}

/** Takes the steps that the file has not taken yet: all of them or none. */
export function migrate(db: DatabaseSync, now: number): void {
  db.exec("BEGIN EXCLUSIVE");
  const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).toHex();
  for (const step of MIGRATIONS.slice(readPragma(db, "user_version"))) {
    db.exec(step.replace(":now", String(now)).replace(":secret", `x'${secret}'`));
  }
  markAsOurs(db);
  db.exec(`
    PRAGMA user_version = ${MIGRATIONS.length};
    COMMIT;
  `);
}

/** Writes the mark into the file's header, also where it is there already: the page is written again. */
export function markAsOurs(db: DatabaseSync): void {
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
}

/** The value of a PRAGMA that is a number. */
export function readPragma(db: DatabaseSync, name: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${name}`).get()!)[0]);
}
