/** Streams that a test sends by hand to scripts that ask for them. */

import { replaceGlobal } from "./page_scripts.ts";

/** A stream that a script has asked for. */
export class FakeStream {
  readonly response: Response;
  isClosed = false;
  #controller!: ReadableStreamDefaultController<Uint8Array>;

  constructor(readonly url: string, signal: AbortSignal) {
    const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      this.#controller = controller;
    };
    this.response = new Response(new ReadableStream({ start }), {
      headers: { "content-type": "text/event-stream; charset=utf-8" },
    });
    signal.addEventListener("abort", () => {
      this.isClosed = true;
      this.#controller.error(signal.reason);
    });
  }

  /** Sends an event; what is no text, as JSON. */
  async send(name: string, data: unknown, id?: string): Promise<void> {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    const lines = [`event: ${name}`, `data: ${text}`, ...id === undefined ? [] : [`id: ${id}`]];
    await this.sendBytes(new TextEncoder().encode(`${lines.join("\n")}\n\n`));
  }

  /** Sends what may be no whole event. */
  async sendBytes(bytes: Uint8Array): Promise<void> {
    this.#controller.enqueue(bytes);
    await settle();
  }

  /** Breaks it off. */
  async fail(): Promise<void> {
    this.#controller.error(new TypeError("The connection is lost"));
    await settle();
  }
}

/** Takes the place of the network: hands streams to `onStream`, and has `answer` answer all else. */
export function replaceNetwork(
  onStream: (stream: FakeStream) => void,
  answer: (url: string) => Response | Promise<Response>,
): Disposable {
  return replaceGlobal("fetch", async (url: string, { headers, signal }: RequestInit) => {
    if (new Headers(headers).get("accept") !== "text/event-stream") return await answer(url);
    const stream = new FakeStream(url, signal!);
    onStream(stream);
    return stream.response;
  });
}

/** Lets what was begun come to its end, where no time has to pass for that. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
