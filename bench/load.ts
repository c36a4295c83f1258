/**
 * The benchmark's load, in a process of its own: thousands of readers and some
 * publishers over plain TCP. It reads orders from its standard input, carries
 * them out one after another, reports on its standard output, and exits when its
 * input ends.
 */

import { setTimeout as delay } from "node:timers/promises";
import { DeliveryCounter } from "./delivery_counter.ts";
import { jsonLine, readJsonLines } from "./json_lines.ts";
import { mark, MARK_LENGTH, microsNow } from "./mark.ts";
import { Readers } from "./readers.ts";
import { ReturnCounter } from "./return_counter.ts";
import { readersOf } from "./rooms.ts";
import { asText, connect, isBroken, writeAll } from "./tcp.ts";

/** Connects readers, then posts messages to them. */
export interface LoadOrder {
  readonly port: number;
  /** Where the chat's other instances are. @default {[]} */
  readonly otherPorts?: readonly number[];
  /** Whether publishers are at the first instance, and readers at the others. @default {false} */
  readonly apart?: boolean;
  /** The server's certificate, as PEM; absent: it speaks plain HTTP. */
  readonly certificate?: string;
  /** Whether readers are streams of a few connections. @default {false} */
  readonly http2?: boolean;
  readonly readers: number;
  /** The paths of the rooms that readers and messages are spread over. */
  readonly paths: readonly string[];
  readonly publishers: number;
  readonly messages: number;
  /** Messages per second; 0: each publisher posts again as soon as it gets a response. */
  readonly rate: number;
  /** Length of a message's text in bytes. */
  readonly size: number;
  /** Posting stops after this many seconds. */
  readonly seconds: number;
}

/** Reconnects all readers at once; they hung up at the end of the previous order. */
export interface ReturnOrder extends Missed {
  readonly port: number;
  readonly readers: number;
}

/** What a reader missed while it was away. */
export interface Missed {
  /** The last id it has seen; absent if the server cannot resume. */
  readonly cursor?: string;
  /** The numbers of the messages after it, in log order. */
  readonly missed: readonly number[];
}

/** What the load reports; after `connected` it waits for the line "go", unless readers return. */
export type LoadEvent =
  | { readonly event: "connecting"; readonly readers: number }
  | { readonly event: "connected"; readonly seconds: number }
  | { readonly event: "sending"; readonly delivered: number; readonly posted: number }
  | { readonly event: "delivered" }
  | { readonly event: "result"; readonly result: LoadResult }
  | { readonly event: "returned"; readonly result: ReturnResult }
  | { readonly event: "failed"; readonly reason: string };

/** The outcome of an order. */
export interface LoadResult {
  /** Posts that got a 2xx response. */
  readonly accepted: number;
  /** Posts that got any other response, or none. */
  readonly refused: number;
  readonly delivered: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Streams that ended early. */
  readonly broken: number;
  /** From the first post until the last copy arrived. */
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** The outcome of a return. */
export interface ReturnResult {
  readonly delivered: number;
  /** Copies that did not arrive, or not in order. */
  readonly lost: number;
  readonly duplicates: number;
  /** Streams that ended early. */
  readonly broken: number;
  /**
   * From the start of the first connection until the last reader has the last
   * message it missed or, if the server cannot resume, its first event.
   */
  readonly seconds: number;
}

/** Connections opened at the same time. */
const CONNECTING = 64;
/** When no copy has arrived for this long, the missing ones count as lost. */
const SILENCE_MS = 3000;
/** How long to wait for duplicates after the last copy. */
const LINGER_MS = 250;
const PROGRESS_MS = 200;

const encoder = new TextEncoder();

function report(event: LoadEvent): void {
  const line = jsonLine(event);
  for (let sent = 0; sent < line.length;) sent += Deno.stdout.writeSync(line.subarray(sent));
}

/** The readers and publishers of one order. */
class Load implements Disposable {
  readonly #order: LoadOrder;
  readonly #counter: DeliveryCounter;
  readonly #readers: Readers;
  #next = 0;
  #accepted = 0;
  /** Copies of what was accepted. */
  #expected = 0;
  #refused = 0;

