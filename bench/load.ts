/**
 * The benchmark's load, a process of its own: thousands of readers and some
 * publishers over plain TCP. It takes one order after the other on its input,
 * tells how each goes on its output, and ends with its input.
 */

import { DeliveryCounter } from "./delivery_counter.ts";
import { jsonLine, readJsonLines } from "./json_lines.ts";
import { mark, MARK_LENGTH } from "./mark.ts";
import { microsNow, Readers } from "./readers.ts";
import { ReturnCounter } from "./return_counter.ts";
import { asText, connect, isBroken, writeAll } from "./tcp.ts";

/** What to send and to whom. */
export interface LoadOrder {
  readonly port: number;
  readonly readers: number;
  readonly publishers: number;
  readonly messages: number;
  /** Messages a second; 0: every publisher posts its next when the last is answered. */
  readonly rate: number;
  /** Bytes of a message's text. */
  readonly size: number;
  /** Nothing is posted after this many seconds. */
  readonly seconds: number;
}

/** Readers that come back all at once; they hung up when the order before this ended. */
export interface ReturnOrder extends Missed {
  readonly port: number;
  readonly readers: number;
}

/** What went past a reader while it was away. */
export interface Missed {
  /** The last id it has seen; none where nobody can resume. */
  readonly cursor?: string;
  /** The numbers of the messages behind that, in the order of the log. */
  readonly missed: readonly number[];
}

/** What the load tells; after `connected` it waits for a line, "go", unless readers return. */
export type LoadEvent =
  | { readonly event: "connecting"; readonly readers: number }
  | { readonly event: "connected"; readonly seconds: number }
  | { readonly event: "sending"; readonly delivered: number; readonly posted: number }
  | { readonly event: "delivered" }
  | { readonly event: "result"; readonly result: LoadResult }
  | { readonly event: "returned"; readonly result: ReturnResult }
  | { readonly event: "failed"; readonly reason: string };

