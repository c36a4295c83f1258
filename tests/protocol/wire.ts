/**
 * HTTP/1.1 to the letter. What is sent is what a rule says, since fetch() adds headers of its own, keeps others from
 * being set, follows redirects and decodes bodies.
 */

const CR = "\r".charCodeAt(0);
const LF = "\n".charCodeAt(0);
const READ_BYTES = 64 * 1024;

/** A connection ended before the response did. */
export class BrokenOff extends Error {
  override readonly name = "BrokenOff";
}

/** A request; a body has a `content-length` unless the headers have another, or a `transfer-encoding`. */
export interface WireRequest {
  readonly method: string;
  /** As it is sent, query and all. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
}

/** A response on a connection of its own; disposing of it hangs up. */
export class WireResponse implements Disposable {
  readonly #connection: Deno.Conn;
  readonly #hasBody: boolean;
  /** What has been received and not yet read. */
  #bytes = new Uint8Array();
  #isClosed = false;
  #status = 0;
  #headers = new Headers();

  private constructor(connection: Deno.Conn, method: string) {
    this.#connection = connection;
    this.#hasBody = method !== "HEAD";
  }

  /** Sends a request; `onOpen` gets the response before its head has come, to hang up. */
  static async to(
    { protocol, hostname, port }: URL,
    { method, target, headers, body }: WireRequest,
    onOpen: (response: WireResponse) => void,
  ): Promise<WireResponse> {
    const isSecure = protocol === "https:";
    const address = {
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port || (isSecure ? 443 : 80)),
    };
    const connection = isSecure ? await Deno.connectTls(address) : await Deno.connect(address);
    const response = new WireResponse(connection, method);
    onOpen(response);
    const all = {
      ...(body && !("transfer-encoding" in headers) && { "content-length": `${body.length}` }),
      ...headers,
      connection: "close",
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = toLatin1(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`);
    // A server may refuse, and stop reading, before it has the whole body.
    response.#send([head, ...body ? [body] : []]);
    await response.#readHead();
    return response;
  }

  get status(): number {
    return this.#status;
  }

  get headers(): Headers {
    return this.#headers;
  }

  /** The body piece by piece, as it comes. */
  async *pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { status } = this;
    if (!this.#hasBody || status === 204 || status === 304) return;
    if (this.#headers.get("transfer-encoding")?.toLowerCase() === "chunked") {
      for (;;) {
        const size = parseInt(await this.#readLine(), 16);
        if (!(size >= 0)) throw new BrokenOff("a chunk has no size");
        yield* this.#readPieces(size);
        await this.#readLine();
        if (size === 0) return;
      }
    }
    const length = this.#headers.get("content-length");
    if (length !== null) return yield* this.#readPieces(Number(length));
    do {
      if (this.#bytes.length > 0) yield this.#take(this.#bytes.length);
    } while (await this.#receive());
  }

  /** Whether the connection ends without anything more. */
  async isOver(): Promise<boolean> {
    return this.#bytes.length === 0 && !await this.#receive();
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.close();
  }

  async #send(parts: Uint8Array<ArrayBuffer>[]): Promise<void> {
    try {
      for (let rest of parts) {
        while (rest.length > 0) rest = rest.subarray(await this.#connection.write(rest));
      }
    } catch (error) {
      if (!isHangUp(error)) throw error;
    }
  }

  async #readHead(): Promise<void> {
    do {
      const [, status] = /^HTTP\/1\.\d (\d{3})/.exec(await this.#readLine()) ?? [];
      if (status === undefined) throw new BrokenOff("it is no HTTP/1.1 response");
      this.#status = Number(status);
      this.#headers = new Headers();
      for (let line = await this.#readLine(); line !== ""; line = await this.#readLine()) {
        const [, name, value] = /^([^:\s]+):\s*(.*?)\s*$/.exec(line) ?? [];
        if (name === undefined) throw new BrokenOff(`it has the header line "${line}"`);
        this.#headers.append(name, value);
      }
    } while (this.#status < 200);
  }

  async *#readPieces(length: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (let left = length; left > 0;) {
      if (this.#bytes.length === 0 && !await this.#receive()) {
        throw new BrokenOff("the body ends early");
      }
      const piece = this.#take(Math.min(left, this.#bytes.length));
      left -= piece.length;
      yield piece;
    }
  }

  async #readLine(): Promise<string> {
    let end;
    while ((end = this.#bytes.indexOf(LF)) < 0) {
      if (!await this.#receive()) throw new BrokenOff("the connection ends early");
    }
    const line = this.#take(end + 1).subarray(0, end);
    return new TextDecoder("latin1").decode(line.at(-1) === CR ? line.subarray(0, -1) : line);
  }

  #take(length: number): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  /** Receives more; whether there was more. */
  async #receive(): Promise<boolean> {
    const buffer = new Uint8Array(READ_BYTES);
    let count;
    try {
      count = await this.#connection.read(buffer);
    } catch (error) {
      if (!isHangUp(error)) throw error;
      throw new BrokenOff("the server hangs up");
    }
    if (count === null) return false;
    const bytes = new Uint8Array(this.#bytes.length + count);
    bytes.set(this.#bytes);
    bytes.set(buffer.subarray(0, count), this.#bytes.length);
    this.#bytes = bytes;
    return true;
  }
}

/** Bytes of which each is a character of the text; others are sent in UTF-8. */
function toLatin1(text: string): Uint8Array<ArrayBuffer> {
  return /^[\0-\xff]*$/.test(text)
    ? Uint8Array.from(text, (character) => character.charCodeAt(0))
    : new TextEncoder().encode(text);
}

/** Whether an error says that the other side, or we ourselves, hung up. */
function isHangUp(error: unknown): boolean {
  const {
    BadResource,
    BrokenPipe,
    ConnectionAborted,
    ConnectionReset,
    Interrupted,
    UnexpectedEof,
  } = Deno.errors;
  return [BadResource, BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, UnexpectedEof]
    .some((kind) => error instanceof kind);
}
