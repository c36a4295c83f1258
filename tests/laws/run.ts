/**
 * Runs a schedule over real rooms, their hubs, readers and logs, in fake time, and
 * checks all along that the laws hold: order, exactness, once, bounded, released.
 */

import { assert, assertEquals } from "@std/assert";
import type { Post } from "../../chat_message.ts";
import {
  KeyConflictError,
  LogUnavailableError,
  type MessageStore,
  type Removal,
  RemovedError,
  type Start,
} from "../../message_log/message_log.ts";
import type { StoreOptions } from "../../message_log/open.ts";
import { sendHistory } from "../../routes/history.ts";
import { toVisit } from "../../routes/visit.ts";
import { Client, type Connection, HistoryClient, StreamClient } from "./clients.ts";
import { Elsewhere } from "./elsewhere.ts";
import { FakeTime } from "./fake_time.ts";
import { Follower, Ledger, type LedgerState, Run } from "./ledger.ts";
import {
  type Command,
  type Cursor,
  HEARTBEAT_MS,
  IDLE_MS,
  ROOMS,
  type Schedule,
} from "./schedule.ts";
import { nextTurn, Server } from "./server.ts";
import type { Storage } from "./storage.ts";

/** What the log's clock shows first. */
const BEGINNING = Date.UTC(2026, 0, 1);
/** When nobody has taken anything for this many turns, nothing more happens. */
const QUIET_TURNS = 6;
/** No answer takes longer, on the busiest of machines. */
const MAX_ANSWER_MS = 5_000;
/** This many cursors of each room are tried at the end of a run. */
const MAX_CURSORS = 20;
const MARKS = ["ann-mark", "ben-mark"];
const TEXTS = { short: "x", long: "x".repeat(3990), wide: "👋é".repeat(500) };

