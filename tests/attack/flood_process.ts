/**
 * The process of a flood: it reads an order from its standard input, carries it out over plain
 * TCP, each connection as fast as it is answered, and prints how often which status came.
 */

import { connect } from "node:net";

/** Who sends what to whom. */
export interface FloodOrder {
  readonly port: number;
  readonly connections: number;
  /** The addresses that the connections are from, in turn. */
  readonly addresses: readonly string[];
  /** The whole request, in UTF-8. */
  readonly request: string;
  readonly seconds: number;
}

/** How many responses there were of each status; `closed`: connections that were. */
export type FloodResult = Readonly<Record<string, number>>;

/** One that was closed is opened again after this. */
const PAUSE_MS = 10;

/** Counts the responses that arrive on one connection. */
class Responses {
  #text = "";

  /** The statuses of the responses that end in these bytes. */
  *take(bytes: Uint8Array): Iterable<string> {
    this.#text += new TextDecoder("latin1").decode(bytes);
    for (;;) {
      const head = this.#text.indexOf("\r\n\r\n") + 4;
      if (head < 4) return;
      const [, length = 0] = /\r\ncontent-length: *(\d+)/i.exec(this.#text.slice(0, head)) ?? [];
      const end = head + Number(length);
      if (this.#text.length < end) return;
      yield this.#text.slice(9, 12);
      this.#text = this.#text.slice(end);
    }
  }
}

function flood(order: FloodOrder, counts: Record<string, number>): void {
  const { port, connections, addresses } = order;
  const request = new TextEncoder().encode(order.request);
  const count = (what: string) => counts[what] = (counts[what] ?? 0) + 1;
  const attack = (localAddress: string) => {
    const socket = connect({ host: "127.0.0.1", port, localAddress });
    const responses = new Responses();
    socket.setNoDelay(true);
    socket.on("connect", () => socket.write(request));
    socket.on("data", (bytes) => {
      for (const status of responses.take(bytes)) {
        count(status);
        socket.write(request);
      }
    });
    // What is wrong does not matter: it is closed next.
    socket.on("error", () => {});
    socket.on("close", () => {
      count("closed");
      setTimeout(() => attack(localAddress), PAUSE_MS);
    });
  };
  for (let n = 0; n < connections; n++) attack(addresses[n % addresses.length]);
}

if (import.meta.main) {
  const order: FloodOrder = await new Response(Deno.stdin.readable).json();
  const counts: Record<string, number> = {};
  flood(order, counts);
  await new Promise((resolve) => setTimeout(resolve, order.seconds * 1000));
  console.log(JSON.stringify(counts));
  Deno.exit();
}
