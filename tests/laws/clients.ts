/** Those who ask: readers of the stream and of JSON histories, at the pace they are given. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { LogUnavailableError, type Start } from "../../message_log/message_log.ts";
import { BrokenOffError } from "../../reader/reader.ts";
import type { FakeTime } from "./fake_time.ts";
import { type Ledger, Run } from "./ledger.ts";

/** How much a client takes: all there is, a chunk when told to, or nothing. */
export type Appetite = "much" | "little" | "nothing";

/** What a reader without room may be given all the same: `retry`, `online`, the rest of a frame. */
const EXTRA_BYTES = 32 * 1024;
const BUFFER_BYTES = 64 * 1024;
/** A chunk of 256 Ki characters of JSON, as frames. */
const MAX_CHUNK_LENGTH = 400 * 1024;

/** A body that is taken chunk by chunk. */
export abstract class Client {
  readonly #time: FakeTime;
  readonly #heartbeatMs: number;
  appetite: Appetite;
  #body!: ReadableStreamDefaultReader<Uint8Array>;
  #decoder = new TextDecoder("utf-8", { fatal: true });
  /** What has come and is not yet understood. */
  protected text = "";
  /** When it last took something, or began. */
  #tookAt = 0;
  #hasTaken = false;
  #isReading = false;
  /** Chunks taken by all clients: tells whether something still happens. */
  static chunks = 0;
  state: "coming" | "open" | "ended" | "broken" | "left" = "coming";
  /** The first law that it saw broken. */
  fault: unknown;

  constructor(time: FakeTime, heartbeatMs: number, appetite: Appetite) {
    this.#time = time;
    this.#heartbeatMs = heartbeatMs;
    this.appetite = appetite;
  }

  protected open(body: ReadableStream<Uint8Array>): void {
    this.#body = body.getReader();
    this.#decoder = new TextDecoder("utf-8", { fatal: true });
    this.text = "";
    this.#tookAt = this.#time.elapsed;
    this.#hasTaken = false;
    this.#isReading = false;
    this.state = "open";
    if (this.appetite === "much") this.takeAll();
  }

  get idleMs(): number {
    return this.#time.elapsed - this.#tookAt;
  }

  /** Whether it waits for more. */
  get isReading(): boolean {
    return this.state === "open" && this.#isReading;
  }

  /** Whether it had taken nothing for two heartbeats when the server last looked. */
  get isIdle(): boolean {
    const idleMs = this.#time.intervalAt - this.#tookAt;
    return !this.#isReading && idleMs >= 2 * this.#heartbeatMs;
  }

  /** Whether the server must have given it up: it looks at it first at the heartbeat after it joined. */
  get isGivenUp(): boolean {
    return !this.#hasTaken && this.idleMs >= 3 * this.#heartbeatMs;
  }