/** Runs a schedule with logs in a storage. */
export async function run({ keep, commands }: Schedule, storage: Storage): Promise<void> {
  using time = new FakeTime();
  const chat = await Chat.start(keep, time, storage);
  try {
    for (const command of commands) {
      await chat.do(command);
      await endOfTurn();
      if (storage.isRemote) await chat.untilAnswered();
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

/** What was stored, and what that was of each room. */
interface Copy {
  readonly bytes: Uint8Array;
  readonly rooms: readonly LedgerState[];
}

/** A chat that goes on over restarts, with all who take part in it. */
class Chat implements AsyncDisposable {
  readonly #keep: number;
  readonly #time: FakeTime;
  readonly #storage: Storage;
  readonly #ledgers = new Map<string, Ledger>();
  /** What the server has been told of the rooms that it has open. */
  readonly #followers = new Map<string, Follower>();
  /** The removals that are under way, each with its server. */
  readonly #removing = new Map<Promise<void>, Server>();
  readonly #streams = new Set<StreamClient>();
  readonly #histories = new Set<HistoryClient>();
  #store!: MessageStore;
  #server!: Server;
  /** Another instance of the chat, where the storage is for many. */
  #elsewhere: Elsewhere | undefined;
  /** Posts, removals and readers that have not been answered. */
  #asking = 0;
  /** The store's clock, and the latest that it has ever shown. */
  #now = BEGINNING;
  #latest = BEGINNING;
  #copy: Copy | undefined;
  #posts = 0;
  #isStopping = false;
  /** The first law that was seen broken where nobody waits for the error. */
  #fault: unknown;

  private constructor(keep: number, time: FakeTime, storage: Storage) {
    this.#keep = keep;
    this.#time = time;
    this.#storage = storage;
  }

  static async start(keep: number, time: FakeTime, storage: Storage): Promise<Chat> {
    const chat = new Chat(keep, time, storage);
    chat.#store = await storage.open(chat.#options);
    for (const room of ROOMS) {
      await using log = await chat.#store.openLog(room);
      // The cursor before the first message.
      const { cursor } = await log.read({ latest: 0 });
      chat.#ledgers.set(room, new Ledger(keep, cursor));
    }
    chat.#server = chat.#startServer();
    const store = await storage.openElsewhere?.(chat.#options);
    chat.#elsewhere = store && await Elsewhere.open(store, chat.#ledgers);
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
        const post = { do: "append", room: command.room, count: 1, text: "short" } as const;
        if (command.isAmid) await this.do(post);
        const removing = this.#remove(command).finally(() => this.#removing.delete(removing));
        this.#removing.set(removing, this.#server);
        if (command.isAmid) await this.do(post);
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
      case "appendElsewhere":
      case "removeElsewhere":
        return await this.#doElsewhere(command);
      case "cutOff":
        return await this.#cutOff(command);
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
    await this.#settle();
    this.#comeBack();
    await this.#settle();
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
    await this.#elsewhere?.[Symbol.asyncDispose]();
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

  get #size(): number {
    return this.#streams.size + this.#histories.size;
  }

  *#clients(): Generator<StreamClient | HistoryClient> {
    yield* this.#streams;
    yield* this.#histories;
  }

  get #options(): StoreOptions {
    return { keep: this.#keep, now: () => this.#now };
  }

  #startServer(): Server {
    const server: Server = new Server(this.#store, {
      heartbeatMs: HEARTBEAT_MS,
      idleMs: IDLE_MS,
      onOpen: (room) => this.#followers.set(room, new Follower(this.#ledgerOf(room))),
      // A process that was killed writes no more.
      onBatch: (room, batch) => {
        if (server === this.#server) this.#note(() => this.#followers.get(room)!.hear(batch));
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
      this.#asking++;
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
    this.#asking--;
    if (server === this.#server) this.#note(law);
  }

  /** Removes something; what comes after that has none of it: the ledger sees to that. */
  async #remove(command: Extract<Command, { do: "remove" }>): Promise<void> {
    const server = this.#server;
    const { room } = command;
    const removal = this.#toRemoval(command);
    try {
      this.#asking++;
      using use = await server.enter(room);
      await use.room.log.remove(removal);
    } catch (error) {
      // Of a server that was killed nobody hears.
      if (server === this.#server && !this.#isStopping) this.#fault ??= error;
    }
    this.#asking--;
  }

  /** Another instance writes, while the room is open here. */
  async #doElsewhere(
    command: Extract<Command, { do: "appendElsewhere" | "removeElsewhere" }>,
  ): Promise<void> {
    const { room } = command;
    const elsewhere = this.#elsewhere!;
    using _ = await this.#server.enter(room);
    if (command.do === "removeElsewhere") await elsewhere.remove(room, this.#toRemoval(command));
    else {
      await Promise.all(Array.from({ length: command.count }, async () => {
        const post = { nickname: "cat", message: `${this.#posts++}`, by: MARKS[0] };
        this.#ledgerOf(room).answer(post, await elsewhere.append(room, post));
      }));
    }
    await this.untilAnswered();
  }

  /** The connections are lost, and another instance writes before there are new ones. */
  async #cutOff({ room, count }: Extract<Command, { do: "cutOff" }>): Promise<void> {
    using _ = await this.#server.enter(room);
    this.#server.store.hasFailed = true;
    await this.#storage.cutOff!();
    await this.#doElsewhere({ do: "appendElsewhere", room, count });
    while (!await this.#store.rooms().then(() => true, () => false)) await nextTurn();
  }

  /** Waits until all has been answered, and each instance has been told all that was written. */
  async untilAnswered(): Promise<void> {
    const start = performance.now();
    while (this.#isWaiting) {
      await nextTurn();
      if (this.#fault !== undefined) throw this.#fault;
      this.#elsewhere?.check();
      assert(performance.now() - start < MAX_ANSWER_MS, "an answer or a batch does not come");
    }
    this.#elsewhere?.check();
  }

  /** Whether an answer or a batch is still to come. */
  get #isWaiting(): boolean {
    return this.#asking > 0 || this.#server.store.isBusy ||
      ROOMS.some((room) => this.#isLate(room));
  }

  /** Whether an instance has not been told all that is known of a room. */
  #isLate(room: string): boolean {
    const { last } = this.#ledgerOf(room);
    const isOpen = this.#server.store.used.has(room);
    return (isOpen && (this.#followers.get(room)?.last ?? last) < last) ||
      (this.#elsewhere !== undefined && this.#elsewhere.last(room) < last);
  }

  #toRemoval(
    { room, what, which }: Extract<Command, { do: "remove" | "removeElsewhere" }>,
  ): Removal {
    const ledger = this.#ledgerOf(room);
    if (what === "all") return what;
    if (what === "mark") return { by: MARKS[which % MARKS.length] };
    return { id: ledger.idOf(Math.max(ledger.last - which, 0)) };
  }

  async #join(client: StreamClient): Promise<void> {
    const server = this.#server;
    this.#streams.add(client);
    client.come();
    try {
      this.#asking++;
      using use = await server.enter(client.room);
      const isExpected = server === this.#server && client.state === "coming";
      if (isExpected) client.join((start) => use.room.read(start));
    } catch (error) {
      this.#fault ??= error;
    }
    this.#asking--;
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
    await this.#settle();
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
    await this.#settle();
    await this.#server[Symbol.asyncDispose]();
    await this.#settle();
    for (const client of this.#streams) assert(client.state !== "open", "every stream ends");
    await this.#forgetHistories();
    this.#isStopping = false;
    this.check();
  }

  /** Waits until nothing more happens by itself. */
  async #settle(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      const before = Client.chunks;
      await nextTurn();
      if (Client.chunks !== before || (this.#storage.isRemote && this.#isWaiting)) quiet = 0;
    }
  }

  async #forgetHistories(): Promise<void> {
    for (const client of this.#histories) await client.leave();
    this.#histories.clear();
  }

  async #restart(
    { putBack, copy, room, erase }: Extract<Command, { do: "restart" }>,
  ): Promise<void> {
    await this.#stop();
    if (this.#storage.remembers) {
      await this.#store[Symbol.asyncDispose]();
      if (putBack && this.#copy) this.#putBack(this.#copy);
      if (copy) this.#copy = this.#takeCopy();
      if (erase > 0) this.#erase(room, erase);
      this.#store = await this.#storage.open(this.#options);
    }
    this.#server = this.#startServer();
    this.#comeBack();
  }

  #takeCopy(): Copy {
    const rooms = ROOMS.map((room) => this.#ledgerOf(room).state);
    return { bytes: this.#storage.copy!(), rooms };
  }

  /** Time has passed since what is lost was written, whatever the clock showed. */
  #putBack({ bytes, rooms }: Copy): void {
    this.#storage.putBack!(bytes);
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
    this.#storage.erase!(room, from, to);
    ledger.erase(from, to);
  }

  /** The process is killed. */
  async #crash(): Promise<void> {
    for (const client of this.#streams) await client.leave();
    await this.#forgetHistories();
    const [dead, deadStore] = [this.#server, this.#store];
    await this.#storage.crash();
    this.#store = await this.#storage.open(this.#options);
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
