/**
 * Runs a schedule over real rooms, their hubs, readers and SQLite logs, in fake time, and
 * checks all along that the laws hold: order, exactness, once, bounded, released.
 */

import { assert, assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import type { Post } from "../../chat_message.ts";
import {
  KeyConflictError,
  LogUnavailableError,
  RemovedError,
  type Start,
} from "../../message_log/message_log.ts";
import { SqliteStore } from "../../message_log/sqlite_store.ts";
import { sendHistory } from "../../routes/history.ts";
import { toVisit } from "../../routes/visit.ts";
import { Client, type Connection, HistoryClient, StreamClient } from "./clients.ts";
import { FakeTime } from "./fake_time.ts";
import { Ledger, type LedgerState, Run } from "./ledger.ts";
import {
  type Command,
  type Cursor,
  HEARTBEAT_MS,
  IDLE_MS,
  ROOMS,
  type Schedule,
} from "./schedule.ts";
import { nextTurn, Server } from "./server.ts";

/** What the log's clock shows first. */
const BEGINNING = Date.UTC(2026, 0, 1);
/** When nobody has taken anything for this many turns, nothing more happens. */
const QUIET_TURNS = 6;
/** This many cursors of each room are tried at the end of a run. */
const MAX_CURSORS = 20;
const MARKS = ["ann-mark", "ben-mark"];
const TEXTS = { short: "x", long: "x".repeat(3990), wide: "👋é".repeat(500) };

/** Runs a schedule; `folder` is for the file, undefined for logs in memory. */
export async function run({ keep, commands }: Schedule, folder?: string): Promise<void> {
  using time = new FakeTime();
  const chat = await Chat.start(keep, time, folder);
  try {
    for (const command of commands) {
      await chat.do(command);
      await endOfTurn();
      chat.check();
    }
    await chat.finish();
  } catch (error) {
    // What is left matters only where nothing else was wrong.
    await chat[Symbol.asyncDispose]().catch(() => {});
    throw error;
  }
  await chat[Symbol.asyncDispose]();
  assertEquals(time.timers, 0, "timers of a closed chat");
}

/** The file as it was, and what was in it of each room. */
interface Copy {
  readonly bytes: Uint8Array;
  readonly rooms: readonly LedgerState[];
}

/** A chat that goes on over restarts, with all who take part in it. */
class Chat implements AsyncDisposable {
  readonly #keep: number;
  readonly #time: FakeTime;
  readonly #folder: string | undefined;
  readonly #ledgers = new Map<string, Ledger>();
  /** The removals that are under way, each with its server. */
  readonly #removing = new Map<Promise<void>, Server>();
  readonly #streams = new Set<StreamClient>();
  readonly #histories = new Set<HistoryClient>();
  #store: SqliteStore;
  #server: Server;
  /** The store's clock, and the latest that it has ever shown. */
  #now = BEGINNING;
  #latest = BEGINNING;
  /** The file's number: after a crash, a copy goes on where it ended. */
  #file = 0;
  #copy: Copy | undefined;
  #posts = 0;
  #isStopping = false;
  /** The first law that was seen broken where nobody waits for the error. */
  #fault: unknown;

  private constructor(keep: number, time: FakeTime, folder: string | undefined) {
    this.#keep = keep;
    this.#time = time;
    this.#folder = folder;
    this.#store = this.#openStore();
    this.#server = this.#startServer();
  }

  static async start(keep: number, time: FakeTime, folder: string | undefined): Promise<Chat> {
    const chat = new Chat(keep, time, folder);
    for (const room of ROOMS) {
      await using log = chat.#store.openLog(room);
      // The cursor before the first message.
      const { cursor } = await log.read({ latest: 0 });
      chat.#ledgers.set(room, new Ledger(keep, cursor));
    }
    return chat;
  }

  async do(command: Command): Promise<void> {
    switch (command.do) {
      case "append":
        for (let n = 0; n < command.count; n++) {
          const message = `${this.#posts++} ${TEXTS[command.text]}`;
          const by = MARKS[this.#posts % MARKS.length];
          void this.#post(command.room, { nickname: "ann", message, by });
        }
        return;
      case "appendKeyed":
        return void this.#post(command.room, {
          nickname: "ben",
          message: `variant ${command.variant}`,
          key: `key ${command.key}`,
        });
      case "remove": {
        const removing = this.#remove(command).finally(() => this.#removing.delete(removing));
        this.#removing.set(removing, this.#server);
        return;
      }
      case "join":
        for (let n = 0; n < command.count; n++) {
          const { room, cursor, appetite } = command;
          const start = this.#toStart(room, cursor);
          void this.#join(new StreamClient(this.#connectionTo(room), start, appetite));
        }
        return;
      case "ask":
        return await this.#ask(command);
      case "nibble":
        for (const client of this.#clients()) if (client.appetite === "little") client.take();
        return;
      case "devour":
        for (const client of this.#clients()) await client.takeStock();
        return;
      case "comeBack":
        return this.#comeBack();
      case "leave":
        return await this.#leave([...this.#clients()].at(command.which % this.#size));
      case "failRead":
        this.#server.store.failingReads = 1;
        return;
      case "rush":
        for (let n = 0; n < command.count; n++) {
          const { room } = command;
          await this.do({ do: "append", room, count: 1, text: "short" });
          await nextTurn();
          await this.do({ do: "join", room, cursor: { seen: 1 }, appetite: "much", count: 1 });
        }
        return;
      case "turns":
        for (let n = 0; n < command.count; n++) await nextTurn();
        return;
      case "tick":
        return await this.#tick(command.ms);
      case "stepClock":
        return this.#stepClock(command.ms);
      case "restart":
        return await this.#restart(command);
      case "crash":
        return await this.#crash();
    }
  }

  /** What must hold at any moment. */
  check(): void {
    if (this.#fault !== undefined) throw this.#fault;
    const { readers, store: { hasFailed } } = this.#server;
    let min = 0;
    let max = 0;
    for (const client of this.#clients()) {
      if (client.fault !== undefined) throw client.fault;
      if (!(client instanceof StreamClient)) continue;
      if (client.isReading || (client.state === "open" && !client.isIdle && !hasFailed)) min++;
      if (client.state === "open" && !client.isGivenUp) max++;
    }
    assert(min <= readers && readers <= max, `${readers} readers, expected ${min} to ${max}`);
  }

  /** All take what there is: each must get to its log's end, and the chat must leave nothing. */
  async finish(): Promise<void> {
    for (const room of ROOMS) {
      void this.#join(new StreamClient(this.#connectionTo(room), { since: undefined }, "much"));
    }
    this.#server.store.failingReads = 0;
    for (const client of this.#clients()) await client.takeStock();
    await settle();
    this.#comeBack();
    await settle();
    this.check();
    for (const client of this.#streams) {
      assertEquals(client.state, "open");
      assert(client.isAtEnd, "a reader gets to the end of the log");
    }
    for (const client of this.#histories) assert(client.state !== "open", "a history ends");
    assertEquals(this.#server.readers, this.#streams.size);
    for (const room of ROOMS) await this.#checkCursors(room);
    // All rooms but the main one are left, and so is it by one reader; the others are sent away.
    const [first] = this.#streams;
    await this.#leave(first);
    for (const client of this.#streams) if (client.room !== ROOMS[0]) await this.#leave(client);
    // A file takes longer to be overwritten than a few turns. Of a server that was killed nobody waits.
    for (const [removing, server] of this.#removing) if (server === this.#server) await removing;
    await this.#tick(2 * IDLE_MS);
    assertEquals(this.#server.rooms.size, 1, "rooms that nobody uses close");
    assertEquals([...this.#server.store.used], [ROOMS[0]], "logs of rooms that have closed");
    await this.#stop();
    for (const client of this.#streams) assertEquals(client.state, "ended");
  }

  /** Whoever comes back, with the cursor of anything that ever was, gets what follows it. */
  async #checkCursors(room: string): Promise<void> {
    const ledger = this.#ledgerOf(room);
    const { last, lost } = ledger;
    const cursors = lost.slice(-MAX_CURSORS);
    for (let seq = Math.max(last - MAX_CURSORS, 0); seq <= last; seq++) {
      cursors.push(ledger.idOf(seq));
    }
    using use = await this.#server.enter(room);
    const { log } = use.room;
    for (const since of cursors) {
      const run = new Run(ledger, { since });
      const { missed, entries } = await log.read({ since });
      if (missed !== 0) run.gap(missed);
      for (const { id, json } of entries) run.message(id, json);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients()) await client.leave();
    await this.#server[Symbol.asyncDispose]();
    await this.#store[Symbol.asyncDispose]();
  }

  #ledgerOf(room: string): Ledger {
    return this.#ledgers.get(room)!;
  }

  #connectionTo(room: string): Connection {
    return {
      room,
      ledger: this.#ledgerOf(room),
      time: this.#time,
      heartbeatMs: HEARTBEAT_MS,
      isUncertain: () => this.#isStopping || this.#server.store.hasFailed,
    };
  }

  get #path(): string {
    return this.#folder === undefined ? ":memory:" : `${this.#folder}/${this.#file}.db`;
  }

  get #size(): number {
    return this.#streams.size + this.#histories.size;
  }

  *#clients(): Generator<StreamClient | HistoryClient> {
    yield* this.#streams;
    yield* this.#histories;
  }

  #openStore(): SqliteStore {
    return SqliteStore.open(this.#path, { keep: this.#keep, now: () => this.#now });
  }

  #startServer(): Server {
    const server: Server = new Server(this.#store, {
      heartbeatMs: HEARTBEAT_MS,
      idleMs: IDLE_MS,
      // A process that was killed writes no more.
      onBatch: (room, batch) => {
        if (server === this.#server) this.#note(() => this.#ledgerOf(room).add(batch));
      },
    });
    return server;
  }

  #note(law: () => void): void {
    try {
      law();
    } catch (error) {
      this.#fault ??= error;
    }
  }

  async #post(name: string, post: Post): Promise<void> {
    const server = this.#server;
    const ledger = this.#ledgerOf(name);
    const { removals } = ledger;
    let law: () => void;
    try {
      using use = await server.enter(name);
      const appended = await use.room.log.append(post);
      law = () => ledger.answer(post, appended);
    } catch (error) {
      law = () => {
        const isRemoved = error instanceof RemovedError;
        if (!isRemoved && !(error instanceof KeyConflictError)) throw error;
        ledger.refuse(post, isRemoved, removals);
      };
    }
    if (server === this.#server) this.#note(law);
  }

  /** Removes something; what comes after that has none of it: the ledger sees to that. */
  async #remove({ room, what, which }: Extract<Command, { do: "remove" }>): Promise<void> {
    const server = this.#server;
    const ledger = this.#ledgerOf(room);
    const id = ledger.idOf(Math.max(ledger.last - which, 0));
    const removal = { one: { id }, mark: { by: MARKS[which % MARKS.length] }, all: "all" } as const;
    try {
      using use = await server.enter(room);
      await use.room.log.remove(removal[what]);
    } catch (error) {
      // Of a server that was killed nobody hears.
      if (server === this.#server && !this.#isStopping) this.#fault ??= error;
    }
  }

  async #join(client: StreamClient): Promise<void> {
    const server = this.#server;
    this.#streams.add(client);
    client.come();
    try {
      using use = await server.enter(client.room);
      const isExpected = server === this.#server && client.state === "coming";
      if (isExpected) client.join((start) => use.room.read(start));
    } catch (error) {
      this.#fault ??= error;
    }
  }

  #comeBack(): void {
    for (const client of this.#streams) {
      if (client.state !== "open" && client.state !== "coming") void this.#join(client);
    }
  }

  async #ask(
    { room: name, cursor, isBefore, appetite }: Extract<Command, { do: "ask" }>,
  ): Promise<void> {
    using use = await this.#server.enter(name);
    const start = this.#toStart(name, cursor);
    const id = "since" in start ? start.since : undefined;
    const ask = isBefore && id !== undefined ? { before: id } : start;
    const query = "latest" in ask
      ? ask.latest === 0 ? "since=none" : ""
      : "before" in ask
      ? `before=${ask.before}`
      : `since=${ask.since ?? "all"}`;
    const client = new HistoryClient(this.#connectionTo(name), ask, appetite);
    const visit = toVisit(new Request(`http://localhost/chat?${query}`));
    try {
      client.receive(await sendHistory(visit, use.room));
      this.#histories.add(client);
    } catch (error) {
      if (!(error instanceof LogUnavailableError)) throw error;
    }
  }

  async #leave(client: StreamClient | HistoryClient | undefined): Promise<void> {
    if (client instanceof StreamClient) this.#streams.delete(client);
    else if (client) this.#histories.delete(client);
    await client?.leave();
  }

  async #tick(ms: number): Promise<void> {
    this.#time.tick(ms);
    this.#stepClock(ms);
    await settle();
  }

  #stepClock(ms: number): void {
    this.#now += ms;
    this.#latest = Math.max(this.#latest, this.#now);
  }

  #toStart(room: string, cursor: Cursor): Start {
    const ledger = this.#ledgerOf(room);
    if (cursor === "latest") return { latest: 50 };
    if (cursor === "none") return { latest: 0 };
    if (cursor === "all") return { since: undefined };
    if (cursor === "unknown") return { since: "0-0" };
    if ("seen" in cursor) return { since: ledger.idOf(Math.max(ledger.last - cursor.seen, 0)) };
    if ("lost" in cursor) return { since: ledger.lost.at(-1 - cursor.lost) ?? "1-1" };
    // Of a log that began years before, or will.
    const ms = cursor.foreign % 2 === 0 ? BEGINNING / 2 : BEGINNING * 2;
    return { since: `${ms}-${Math.max(ledger.last - cursor.foreign, 0)}` };
  }

  /** The polite end: every stream is taken to its end. */
  async #stop(): Promise<void> {
    this.#isStopping = true;
    this.#server.rooms.close();
    for (const client of this.#streams) await client.takeStock();
    await settle();
    await this.#server[Symbol.asyncDispose]();
    await settle();
    for (const client of this.#streams) assert(client.state !== "open", "every stream ends");
    await this.#forgetHistories();
    this.#isStopping = false;
    this.check();
  }

  async #forgetHistories(): Promise<void> {
    for (const client of this.#histories) await client.leave();
    this.#histories.clear();
  }

  async #restart(
    { putBack, copy, room, erase }: Extract<Command, { do: "restart" }>,
  ): Promise<void> {
    await this.#stop();
    if (this.#folder !== undefined) {
      await this.#store[Symbol.asyncDispose]();
      if (putBack && this.#copy) this.#putBack(this.#copy);
      if (copy) this.#copy = this.#takeCopy();
      if (erase > 0) this.#erase(room, erase);
      this.#store = this.#openStore();
    }
    this.#server = this.#startServer();
    this.#comeBack();
  }

  #takeCopy(): Copy {
    const rooms = ROOMS.map((room) => this.#ledgerOf(room).state);
    return { bytes: Deno.readFileSync(this.#path), rooms };
  }

  /** Time has passed since what is lost was written, whatever the clock showed. */
  #putBack({ bytes, rooms }: Copy): void {
    Deno.writeFileSync(this.#path, bytes);
    for (const [n, state] of rooms.entries()) this.#ledgerOf(ROOMS[n]).cutTo(state);
    // Rooms that write at the same time may have ids of the next milliseconds.
    this.#latest += ROOMS.length;
    this.#now = this.#latest;
  }

  /** Somebody deletes rows from the file, but for the newest of the room. */
  #erase(room: string, count: number): void {
    const ledger = this.#ledgerOf(room);
    const to = ledger.last - 1 - count % 3;
    const from = to - count + 1;
    using db = new DatabaseSync(this.#path);
    db.prepare(
      `DELETE FROM messages WHERE room = (SELECT id FROM rooms WHERE name = ?)
       AND seq BETWEEN ? AND ?`,
    ).run(room, from, to);
    ledger.erase(from, to);
  }

  /** The process is killed: a copy of what is on the disk at this moment goes on. */
  async #crash(): Promise<void> {
    for (const client of this.#streams) await client.leave();
    await this.#forgetHistories();
    const [dead, deadStore, path] = [this.#server, this.#store, this.#path];
    this.#file++;
    Deno.copyFileSync(path, this.#path);
    Deno.copyFileSync(`${path}-wal`, `${this.#path}-wal`);
    this.#store = this.#openStore();
    this.#server = this.#startServer();
    await dead[Symbol.asyncDispose]();
    await deadStore[Symbol.asyncDispose]();
    this.#comeBack();
  }
}

/** Waits until what was resolved in this turn has been taken note of. */
async function endOfTurn(): Promise<void> {
  for (let tick = 0; tick < 20; tick++) await undefined;
}

/** Waits until nothing more happens by itself. */
async function settle(): Promise<void> {
  for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
    const before = Client.chunks;
    await nextTurn();
    if (Client.chunks !== before) quiet = 0;
  }
}