  /** Takes one chunk, as soon as there is one. */
  take(): void {
    if (!this.#isReading && this.state === "open") this.#read();
  }

  /** Takes whatever comes, from now on. */
  takeAll(): void {
    this.appetite = "much";
    this.take();
  }

  /** Takes what waits, which must be within bounds (law 5), then whatever comes. */
  async takeStock(): Promise<void> {
    if (this.state !== "open" || this.#isReading) return this.takeAll();
    const sizes: number[] = [];
    while (!this.#isReading && this.state === "open") {
      this.#read((chunk) => sizes.push(chunk.length));
      // A chunk that waits is there at once; more comes in a later turn only, but for a piece of a page.
      for (let tick = 0; tick < 10 && this.#isReading; tick++) await undefined;
    }
    this.appetite = "much";
    const bytes = sizes.reduce((sum, size) => sum + size, 0) - Math.max(0, ...sizes);
    this.check(() =>
      assert(bytes <= BUFFER_BYTES + EXTRA_BYTES, `${bytes} bytes and a chunk waited`)
    );
  }

  async leave(): Promise<void> {
    const wasOpen = this.state === "open";
    this.state = "left";
    if (!wasOpen) return;
    // It may have been broken off, unnoticed.
    await this.#body.cancel().catch((error) => assert(isExpected(error), error));
  }

  protected abstract onText(): void;
  /** The body has ended in order. */
  protected abstract onEnd(): void;
  /** The body was broken off for another reason than that it took nothing. */
  protected abstract onBreak(error: unknown): void;

  /** Notes a law that is broken where nobody waits for the error. */
  protected check(law: () => void): void {
    try {
      law();
    } catch (error) {
      this.fault ??= error;
    }
  }

  #read(onChunk?: (chunk: Uint8Array) => void): void {
    this.#isReading = true;
    this.#body.read().then(({ value, done }) => {
      this.#isReading = false;
      if (this.state === "left") return;
      Client.chunks++;
      this.#tookAt = this.#time.elapsed;
      this.#hasTaken = true;
      if (done) {
        this.state = "ended";
        return this.check(() => this.onEnd());
      }
      onChunk?.(value);
      this.text += this.#decoder.decode(value, { stream: true });
      this.check(() => {
        assert(value.length > 0, "an empty chunk");
        assert(this.text.length <= MAX_CHUNK_LENGTH, `a chunk of ${this.text.length} characters`);
        this.onText();
      });
      if (this.appetite === "much") this.take();
    }, (error) => {
      this.#isReading = false;
      if (this.state === "left") return;
      this.state = "broken";
      const wasIdle = this.idleMs >= 2 * this.#heartbeatMs;
      Client.chunks++;
      this.check(() => {
        if (!(error instanceof BrokenOffError) || !wasIdle) this.onBreak(error);
      });
    });
  }
}

/** Whether a body may end with an error like this. */
function isExpected(error: unknown): boolean {
  return error instanceof BrokenOffError || error instanceof LogUnavailableError;
}

/** What a client is connected to. */
export interface Connection {
  /** The name of a room, and what is in its log. */
  readonly room: string;
  readonly ledger: Ledger;
  readonly time: FakeTime;
  readonly heartbeatMs: number;
  /** Whether the log may be out of reach: its disk fails, or the server stops. */
  isUncertain(): boolean;
}

/** A reader of the stream, which comes back with its cursor. */
export class StreamClient extends Client {
  readonly #connection: Connection;
  readonly #start: Start;
  #cursor: string | undefined;
  #run!: Run;
  #lastFrame = "";

  constructor(connection: Connection, start: Start, appetite: Appetite) {
    super(connection.time, connection.heartbeatMs, appetite);
    this.#connection = connection;
    this.#start = start;
  }

  get room(): string {
    return this.#connection.room;
  }

  /** Whether it has all that is in the log. */
  get isAtEnd(): boolean {
    return this.#run.at === this.#connection.ledger.last;
  }

  /** It is on its way, for the first time or again. */
  come(): void {
    this.state = "coming";
  }

  /** Connects, for the first time or again. */
  join(read: (start: Start) => ReadableStream<Uint8Array>): void {
    const start = this.#cursor === undefined ? this.#start : { since: this.#cursor };
    this.#run = new Run(this.#connection.ledger, start);
    this.#lastFrame = "";
    this.open(read(start));
  }

  protected onText(): void {
    const frames = this.text.split("\n\n");
    this.text = frames.pop()!;
    for (const frame of frames) this.#onFrame(frame);
  }

