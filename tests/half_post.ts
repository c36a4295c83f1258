import { sendRaw } from "./raw_stream.ts";

/** A post of which only a part was sent; disposing of it hangs up. */
export class HalfPost implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #rest: string;

  private constructor(connection: Deno.TcpConn, rest: string) {
    this.#connection = connection;
    this.#rest = rest;
  }

  /** Sends all but the message's last character. */
  static async begin(port: number, message: string): Promise<HalfPost> {
    const body = `message=${message}`;
    const text = "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: " + body.length +
      "\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n" + body.slice(0, -1);
    return new HalfPost(await sendRaw(port, text), body.slice(-1));
  }

  /** Sends the rest; returns the status of the response. */
  async finish(): Promise<string | undefined> {
    await this.#connection.write(new TextEncoder().encode(this.#rest));
    const response = new Uint8Array(1000);
    const count = await this.#connection.read(response);
    return /^HTTP\/1.1 (\d+)/.exec(new TextDecoder().decode(response.subarray(0, count ?? 0)))?.[1];
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
