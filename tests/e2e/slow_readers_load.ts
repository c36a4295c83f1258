/**
 * Readers that stop, or read next to nothing, by the clock: what they get in the
 * end, and that the others do not wait for them.
 */

import { assert, assertEquals } from "@std/assert";
import { DeliveryCounter } from "../../bench/delivery_counter.ts";
import { mark, MARK_LENGTH } from "../../bench/mark.ts";
import { post } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { EventReader } from "../event_reader.ts";
import { RawStream, sendGet } from "../raw_stream.ts";

// How much a connection takes before anything waits in the server is known of Linux: some 4 MB.
const ignore = Deno.build.os !== "linux";

/** A message of nearly 16 KB, the most that one can have. */
const FILLER = "👋".repeat(4000 - MARK_LENGTH);

const SECONDS = 10;
/** 12 MB in all: more than a connection takes. */
const MESSAGES_PER_SECOND = 75;
const MESSAGES_BEFORE = 20;

/**
 * A room with a reader that reads, stops for ten seconds and goes on, and one
 * that reads a byte a second all the time.
 */
class HaltingRoom implements AsyncDisposable {
  /** All that was sent. */
  readonly ids: string[] = [];
  readonly #running = new AsyncDisposableStack();

  private constructor(
    readonly chat: ChatProcess,
    readonly stopping: RawStream,
    readonly crawling: RawStream,
  ) {
    this.#running.use(chat);
    this.#running.use(stopping);
    this.#running.use(crawling);
  }

  static async open(heartbeat: number): Promise<HaltingRoom> {
    const chat = await ChatProcess.start(["--heartbeat", String(heartbeat)]);
    const room = new HaltingRoom(
      chat,
      await RawStream.open(chat.port),
      await RawStream.open(chat.port),
    );
    await room.#send(MESSAGES_BEFORE);
    assert(await room.stopping.readTo(room.ids.at(-1)!));
    return room;
  }

  /** Ten seconds, in which messages are sent. */
  async halt(): Promise<void> {
    for (let second = 0; second < SECONDS; second++) {
      const isOver = new Promise((resolve) => setTimeout(resolve, 1000));
      await this.crawling.read(1);
      await this.#send(MESSAGES_PER_SECOND);
      await isOver;
    }
  }

  async #send(count: number): Promise<void> {
    for (let n = 0; n < count; n++) this.ids.push((await post(this.chat.url, FILLER)).id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.disposeAsync();
  }
}

/** Steps at the same time: Deno's sanitizers can't tell whose a timer is. */
const AT_ONCE = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };

Deno.test("a reader that stops for ten seconds and one that reads a byte a second", {
  ignore,
}, async (t) => {
  const goesOn = {
    ...AT_ONCE,
    name: "get everything on the same stream within two heartbeats",
    async fn() {
      await using room = await HaltingRoom.open(15);
      await room.halt();
      for (const reader of [room.stopping, room.crawling]) {
        assert(await reader.readTo(room.ids.at(-1)!), `it ended after ${reader.ids.length}`);
        assertEquals(reader.ids, room.ids);
      }
    },
  };
  const isCut = {
    ...AT_ONCE,
    name: "are cut off after two heartbeats, and resume exactly",
    async fn() {
      await using room = await HaltingRoom.open(1);
      await room.halt();
      const last = room.ids.at(-1)!;
      for (const reader of [room.stopping, room.crawling]) {
        assert(!await reader.readTo(last), "its stream goes on");
        assertEquals(reader.response.end, "broken");
        const ids = [...reader.ids];
        const headers = { "last-event-id": ids.at(-1)! };
        await using again = new EventReader(await fetch(`${room.chat.url}/chat`, { headers }));
        while (ids.at(-1) !== last) ids.push((await again.nextMessage()).id);
        assertEquals(ids, room.ids);
      }
    },
  };
  await Promise.all([t.step(goesOn), t.step(isCut)]);
});

const READERS = 50;
/** From one message to the next: more than a fan-out takes, so that none waits for the last one's. */
const INTERVAL_MS = 3;
const STALLED = 100;
/** 11.8 MB. After some 4 the stalled readers have no room; two heartbeats later they are cut off. */
const MESSAGES_A_ROUND = 720;
/** Rounds with stalled readers, in which 59 MB are sent, and as many without. */
const ROUNDS = 5;
const MAX_RATIO = 1.5;

/** Readers that keep up, and how long messages take to get to them. */
class PromptReaders implements Disposable {
  readonly #chat: ChatProcess;
  readonly #connections: Deno.TcpConn[] = [];
  #counter = new DeliveryCounter(READERS, MESSAGES_A_ROUND);
  #expected = 0;
  #haveAll = () => {};

  private constructor(chat: ChatProcess) {
    this.#chat = chat;
  }

  static async open(chat: ChatProcess): Promise<PromptReaders> {
    const readers = new PromptReaders(chat);
    for (let index = 0; index < READERS; index++) {
      const connection = await sendGet(chat.port, "/chat?since=none");
      readers.#connections.push(connection);
      readers.#read(connection, index);
    }
    return readers;
  }

  /** The milliseconds in which 99% of all copies arrive, of messages at a steady pace. */
  async p99(): Promise<number> {
    this.#counter = new DeliveryCounter(READERS, MESSAGES_A_ROUND);
    const start = performance.now();
    for (let n = 0; n < MESSAGES_A_ROUND; n++) {
      const early = start + n * INTERVAL_MS - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      const arrived = new Promise<void>((resolve) => this.#haveAll = resolve);
      this.#expected = (n + 1) * READERS;
      await post(this.#chat.url, mark(n, microsNow()) + FILLER);
      await arrived;
    }
    assertEquals(this.#counter.duplicates, 0);
    return this.#counter.latency.quantile(0.99) / 1000;
  }

  async #read(connection: Deno.TcpConn, index: number): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    let kept = 0;
    for (;;) {
      // BadResource, Interrupted: the test is over.
      const count = await connection.read(buffer.subarray(kept)).catch(() => null);
      if (count === null) break;
      kept = this.#counter.count(index, buffer, kept + count, microsNow());
      if (this.#counter.delivered === this.#expected) this.#haveAll();
    }
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection.close();
  }
}

function microsNow(): number {
  return Math.round(performance.now() * 1000);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

Deno.test(`${STALLED} readers that stall do not slow the others`, { ignore }, async (t) => {
  await using chat = await ChatProcess.start(["--heartbeat", "1"]);
  using readers = await PromptReaders.open(chat);
  const p99WithStalled = async () => {
    using stalled = new DisposableStack();
    // Live, so that what it takes to let them in is not measured.
    for (let n = 0; n < STALLED; n++) {
      const stream = stalled.use(await RawStream.open(chat.port));
      await stream.readReplay();
    }
    return await readers.p99();
  };
  // Code is compiled and heaps find their size.
  await readers.p99();
  await p99WithStalled();

  const without: number[] = [];
  const withStalled: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    // The one and the other goes first, so that a machine that gets busier counts for neither.
    if (round % 2 === 0) without.push(await readers.p99());
    withStalled.push(await p99WithStalled());
    if (round % 2 === 1) without.push(await readers.p99());
  }
  // Medians of the rounds: a moment in which the machine does other things spoils only a round.
  const ratio = median(withStalled) / median(without);
  const figures = `p99 ${median(without).toFixed(2)} ms without, ` +
    `${median(withStalled).toFixed(2)} ms with, ratio ${ratio.toFixed(2)}`;
  await t.step(figures, () => assert(ratio <= MAX_RATIO));
});
