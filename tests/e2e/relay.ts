/** What a chat is like where something in between has its own will, or a computer's clock is set. */

import { inPage, type Tab } from "./engine.ts";

/**
 * Goes before every script, of pages and workers: the clock of all of them can be set. Their timers and
 * `performance.now()` go on as they do when a person sets the clock of a computer.
 */
const CLOCK = `globalThis.clock ??= ((channel) => {
  const { now } = Date;
  let offset = 0;
  channel.onmessage = ({ data }) => offset = data;
  globalThis.Date = class extends Date {
    constructor(...args) {
      super(...(args.length ? args : [now() + offset]));
    }
    static now() {
      return now() + offset;
    }
  };
  return channel;
})(new BroadcastChannel("clock"));
`;

/** Passes requests on to a chat; disposing of it ends that. */
export class Relay implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** Answers a request itself where it returns something. */
  answer: (request: Request) => Response | undefined = () => undefined;

  constructor(url: string) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request) => {
        const answer = this.answer(request);
        if (answer) return answer;
        const { pathname, search } = new URL(request.url);
        const { method, headers, body } = request;
        const response = await fetch(url + pathname + search, { method, headers, body });
        if (!pathname.endsWith(".js")) return response;
        const type = { "content-type": response.headers.get("content-type")! };
        return new Response(CLOCK + await response.text(), { headers: type });
      },
    );
  }

  get port(): number {
    return this.#server.addr.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Sets the clock of all pages and workers of a tab's browser that have come through a relay. */
  static async setClock(tab: Tab, offsetMs: number): Promise<void> {
    await inPage(tab, (offsetMs) => new BroadcastChannel("clock").postMessage(offsetMs), offsetMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}
