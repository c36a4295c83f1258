/** A stream over plain TCP that is read only when a test says so, and as little as it says. */

const HOSTNAME = "127.0.0.1";

/** Asks for the stream of what comes from now on, without reading any of it. */
export async function openStream(port: number): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: HOSTNAME, port });
  const request = `GET /chat?since=none HTTP/1.1\r\nHost: ${HOSTNAME}\r\n\r\n`;
  await connection.write(new TextEncoder().encode(request));
  return connection;
}

/** A stream and the messages that came whole; disposing of it hangs up. */
export class RawStream implements Disposable {
  /** The messages' ids, as they came. */
  readonly ids: string[] = [];
  readonly #connection: Deno.TcpConn;
  readonly #decoder = new TextDecoder();
  readonly #buffer = new Uint8Array(64 * 1024);
  #text = "";
  #isLive = false;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** Opens a stream and reads until it is live. */
  static async open(port: number): Promise<RawStream> {
    const stream = new RawStream(await openStream(port));
    while (!stream.#isLive) {
      if (!await stream.read()) throw new Error("The stream ended before it was live");
    }
    return stream;
  }

  /** Reads so many bytes at most; whether there were any before the end, or the break. */
  async read(bytes = this.#buffer.length): Promise<boolean> {
    let count;
    try {
      count = await this.#connection.read(this.#buffer.subarray(0, bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
    if (!count) return false;
    this.#text += this.#decoder.decode(this.#buffer.subarray(0, count), { stream: true });
    // The server's chunks end where frames end, so that what is between two frames is no matter.
    const frames = this.#text.split("\n\n");
    if (frames.length === 1) return true;
    this.#text = frames.pop()!;
    for (const frame of frames) {
      const id = /^id: (.+)\ndata: /m.exec(frame)?.[1];
      if (id) this.ids.push(id);
      this.#isLive ||= frame.includes("event: online\n");
    }
    return true;
  }

  /** Reads up to a message; whether it came before the end. */
  async readTo(id: string): Promise<boolean> {
    while (this.ids.at(-1) !== id) {
      if (!await this.read()) return false;
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
