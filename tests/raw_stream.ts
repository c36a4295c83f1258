/** Responses over plain TCP, read only when a test says so, and as little as it says. */

const HOSTNAME = "127.0.0.1";
const LF = "\n".charCodeAt(0);
/** Read at a time until the head is complete; it is some 400 bytes long. */
const HEAD_BYTES = 256;

const latin1 = new TextDecoder("latin1");

/** Connects and sends a text as it is. */
export async function sendRaw(port: number, text: string): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: HOSTNAME, port });
  try {
    await connection.write(new TextEncoder().encode(text));
    return connection;
  } catch (error) {
    // The server has gone in between.
    connection.close();
    throw error;
  }
}

/** Sends a GET request and reads nothing of the response. */
export async function sendGet(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Deno.TcpConn> {
  const lines = Object.entries({ host: HOSTNAME, ...headers }).map(([name, value]) =>
    `${name}: ${value}\r\n`
  );
  return await sendRaw(port, `GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
}

/** A response in chunked transfer coding, whose body is text; disposing of it hangs up. */
export class RawResponse implements Disposable {
  status = 0;
  readonly headers = new Headers();
  readonly #connection: Deno.TcpConn;
  readonly #buffer = new Uint8Array(64 * 1024);
  readonly #decoder = new TextDecoder();
  /** A line of HTTP's own that has begun: of the head, a chunk's size, or the end of a chunk. */
  #line = "";
  #isHead = true;
  /** What the body began with when the rest of the head was read. */
  #first = "";
  /** Bytes still to come of the current chunk. */
  #left = 0;
  #isLastChunk = false;
  #end: "complete" | "broken" | undefined;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /**
   * Sends a GET request and reads the head of the response.
   *
   * @throws {Deno.errors.UnexpectedEof} If the connection ends before the head does.
   */
  static async get(...[port, path, headers]: Parameters<typeof sendGet>): Promise<RawResponse> {
    const response = new RawResponse(await sendGet(port, path, headers));
    try {
      while (response.#isHead) {
        const text = await response.read(HEAD_BYTES);
        if (text === undefined) {
          throw new Deno.errors.UnexpectedEof("The connection ended before the response's head");
        }
        response.#first = text;
      }
      return response;
    } catch (error) {
      response[Symbol.dispose]();
      throw error;
    }
  }

  /** How the body ended, once it has: `broken` if the connection ended first. */
  get end(): "complete" | "broken" | undefined {
    return this.#end;
  }

  /** Reads at most this many bytes, and returns the text in them; undefined at the end. */
  async read(bytes = this.#buffer.length): Promise<string | undefined> {
    if (this.#first) {
      const text = this.#first;
      this.#first = "";
      return text;
    }
    if (this.#end) return undefined;
    let count;
    try {
      count = await this.#connection.read(this.#buffer.subarray(0, bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
    if (count) return this.#decode(this.#buffer.subarray(0, count));
    this.#end = "broken";
    return undefined;
  }

  #decode(bytes: Uint8Array): string {
    let text = "";
    for (let at = 0; at < bytes.length;) {
      if (this.#left > 0) {
        const part = bytes.subarray(at, at + this.#left);
        text += this.#decoder.decode(part, { stream: true });
        this.#left -= part.length;
        at += part.length;
        continue;
      }
      const end = bytes.indexOf(LF, at) + 1 || bytes.length;
      this.#line += latin1.decode(bytes.subarray(at, end));
      at = end;
      if (!this.#line.endsWith("\n")) break;
      this.#takeLine(this.#line.trimEnd());
      this.#line = "";
    }
    return text;
  }

  #takeLine(line: string): void {
    if (this.#isHead) {
      const [name, value] = line.split(/: (.*)/);
      if (this.status === 0) this.status = Number(line.split(" ")[1]);
      else if (line !== "") this.headers.append(name, value);
      else this.#isHead = false;
    } else if (line !== "") {
      this.#left = parseInt(line, 16);
      this.#isLastChunk = this.#left === 0;
    } else if (this.#isLastChunk) {
      this.#end = "complete";
    }
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** An event stream, and the messages that arrived on it; disposing of it hangs up. */
export class RawStream implements Disposable {
  /** The ids of the messages received, in order. */
  readonly ids: string[] = [];
  readonly response: RawResponse;
  #rest = "";
  #isLive = false;

  private constructor(response: RawResponse) {
    this.response = response;
  }

  /** Opens a stream; by default of new messages only. */
  static async open(
    port: number,
    path = "/chat?since=none",
    headers?: Readonly<Record<string, string>>,
  ): Promise<RawStream> {
    return new RawStream(await RawResponse.get(port, path, headers));
  }

  /** Whether the replay is over. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** The part of a block that has arrived so far. */
  get rest(): string {
    return this.#rest;
  }

  /** Reads at most this many bytes, and returns the blocks they complete; undefined at the end. */
  async read(bytes?: number): Promise<readonly string[] | undefined> {
    const text = await this.response.read(bytes);
    if (text === undefined) return undefined;
    this.#rest += text;
    if (!text.includes("\n")) return [];
    const blocks = this.#rest.split("\n\n");
    this.#rest = blocks.pop()!;
    for (const block of blocks) {
      const id = /^id: (.+)\ndata: /.exec(block)?.[1];
      if (id) this.ids.push(id);
      this.#isLive ||= block.startsWith("event: online\n");
    }
    return blocks;
  }

  /** Reads until the replay is over. */
  async readReplay(): Promise<void> {
    while (!this.#isLive) {
      if (!await this.read()) throw new Error("The stream ended before it was live");
    }
  }

  /** Reads up to a message; returns whether it came before the end. */
  async readTo(id: string): Promise<boolean> {
    while (this.ids.at(-1) !== id) {
      if (!await this.read()) return false;
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.response[Symbol.dispose]();
  }
}
