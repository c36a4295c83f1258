/**
 * Runs a schedule over a real room, its hub, readers and SQLite log, in fake time, and
 * checks all along that the laws hold: order, exactness, once, bounded, released.
 */

import { assert, assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import type { Post } from "../../chat_message.ts";
import {
  KeyConflictError,
  LogUnavailableError,
  type Start,
} from "../../message_log/message_log.ts";
import { SqliteLog } from "../../message_log/sqlite_log.ts";
import { sendHistory } from "../../routes/history.ts";
import { toVisit } from "../../routes/visit.ts";
import { Client, HistoryClient, StreamClient } from "./clients.ts";
import { FakeTime } from "./fake_time.ts";
import { Ledger, Run } from "./ledger.ts";
import { type Command, type Cursor, HEARTBEAT_MS, type Schedule } from "./schedule.ts";
import { Server } from "./server.ts";

/** What the log's clock shows first. */
const BEGINNING = Date.UTC(2026, 0, 1);
/** When nobody has taken anything for this many turns, nothing more happens. */
const QUIET_TURNS = 6;
/** This many cursors are tried at the end of a run. */
const MAX_CURSORS = 30;
const TEXTS = { short: "x", long: "x".repeat(3990), wide: "👋é".repeat(500) };

/** Runs a schedule; `folder` is for the log's file, undefined for a log in memory. */
export async function run({ keep, commands }: Schedule, folder?: string): Promise<void> {
  using time = new FakeTime();
  const chat = new Chat(keep, time, folder);
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

/** A file of the log as it was, and what was in it. */
interface Copy {
  readonly bytes: Uint8Array;
  readonly last: number;
  readonly erased: readonly number[];
}

/** A chat that goes on over restarts, with all who take part in it. */
class Chat implements AsyncDisposable {
  readonly #keep: number;
  readonly #time: FakeTime;
  readonly #folder: string | undefined;
  readonly #ledger: Ledger;
  readonly #streams = new Set<StreamClient>();
  readonly #histories = new Set<HistoryClient>();
  #log: SqliteLog;
  #server: Server;
  /** The log's clock, and the latest that it has ever shown. */
  #now = BEGINNING;
  #latest = BEGINNING;
  /** The file's number: after a crash, a copy goes on where it ended. */
  #file = 0;
  #copy: Copy | undefined;
  #posts = 0;
  /** The first law that was seen broken where nobody waits for the error. */
  #fault: unknown;

  constructor(keep: number, time: FakeTime, folder: string | undefined) {
    this.#keep = keep;
    this.#time = time;
    this.#folder = folder;
    this.#ledger = new Ledger(keep, `${BEGINNING}-0`);
    this.#log = this.#openLog();
    this.#server = this.#startServer();
  }

  async do(command: Command): Promise<void> {
    switch (command.do) {
      case "append":
        for (let n = 0; n < command.count; n++) {
          this.#post({ nickname: "ann", message: `${this.#posts++} ${TEXTS[command.text]}` });
        }
        return;
      case "appendKeyed":
        return this.#post({
          nickname: "ben",
          message: `variant ${command.variant}`,
          key: `key ${command.key}`,
        });
      case "join":
        for (let n = 0; n < command.count; n++) {
          this.#join(
            new StreamClient(this.#connection, this.#toStart(command.cursor), command.appetite),
          );
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
        this.#server.log.failingReads = 1;
        return;
      case "rush":
        for (let n = 0; n < command.count; n++) {
          await this.do({ do: "append", count: 1, text: "short" });
          await nextTurn();
          await this.do({ do: "join", cursor: { seen: 1 }, appetite: "much", count: 1 });
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
    const { room: { hub: { readers } }, log: { hasFailed } } = this.#server;
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

  /** All take what there is: each must get to the log's end, and the chat must leave nothing. */
  async finish(): Promise<void> {
    this.#join(new StreamClient(this.#connection, { since: undefined }, "much"));
    this.#server.log.failingReads = 0;
    for (const client of this.#clients()) await client.takeStock();
    await settle();
    this.#comeBack();
    await settle();
    this.check();
    for (const client of this.#streams) {
      assertEquals(client.state, "open");
      assertEquals(client.at, this.#ledger.last, "a reader gets to the end of the log");
    }
    for (const client of this.#histories) assert(client.state !== "open", "a history ends");
    assertEquals(this.#server.room.hub.readers, this.#streams.size);
    await this.#checkCursors();
    // One reader leaves by itself; the others are sent away.
    const [first] = this.#streams;
    await this.#leave(first);
    await this.#stop();
    for (const client of this.#streams) assertEquals(client.state, "ended");
  }

  /** Whoever comes back, with the cursor of anything that ever was, gets what follows it. */
  async #checkCursors(): Promise<void> {
    const { last, lost } = this.#ledger;
    const cursors = lost.slice(-MAX_CURSORS);
    for (let seq = Math.max(last - MAX_CURSORS, 0); seq <= last; seq++) {
      cursors.push(this.#ledger.idOf(seq));
    }
    for (const since of cursors) {
      const run = new Run(this.#ledger, { since });
      const { missed, entries } = await this.#log.read({ since });
      if (missed !== 0) run.gap(missed);
      for (const { id, json } of entries) run.message(id, json);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients()) await client.leave();
    await this.#server[Symbol.asyncDispose]();
    await this.#log[Symbol.asyncDispose]();
  }

  get #connection() {
    return { ledger: this.#ledger, time: this.#time, heartbeatMs: HEARTBEAT_MS };
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

  #openLog(): SqliteLog {
    const log = SqliteLog.open(this.#path, { keep: this.#keep, now: () => this.#now });
    log.subscribe((batch) => this.#note(() => this.#ledger.add(batch)));
    return log;
  }

  #startServer(): Server {
    return new Server(this.#log, {
      heartbeatMs: HEARTBEAT_MS,
      isLogKept: this.#folder === undefined,
    });
  }

  #note(law: () => void): void {
    try {
      law();
    } catch (error) {
      this.#fault ??= error;
    }
  }

  #post(post: Post): void {
    const server = this.#server;
    server.log.append(post).then((appended) => {
      if (server === this.#server) this.#note(() => this.#ledger.answer(post, appended));
    }, (error) => {
      if (server !== this.#server) return;
      this.#note(() => {
        if (!(error instanceof KeyConflictError)) throw error;
        this.#ledger.refuse(post);
      });
    });
  }

  #join(client: StreamClient): void {
    this.#streams.add(client);
    client.join((start) => this.#server.room.read(start));
  }

  #comeBack(): void {
    for (const client of this.#streams) {
      if (client.state !== "open") client.join((start) => this.#server.room.read(start));
    }
  }

  async #ask({ cursor, isBefore, appetite }: Extract<Command, { do: "ask" }>): Promise<void> {
    const start = this.#toStart(cursor);
    const id = "since" in start ? start.since : undefined;
    const ask = isBefore && id !== undefined ? { before: id } : start;
    const query = "latest" in ask
      ? ask.latest === 0 ? "since=none" : ""
      : "before" in ask
      ? `before=${ask.before}`
      : `since=${ask.since ?? "all"}`;
    const client = new HistoryClient(this.#connection, ask, appetite);
    const visit = toVisit(new Request(`http://localhost/chat?${query}`));
    try {
      client.receive(await sendHistory(visit, this.#server.room));
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

  #toStart(cursor: Cursor): Start {
    const ledger = this.#ledger;
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
    this.#server.room.hub.close();
    for (const client of this.#streams) await client.takeStock();
    await settle();
    await this.#server[Symbol.asyncDispose]();
    await settle();
    for (const client of this.#streams) assert(client.state !== "open", "every stream ends");
    await this.#forgetHistories();
    this.check();
  }

  async #forgetHistories(): Promise<void> {
    for (const client of this.#histories) await client.leave();
    this.#histories.clear();
  }

  async #restart({ putBack, copy, erase }: Extract<Command, { do: "restart" }>): Promise<void> {
    await this.#stop();
    if (this.#folder !== undefined) {
      if (putBack && this.#copy) this.#putBack(this.#copy);
      if (copy) this.#copy = this.#takeCopy();
      if (erase > 0) this.#erase(erase);
      this.#log = this.#openLog();
    }
    this.#server = this.#startServer();
    this.#comeBack();
  }

  #takeCopy(): Copy {
    const { last, erased } = this.#ledger;
    return { bytes: Deno.readFileSync(this.#path), last, erased: [...erased] };
  }

  /** Time has passed since what is lost was written, whatever the clock showed. */
  #putBack({ bytes, last, erased }: Copy): void {
    Deno.writeFileSync(this.#path, bytes);
    this.#ledger.cutTo(last, erased);
    this.#latest++;
    this.#now = this.#latest;
  }

  /** Somebody deletes rows from the file, but for the newest. */
  #erase(count: number): void {
    const to = this.#ledger.last - 1 - count % 3;
    const from = to - count + 1;
    using db = new DatabaseSync(this.#path);
    db.prepare("DELETE FROM messages WHERE seq BETWEEN ? AND ?").run(from, to);
    this.#ledger.erase(from, to);
  }

  /** The process is killed: a copy of what is on the disk at this moment goes on. */
  async #crash(): Promise<void> {
    for (const client of this.#streams) await client.leave();
    await this.#forgetHistories();
    const [dead, path] = [this.#server, this.#path];
    this.#file++;
    Deno.copyFileSync(path, this.#path);
    Deno.copyFileSync(`${path}-wal`, `${this.#path}-wal`);
    this.#log = this.#openLog();
    this.#server = this.#startServer();
    await dead[Symbol.asyncDispose]();
    this.#comeBack();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
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
