/**
 * The load's readers: thousands of open streams, and the loop that counts what
 * each of them receives.
 */

import type { MarkCounter } from "./mark.ts";
import { asText, connect, isBroken, writeAll } from "./tcp.ts";

/** Who reads what. */
export interface ReadersOptions {
  readonly port: number;
  readonly readers: number;
  /** Told of every byte, from the first of a stream on. */
  readonly counter: MarkCounter;
  /** Connections that are being made at the same time. */
  readonly connecting: number;
  /** The last id they have seen; without one they ask for what comes from now on. */
  readonly cursor?: string;
}

/** All readers' buffers together. */
const BUFFER_BYTES = 64 * 1024 * 1024;
const MIN_BUFFER_BYTES = 4096;
const MAX_BUFFER_BYTES = 64 * 1024;
const CONNECT_TIMEOUT_MS = 30_000;
const PROGRESS_MS = 200;
/** What a stream says when nothing of the log is ahead of the reader any more. */
const ONLINE = /event: online\n[^]*\n\n/;
/** More than ONLINE takes, and how it may be cut in pieces. */
const TAIL_LENGTH = 100;

const encoder = new TextEncoder();

/** The readers of one order; disposing of them hangs up on the server, all at once. */
export class Readers implements Disposable {
  readonly #options: ReadersOptions;
  readonly #request: Uint8Array;
  readonly #connections: Deno.Conn[] = [];
  readonly #bufferBytes: number;
  /** Made and written to beforehand: the system hands out memory when it is touched. */
  readonly #buffers: Uint8Array;
  #ready = 0;
  #broken = 0;
  #closed = false;

  constructor(options: ReadersOptions) {
    this.#options = options;
    this.#request = encoder.encode(streamRequest(options.cursor));
    const share = Math.floor(BUFFER_BYTES / options.readers);
    this.#bufferBytes = Math.max(MIN_BUFFER_BYTES, Math.min(MAX_BUFFER_BYTES, share));
    this.#buffers = new Uint8Array(options.readers * this.#bufferBytes).fill(0);
  }

  /** Streams that ended before they should. */
  get broken(): number {
    return this.#broken;
  }

  /** Opens every stream; resolves when each has said that it is live. */
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
    for (const connection of this.#connections) connection.close();
  }

  async #open(reader: number): Promise<void> {
    const connection = await connect(this.#options.port);
    this.#connections.push(connection);
    const begin = reader * this.#bufferBytes;
    const buffer = this.#buffers.subarray(begin, begin + this.#bufferBytes);
    const kept = await this.#untilOnline(connection, reader, buffer);
    this.#ready++;
    this.#read(connection, reader, buffer, kept);
  }

  /** Asks for the stream and reads until the reader is live; returns how much of a mark is kept. */
  async #untilOnline(connection: Deno.Conn, reader: number, buffer: Uint8Array): Promise<number> {
    await writeAll(connection, this.#request);
    let text = "";
    for (let kept = 0, isFirst = true;; isFirst = false) {
      const read = await connection.read(buffer.subarray(kept));
      if (read === null) throw new Error(`A stream ended at once: ${text.split("\r\n")[0]}`);
      text += asText(buffer.subarray(kept, kept + read));
      if (isFirst && !text.startsWith("HTTP/1.1 200")) {
        throw new Error(`A stream was refused: ${text.split("\r\n")[0]}`);
      }
      kept = this.#options.counter.count(reader, buffer, kept + read, microsNow());
      if (ONLINE.test(text)) return kept;
      text = text.slice(-TAIL_LENGTH);
    }
  }

  /** The loop that thousands of readers are in: read, count, read again into the same buffer. */
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

/** The clock of all marks. */
export function microsNow(): number {
  return Math.round(performance.now() * 1000);
}

function streamRequest(cursor?: string): string {
  const [query, header] = cursor === undefined
    ? ["?since=none", ""]
    : ["", `Last-Event-ID: ${cursor}\r\n`];
  return `GET /chat${query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n` +
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