  constructor(order: LoadOrder) {
    this.#order = order;
    const { readers, messages, paths } = order;
    const counter = new DeliveryCounter(readers, messages, paths.length);
    this.#counter = counter;
    const { port, otherPorts = [], apart = false } = order;
    const ports = apart ? otherPorts : [port, ...otherPorts];
    this.#readers = new Readers({ ...order, ports, counter, connecting: CONNECTING });
  }

  /** Opens every stream; resolves once all are live. */
  async connect(): Promise<void> {
    await this.#readers.connect((readers) => report({ event: "connecting", readers }));
  }

  /** Posts all messages; calls `onDelivered` once all copies are there, then awaits duplicates. */
  async run(onDelivered: () => void): Promise<LoadResult> {
    const { port, otherPorts = [], apart, certificate, publishers, seconds } = this.#order;
    const ports = apart ? [port] : [port, ...otherPorts];
    using stack = new DisposableStack();
    const connections = [];
    for (let i = 0; i < publishers; i++) {
      connections.push(stack.use(await connect(ports[i % ports.length], certificate)));
    }
    const timer = setInterval(() => this.#reportProgress(), PROGRESS_MS);
    const start = microsNow();
    const deadline = start + seconds * 1e6;
    await Promise.all(connections.map((connection) => this.#publish(connection, start, deadline)));

    let delivered = -1;
    let since = performance.now();
    while (this.#counter.delivered < this.#expected && performance.now() - since < SILENCE_MS) {
      if (this.#counter.delivered !== delivered) since = performance.now();
      delivered = this.#counter.delivered;
      await delay(2);
    }
    clearInterval(timer);
    onDelivered();
    await delay(LINGER_MS);

    const { latency, duplicates, lastMicros } = this.#counter;
    const ms = (micros: number) => micros / 1000;
    return {
      accepted: this.#accepted,
      refused: this.#refused,
      delivered: this.#counter.delivered,
      lost: Math.max(0, this.#expected - this.#counter.delivered),
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

  /** Posts messages until there are none left or time is up. */
  async #publish(connection: Deno.Conn, start: number, deadline: number): Promise<void> {
    const { readers, paths, messages, rate, size, port } = this.#order;
    const filler = "x".repeat(size - MARK_LENGTH);
    const buffer = new Uint8Array(8192);
    while (this.#next < messages && microsNow() < deadline) {
      const number = this.#next++;
      if (rate > 0) {
        const wait = start + number / rate * 1e6 - microsNow();
        if (wait > 0) await delay(wait / 1000);
      }
      const body = `nickname=load&message=${mark(number, microsNow())}${filler}`;
      const head = `POST ${paths[number % paths.length]} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
        "Accept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
        `Content-Length: ${body.length}\r\n\r\n`;
      try {
        await writeAll(connection, encoder.encode(head + body));
        const status = await readResponse(connection, buffer);
        if (status >= 200 && status < 300) {
          this.#accepted++;
          this.#expected += readersOf(number, readers, paths.length);
        } else this.#refused++;
      } catch (error) {
        if (!isBroken(error)) throw error;
        this.#refused++;
        return;
      }
    }
  }

  #reportProgress(): void {
    report({ event: "sending", delivered: this.#counter.delivered, posted: this.#next });
  }
}

/** Opens all streams at once, each with the cursor, and counts what they receive. */
async function comeBack({ port, readers, cursor, missed }: ReturnOrder): Promise<void> {
  const counter = new ReturnCounter(readers, missed);
  using all = new Readers({ ports: [port], readers, counter, cursor, connecting: readers });
  const start = microsNow();
  await all.connect((readers) => report({ event: "connecting", readers }));
  const online = microsNow();
  report({ event: "connected", seconds: (online - start) / 1e6 });
  await delay(LINGER_MS);
  const { delivered, duplicates, lastMicros } = counter;
  const served = missed.length > 0 ? lastMicros : online;
  report({
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

/** Reads a response to its end and returns its status. */
async function readResponse(connection: Deno.Conn, buffer: Uint8Array): Promise<number> {
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
      report({ event: "connected", seconds: (performance.now() - start) / 1000 });
      if (await next() !== "go") break;
      const result = await load.run(() => report({ event: "delivered" }));
      report({ event: "result", result });
    } catch (error) {
      report({ event: "failed", reason: error instanceof Error ? error.message : String(error) });
    }
  }
  // The benchmark is gone: nobody is waiting for what is still running.
  Deno.exit();
}
