/**
 * The load's readers: thousands of open streams, and the loop that counts what
 * each of them receives.
 */

import { Http2Connection, STREAMS_PER_CONNECTION } from "../tests/http2_connection.ts";
import { type MarkCounter, microsNow } from "./mark.ts";
import { asText, connect, isBroken, writeAll } from "./tcp.ts";

/** Options for {@linkcode Readers}. */
export interface ReadersOptions {
  /** Where the instances are that they are spread over. */
  readonly ports: readonly number[];
  /** See {@linkcode LoadOrder.certificate}. */
  readonly certificate?: string;
  /** Whether they are streams of a few connections. @default {false} */
  readonly http2?: boolean;
  readonly readers: number;
  /** The paths of the rooms that they are spread over. @default {the main room's} */
  readonly paths?: readonly string[];
  /** Sees every byte of every stream. */
  readonly counter: MarkCounter;
  /** Connections opened at the same time. */
  readonly connecting: number;
  /** The id to resume after; without one, only new messages are asked for. */
  readonly cursor?: string;
}

/** Size of all readers' buffers together. */
const BUFFER_BYTES = 64 * 1024 * 1024;
const MIN_BUFFER_BYTES = 4096;
const MAX_BUFFER_BYTES = 64 * 1024;
const CONNECT_TIMEOUT_MS = 30_000;
const PROGRESS_MS = 200;
/** The event that ends a stream's replay. */
const ONLINE = /event: online\n[^]*\n\n/;
/** Longer than what ONLINE matches, which may be split between reads. */
const TAIL_LENGTH = 100;

const encoder = new TextEncoder();

/** The readers of one order; disposing of them closes all connections at once. */
export class Readers implements Disposable {
  readonly #options: ReadersOptions;
  readonly #connections: Disposable[] = [];
  readonly #shared: Promise<Http2Connection>[] = [];
  readonly #bufferBytes: number;
  /** Written to in advance: the system allocates memory when it is first touched. */
  readonly #buffers: Uint8Array;
  #ready = 0;
  #broken = 0;
  #closed = false;

  constructor(options: ReadersOptions) {
    this.#options = options;
    const share = Math.floor(BUFFER_BYTES / options.readers);
    this.#bufferBytes = Math.max(MIN_BUFFER_BYTES, Math.min(MAX_BUFFER_BYTES, share));
    this.#buffers = new Uint8Array(options.readers * this.#bufferBytes).fill(0);
  }

  /** Streams that ended early. */
  get broken(): number {
    return this.#broken;
  }

  /** Opens every stream; resolves once all are live. */
  async connect(onProgress: (ready: number) => void): Promise<void> {
    const { readers, connecting } = this.#options;
    let next = 0;
    const connectSome = async () => {
      while (next < readers) await this.#open(next++);
    };
    const timer = setInterval(() => onProgress(this.#ready), PROGRESS_MS);
    try {
      await withTimeout(Promise.all(Array.from({ length: connecting }, connectSome)));
    } finally {
      clearInterval(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }

  async #open(reader: number): Promise<void> {
    const { certificate, http2 } = this.#options;
    const begin = reader * this.#bufferBytes;
    const buffer = this.#buffers.subarray(begin, begin + this.#bufferBytes);
    if (http2) return await this.#openShared(reader, buffer);
    const connection = await connect(this.#portOf(reader), certificate);
    this.#connections.push(connection);
    const kept = await this.#untilOnline(connection, reader, buffer);
    this.#ready++;
    this.#read(connection, reader, buffer, kept);
  }

  /** Opens a stream of a connection that it shares with others, and counts what it receives. */
  async #openShared(reader: number, buffer: Uint8Array): Promise<void> {
    const { paths = ["/chat"], counter } = this.#options;
    const connection =
      await (this.#shared[Math.floor(reader / STREAMS_PER_CONNECTION)] ??= Http2Connection.open(
        this.#portOf(reader),
      ));
    this.#connections.push(connection);
    const stream = connection.get(`${paths[reader % paths.length]}?since=none`);
    const { promise: live, resolve, reject } = Promise.withResolvers<void>();
    let isLive = false;
    let text = "";
    let kept = 0;
    stream.on("data", (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length;) {
        const part = bytes.subarray(at, at + buffer.length - kept);
        buffer.set(part, kept);
        kept = counter.count(reader, buffer, kept + part.length, microsNow());
        at += part.length;
      }
      if (isLive) return;
      text += asText(bytes);
      isLive = ONLINE.test(text);
      if (isLive) resolve();
    });
    stream.on("error", reject);
    stream.on("close", () => {
      reject(new Error("A stream ended before it was live"));
      if (!this.#closed) this.#broken++;
    });
    await live;
    this.#ready++;
  }

  /** Where a reader is; each room has readers at all instances. */
  #portOf(reader: number): number {
    const { ports, paths = ["/chat"] } = this.#options;
    return ports[Math.floor(reader / paths.length) % ports.length];
  }

  /** Requests the stream and reads until it is live; returns the length of a cut-off mark. */
  async #untilOnline(connection: Deno.Conn, reader: number, buffer: Uint8Array): Promise<number> {
    const { paths = ["/chat"], cursor } = this.#options;
    const request = streamRequest(paths[reader % paths.length], cursor);
    await writeAll(connection, encoder.encode(request));
    let text = "";
    for (let kept = 0, isFirst = true;; isFirst = false) {
      const read = await connection.read(buffer.subarray(kept));
      if (read === null) {
        throw new Error(`A stream ended before it was live: ${text.split("\r\n")[0]}`);
      }
      text += asText(buffer.subarray(kept, kept + read));
      if (isFirst && !text.startsWith("HTTP/1.1 200")) {
        throw new Error(`A stream was refused: ${text.split("\r\n")[0]}`);
      }
      kept = this.#options.counter.count(reader, buffer, kept + read, microsNow());
      if (ONLINE.test(text)) return kept;
      text = text.slice(-TAIL_LENGTH);
    }
  }

  /** The hot loop of thousands of readers: read, count, read again into the same buffer. */
  async #read(
    connection: Deno.Conn,
    reader: number,
    buffer: Uint8Array,
    kept: number,
  ): Promise<void> {
    const { counter } = this.#options;
    try {
      for (;;) {
        const read = await connection.read(kept === 0 ? buffer : buffer.subarray(kept));
        if (read === null) break;
        kept = counter.count(reader, buffer, kept + read, microsNow());
      }
    } catch (error) {
      if (!this.#closed && !isBroken(error)) throw error;
    }
    if (!this.#closed) this.#broken++;
  }
}

function streamRequest(path: string, cursor?: string): string {
  const [query, header] = cursor === undefined
    ? ["?since=none", ""]
    : ["", `Last-Event-ID: ${cursor}\r\n`];
  return `GET ${path}${query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n` +
    `${header}\r\n`;
}

async function withTimeout(work: Promise<unknown>): Promise<void> {
  let timer;
  const timeout = new Promise((_, reject) => {
    const reason = `Not all readers were connected after ${CONNECT_TIMEOUT_MS / 1000} s`;
    timer = setTimeout(() => reject(new Error(reason)), CONNECT_TIMEOUT_MS);
  });
  try {
    await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
