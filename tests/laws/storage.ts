/** Where the logs of a run are kept, and what may happen to them there. */

import { DatabaseSync } from "node:sqlite";
import type { MessageStore } from "../../message_log/message_log.ts";
import { openMessageStore, type StoreOptions } from "../../message_log/open.ts";
import { RedisConnection } from "../../message_log/redis/connection.ts";
import type { RedisServer } from "../redis_server.ts";

/** Where the logs of a run are kept. */
export interface Storage {
  /** Whether a store that is opened again has what was in it. */
  readonly remembers: boolean;
  /** Whether the clock or the network decides when something is done, not the turns of the event loop. */
  readonly isRemote: boolean;
  open(options: StoreOptions): Promise<MessageStore>;
  /** The process that had it open is killed: what is opened next goes on with what is stored now. */
  crash(): Promise<void>;
  /** The process that has it open loses its connections. */
  cutOff?(): Promise<void>;
  /** Opens it as another instance of the chat does. */
  openElsewhere?(options: StoreOptions): Promise<MessageStore>;
  /** What is stored, to be put back later, while the store is closed. */
  copy?(): Uint8Array;
  putBack?(copy: Uint8Array): void;
  /** Deletes entries of a room while the store is closed. */
  erase?(room: string, from: number, to: number): void;
}

/** Memory of this program's. */
export class MemoryStorage implements Storage {
  readonly remembers = false;
  readonly isRemote = false;

  open(options: StoreOptions): Promise<MessageStore> {
    return openMessageStore("memory:", options);
  }

  crash(): Promise<void> {
    throw new Error("What is in memory is gone with its process");
  }
}

/** A file in a folder of its own. */
export class FileStorage implements Storage {
  readonly remembers = true;
  readonly isRemote = false;
  readonly #folder: string;
  /** The file's number: after a crash, a copy goes on where it ended. */
  #file = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get #path(): string {
    return `${this.#folder}/${this.#file}.db`;
  }

  open(options: StoreOptions): Promise<MessageStore> {
    return openMessageStore(`sqlite:${this.#path}`, options);
  }

  /** A copy of what is on the disk at this moment goes on. */
  crash(): Promise<void> {
    const path = this.#path;
    this.#file++;
    Deno.copyFileSync(path, this.#path);
    Deno.copyFileSync(`${path}-wal`, `${this.#path}-wal`);
    return Promise.resolve();
  }

  copy(): Uint8Array {
    return Deno.readFileSync(this.#path);
  }

  putBack(copy: Uint8Array): void {
    Deno.writeFileSync(this.#path, copy);
  }

  erase(room: string, from: number, to: number): void {
    using db = new DatabaseSync(this.#path);
    db.prepare(
      `DELETE FROM messages WHERE room = (SELECT id FROM rooms WHERE name = ?)
       AND seq BETWEEN ? AND ?`,
    ).run(room, from, to);
  }
}

/** A Redis that has nothing else. */
export class RedisStorage implements Storage {
  readonly remembers = true;
  readonly isRemote = true;
  readonly #url: string;
  readonly #connection: RedisConnection;
  /** The number of the process that has it open: each has a user of its own. */
  #process = 0;

  private constructor(url: string, connection: RedisConnection) {
    this.#url = url;
    this.#connection = connection;
  }

  /** Empties it. */
  static async begin({ url }: RedisServer): Promise<RedisStorage> {
    const connection = await RedisConnection.open(url, new AbortController().signal);
    await connection.send(["FLUSHALL"]);
    return new RedisStorage(url, connection);
  }

  async open(options: StoreOptions): Promise<MessageStore> {
    const user = this.#user;
    await this.#connection.send(["ACL", "SETUSER", user, "on", "nopass", "~*", "+@all"]);
    return await openMessageStore(this.#url.replace("//", `//${user}:any@`), options);
  }

  openElsewhere(options: StoreOptions): Promise<MessageStore> {
    return openMessageStore(this.#url, options);
  }

  /** Redis has its connections no more. */
  async crash(): Promise<void> {
    const user = this.#user;
    this.#process++;
    await this.#connection.send(["ACL", "DELUSER", user]);
  }

  async cutOff(): Promise<void> {
    await this.#connection.send(["CLIENT", "KILL", "USER", this.#user]);
  }

  get #user(): string {
    return `process-${this.#process}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.send(["ACL", "DELUSER", this.#user]);
    this.#connection.destroy("The run is over");
  }
}
