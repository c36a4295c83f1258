/** HTTP/2 as no browser lets a page use it: many streams on a connection, reset or left unread. */

import http2 from "node:http2";

/** What Deno takes on one connection at a time. */
export const STREAMS_PER_CONNECTION = 200;

/** What may be on its way to all streams of a connection together. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/** A connection over TLS; disposing of it ends it with all of its streams. */
export class Http2Connection implements Disposable {
  readonly #session: http2.ClientHttp2Session;

  private constructor(session: http2.ClientHttp2Session) {
    this.#session = session;
  }

  static async open(port: number, settings: http2.Settings = {}): Promise<Http2Connection> {
    const session = http2.connect(`https://127.0.0.1:${port}`, {
      rejectUnauthorized: false,
      settings,
    });
    await new Promise<void>((resolve, reject) => {
      session.once("connect", () => resolve());
      session.once("error", reject);
    });
    // As browsers do. With the default of 64 KiB, streams would wait for each other.
    session.setLocalWindowSize(WINDOW_BYTES);
    return new Http2Connection(session);
  }

  /** Sends a GET request; nothing of the response's body is read. */
  get(path: string, headers: Record<string, string> = {}): http2.ClientHttp2Stream {
    return this.#session.request({ ":path": path, ...headers });
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}

/** Types of frames (RFC 9113, section 6). */
const HEADERS = 1;
const SETTINGS = 4;
const WINDOW_UPDATE = 8;
const END_STREAM_AND_HEADERS = 5;
const INITIAL_WINDOW_SIZE = 4;
const MAX_WINDOW = [0x7f, 0xff, 0xff, 0xff];
/** To what the connection's window already has. */
const MAX_INCREMENT = [0x7f, 0xfe, 0xff, 0xff];

/**
 * Opens as many streams of new messages as a connection may have, lets the server send as much
 * as it likes on each, and reads nothing at all.
 */
export async function openUnread(port: number, certificate: string): Promise<Disposable> {
  const connection = await Deno.connectTls({
    hostname: "127.0.0.1",
    port,
    caCerts: [certificate],
    alpnProtocols: ["h2"],
  });
  const frames = [
    ...new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ...frame(SETTINGS, 0, 0, [0, INITIAL_WINDOW_SIZE, ...MAX_WINDOW]),
    ...frame(WINDOW_UPDATE, 0, 0, MAX_INCREMENT),
  ];
  // GET and https by their numbers in HPACK's table, path and authority by their names' numbers.
  const headers = [0x82, 0x87, 0x04, ...text("/chat?since=none"), 0x01, ...text("localhost")];
  for (let n = 0; n < STREAMS_PER_CONNECTION; n++) {
    frames.push(...frame(HEADERS, END_STREAM_AND_HEADERS, 2 * n + 1, headers));
  }
  const writer = connection.writable.getWriter();
  await writer.write(new Uint8Array(frames));
  writer.releaseLock();
  return connection;
}

function frame(type: number, flags: number, stream: number, payload: readonly number[]): number[] {
  return [0, 0, payload.length, type, flags, 0, 0, stream >> 8, stream & 0xff, ...payload];
}

function text(value: string): number[] {
  return [value.length, ...new TextEncoder().encode(value)];
}