/** What came of an order. */
export interface LoadResult {
  /** Messages that were answered with a 2xx. */
  readonly accepted: number;
  /** Posts that got another answer, or none. */
  readonly refused: number;
  readonly delivered: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Streams that ended before they should. */
  readonly broken: number;
  /** From the first post to the last copy's arrival. */
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What came of a return. */
export interface ReturnResult {
  readonly delivered: number;
  /** Copies that did not come, or not in order. */
  readonly lost: number;
  readonly duplicates: number;
  /** Streams that ended again. */
  readonly broken: number;
  /**
   * From the start of the first connection until the last reader has the last
   * message it missed; where nothing can be resumed, until it has its first event.
   */
  readonly seconds: number;
}

/** Readers that arrive at the same time. */
const CONNECTING = 64;
/** Copies are lost if none arrives for so long. */
const SILENCE_MS = 3000;
/** How long copies that come twice have to show up. */
const LINGER_MS = 250;
const PROGRESS_MS = 200;

const encoder = new TextEncoder();

function tell(event: LoadEvent): void {
  const line = jsonLine(event);
  for (let sent = 0; sent < line.length;) sent += Deno.stdout.writeSync(line.subarray(sent));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The readers and publishers of one order. */
class Load implements Disposable {
  readonly #order: LoadOrder;
  readonly #counter: DeliveryCounter;
  readonly #readers: Readers;
  #next = 0;
  #accepted = 0;
  #refused = 0;

  constructor(order: LoadOrder) {
    this.#order = order;
    const { port, readers, messages } = order;
    this.#counter = new DeliveryCounter(readers, messages);
    this.#readers = new Readers({ port, readers, counter: this.#counter, connecting: CONNECTING });
  }

  /** Opens every stream; resolves when each has said that it is live. */
  async connect(): Promise<void> {
    await this.#readers.connect((readers) => tell({ event: "connecting", readers }));
  }

  /** Posts all messages and waits for their copies. */
  async run(finished: () => void): Promise<LoadResult> {
    const { port, publishers, readers, seconds } = this.#order;
    using stack = new DisposableStack();
    const connections = [];
    for (let i = 0; i < publishers; i++) connections.push(stack.use(await connect(port)));
    const timer = setInterval(() => this.#tellProgress(), PROGRESS_MS);
    const start = microsNow();
    const deadline = start + seconds * 1e6;
    await Promise.all(connections.map((connection) => this.#publish(connection, start, deadline)));

    const expected = () => this.#accepted * readers;
    let delivered = -1;
    let since = performance.now();
    while (this.#counter.delivered < expected() && performance.now() - since < SILENCE_MS) {
      if (this.#counter.delivered !== delivered) since = performance.now();
      delivered = this.#counter.delivered;
      await pause(2);
    }
    clearInterval(timer);
    finished();
    await pause(LINGER_MS);

    const { latency, duplicates, lastMicros } = this.#counter;
    const ms = (micros: number) => micros / 1000;
    return {
      accepted: this.#accepted,
      refused: this.#refused,
      delivered: this.#counter.delivered,
      lost: Math.max(0, expected() - this.#counter.delivered),
      duplicates,
      broken: this.#readers.broken,
      seconds: Math.max(0, lastMicros - start) / 1e6,
      p50Ms: ms(latency.quantile(0.5)),
      p99Ms: ms(latency.quantile(0.99)),
      maxMs: ms(latency.max),
    };
  }

  [Symbol.dispose](): void {
    this.#readers[Symbol.dispose]();
  }

  /** Posts the next message until there is none or the time is up. */
  async #publish(connection: Deno.Conn, start: number, deadline: number): Promise<void> {
    const { messages, rate, size, port } = this.#order;
    const filler = "x".repeat(size - MARK_LENGTH);
    const buffer = new Uint8Array(8192);
    while (this.#next < messages && microsNow() < deadline) {
      const number = this.#next++;
      if (rate > 0) {
        const wait = start + number / rate * 1e6 - microsNow();
        if (wait > 0) await pause(wait / 1000);
      }
      const body = `nickname=load&message=${mark(number, microsNow())}${filler}`;
      const head = `POST /chat HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
        "Accept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
        `Content-Length: ${body.length}\r\n\r\n`;
      try {
        await writeAll(connection, encoder.encode(head + body));
        const status = await readAnswer(connection, buffer);
        if (status >= 200 && status < 300) this.#accepted++;
        else this.#refused++;
      } catch (error) {
        if (!isBroken(error)) throw error;
        this.#refused++;
        return;
      }
    }
  }

  #tellProgress(): void {
    tell({ event: "sending", delivered: this.#counter.delivered, posted: this.#next });
  }
}

/** Opens all streams at once, each with a cursor, and counts what they get. */
async function comeBack({ port, readers, cursor, missed }: ReturnOrder): Promise<void> {
  const counter = new ReturnCounter(readers, missed);
  using all = new Readers({ port, readers, counter, cursor, connecting: readers });
  const start = microsNow();
  await all.connect((readers) => tell({ event: "connecting", readers }));
  const online = microsNow();
  tell({ event: "connected", seconds: (online - start) / 1e6 });
  await pause(LINGER_MS);
  const { delivered, duplicates, lastMicros } = counter;
  const served = missed.length > 0 ? lastMicros : online;
  tell({
    event: "returned",
    result: {
      delivered,
      lost: readers * missed.length - delivered,
      duplicates,
      broken: all.broken,
      seconds: Math.max(0, served - start) / 1e6,
    },
  });
}

/** Reads an answer to its end and returns its status. */
async function readAnswer(connection: Deno.Conn, buffer: Uint8Array): Promise<number> {
  let text = "";
  for (;;) {
    const read = await connection.read(buffer);
    if (read === null) throw new Deno.errors.UnexpectedEof("The server hung up on a post");
    text += asText(buffer.subarray(0, read));
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) continue;
    const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0;
    if (text.length >= end + 4 + Number(length)) return Number(text.slice(9, 12));
  }
}

if (import.meta.main) {
  const lines = readJsonLines<LoadOrder | ReturnOrder | "go">(Deno.stdin.readable);
  // Without the benchmark there is nobody to work for, whatever is under way.
  const next = async () => {
    const { value } = await lines.next();
    return value;
  };
  for (let order = await next(); typeof order === "object"; order = await next()) {
    try {
      if ("missed" in order) {
        await comeBack(order);
        continue;
      }
      using load = new Load(order);
      const start = performance.now();
      await load.connect();
      tell({ event: "connected", seconds: (performance.now() - start) / 1000 });
      if (await next() !== "go") break;
      const result = await load.run(() => tell({ event: "delivered" }));
      tell({ event: "result", result });
    } catch (error) {
      tell({ event: "failed", reason: error instanceof Error ? error.message : String(error) });
    }
  }
  Deno.exit();
}
