/** A network between browser and server that can be cut, or go silent without being cut. */

/** Passes connections on to a server on this machine; disposing of it ends them all. */
export class FlakyNetwork implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.TcpConn>();
  /** Where connections lead that are made from now on. */
  serverPort: number;
  readonly #accepting: Promise<void>;
  #isCut = false;
  #isSilent = false;

  constructor(serverPort: number) {
    this.serverPort = serverPort;
    this.#accepting = this.#accept();
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Ends all connections and refuses new ones. */
  cut(): void {
    this.#isCut = true;
    this.#closeAll();
  }

  /** From now on nothing arrives any more, and nobody is told. */
  silence(): void {
    this.#isSilent = true;
  }

  /** All is well again, for connections made from now on. */
  mend(): void {
    this.#isCut = this.#isSilent = false;
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      if (this.#isCut) client.close();
      else this.#pass(client);
    }
  }

  async #pass(client: Deno.TcpConn): Promise<void> {
    this.#connections.add(client);
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect({ hostname: "127.0.0.1", port: this.serverPort });
    } catch {
      // ConnectionRefused: the server is away, and so is whoever asks for it.
      return this.#close(client);
    }
    this.#connections.add(server);
    await Promise.all([this.#copy(client, server), this.#copy(server, client)]);
  }

  async #copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    try {
      for (;;) {
        const length = await from.read(buffer);
        if (length === null) break;
        for (let sent = 0; sent < length && !this.#isSilent;) {
          sent += await to.write(buffer.subarray(sent, length));
        }
      }
    } catch {
      // BadResource, ConnectionReset, BrokenPipe: one side has hung up.
    }
    this.#close(from);
    this.#close(to);
  }

  #close(connection: Deno.TcpConn): void {
    if (this.#connections.delete(connection)) connection.close();
  }

  #closeAll(): void {
    for (const connection of this.#connections) this.#close(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.#closeAll();
    await this.#accepting;
  }
}