  #onFrame(frame: string): void {
    if (this.#lastFrame === "") assertMatch(frame, /^retry: \d+$/, "a stream begins with a retry");
    this.#lastFrame = frame;
    const match = /^(?:event: (\w+)\n)?(\w+): ([^\n]+)(?:(?:\nevent: (removed))?\ndata: ([^\n]+))?$/
      .exec(frame);
    assert(match, `not a frame: ${frame.slice(0, 200)}`);
    const [, event, field, value, removed, data] = match;
    if (field === "id") {
      assertEquals(event, undefined);
      assertEquals(removed !== undefined, data !== undefined && "removes" in JSON.parse(data));
      if (data === undefined) this.#run.cursor(value);
      else this.#run.message(value, data);
      this.#cursor = value;
    } else if (event === "gap") this.#run.gap(JSON.parse(value).missed);
    else if (event === "online") assert(Number(value) > 0, frame);
    else if (event === "ping") {
      assertEquals(JSON.parse(value), { heartbeat: this.#connection.heartbeatMs / 1000 });
    } else {
      assertEquals([event, field], [undefined, "retry"]);
      assert(Number(value) >= 2000 && Number(value) <= 4000, frame);
    }
  }

  protected onEnd(): void {
    assertEquals(this.text, "", "a stream ends at the end of a frame");
    assertMatch(this.#lastFrame, /^retry: /, "a stream ends with a retry");
  }

  protected onBreak(error: unknown): void {
    throw new Error(`A stream was broken off after ${this.idleMs} ms`, { cause: error });
  }
}

/** What a history is asked for. */
export type Ask = Start | { readonly before: string };

/** A reader of one JSON history. */
export class HistoryClient extends Client {
  readonly #ledger: Ledger;
  readonly #isUncertain: () => boolean;
  readonly #ask: Ask;
  /** The number that a history from a start ends with. */
  readonly #last: number;
  /** What it sees; that of messages before one begins with the first. */
  #run: Run | undefined;
  #missed: number | null = 0;
  #isWhole = false;

  constructor(connection: Connection, ask: Ask, appetite: Appetite) {
    const { ledger, time, heartbeatMs, isUncertain } = connection;
    super(time, heartbeatMs, appetite);
    this.#ledger = ledger;
    this.#isUncertain = isUncertain;
    this.#ask = ask;
    this.#last = ledger.last;
    if (!("before" in ask)) this.#run = new Run(ledger, ask, { withRemovals: false });
  }

  receive(response: Response): void {
    const gap = response.headers.get("chat-gap");
    this.#missed = gap === null ? 0 : gap === "unknown" ? null : Number(gap);
    if (this.#missed !== 0) this.check(() => this.#run?.gap(this.#missed));
    this.open(response.body!);
  }

  /** There is one message on a line. */
  protected onText(): void {
    const lines = this.text.split("\n");
    this.text = lines.pop()!;
    for (const line of lines) {
      this.#isWhole = line.endsWith("]");
      const json = line.replace(/^\[/, "").replace(/[,\]]$/, "");
      if (json === "") continue;
      const { id } = JSON.parse(json);
      const start = { since: this.#idBefore(id) };
      this.#run ??= new Run(this.#ledger, start, { withRemovals: false });
      this.#run.message(id, json);
    }
  }

  #idBefore(id: string): string {
    const seq = this.#ledger.find(id);
    assert(seq !== undefined, `got ${id}, which is not in the log`);
    return this.#ledger.idOf(seq - 1);
  }

  protected onEnd(): void {
    assert(this.#isWhole && this.text === "", "a history is a whole array");
    if (!("before" in this.#ask)) return this.#run!.cursor(this.#ledger.idOf(this.#last));
    const before = this.#ledger.find(this.#ask.before) ?? 0;
    const end = this.#run?.at ?? 0;
    if (this.#run) {
      const skipped = before - 1 - end;
      const missed = this.#missed ?? NaN;
      const min = skipped - this.#ledger.countSilent(end + 1, before - 1, false);
      assert(min <= missed && missed <= skipped, `${missed} of ${skipped} said to be missing`);
    }
    const kept = this.#ledger.firstKept(end + 1, before - 1, false);
    assertEquals(kept, undefined, `the history before ${before} ends with ${end}`);
  }

  protected onBreak(error: unknown): void {
    if (error instanceof LogUnavailableError && this.#isUncertain()) return;
    assert(error instanceof BrokenOffError, `${error}`);
    if (this.#run === undefined) return;
    const { at, isOutdated } = this.#run;
    if (isOutdated) return;
    // The last line that came may be a whole message: only the next one ends it.
    const isLost = this.#ledger.isHoleWithin(at + 1, 2);
    assert(isLost, `a history was broken off after number ${at}, which is followed`);
  }
}
