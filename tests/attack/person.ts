/** Somebody who does no harm: reads, writes, and takes note of how long it all takes. */

import { setTimeout as delay } from "node:timers/promises";
import { Durations } from "./outcome.ts";
import { waitFor } from "./patience.ts";

/** What has not come back by then is lost. */
const PATIENCE_MS = 5000;

/** A message that was sent. */
interface Sent {
  readonly at: number;
  status?: number;
  postMs?: number;
  id?: string;
  deliveryMs?: number;
}

/** What somebody saw of the chat while writing. */
export interface Seen {
  readonly posts: Durations;
  readonly deliveries: Durations;
  readonly refused: number;
  /** Messages that were stored and did not come on the stream, or more than once. */
  readonly lost: number;
}

/** How a person comes to the chat. */
export interface PersonOptions {
  readonly url: string;
  readonly address: string;
  readonly headers?: Record<string, string>;
}

/** A reader who writes; disposing of it hangs up. */
export class Person implements AsyncDisposable {
  readonly #options: PersonOptions;
  readonly #client: Deno.HttpClient;
  readonly #sent = new Map<string, Sent>();
  readonly #stream: ReadableStreamDefaultReader<Uint8Array>;
  readonly #reading: Promise<void>;
  #repeats = 0;

  private constructor(
    options: PersonOptions,
    client: Deno.HttpClient,
    stream: ReadableStream<Uint8Array>,
  ) {
    this.#options = options;
    this.#client = client;
    this.#stream = stream.getReader();
    this.#reading = this.#read();
  }

  /** Comes in and reads what is new. */
  static async join(options: PersonOptions): Promise<Person> {
    const { url, address, headers } = options;
    const client = Deno.createHttpClient({ localAddress: address });
    const { status, body } = await fetch(`${url}/chat?since=none`, { headers, client });
    if (status !== 200) throw new Error(`An honest reader got ${status}`);
    return new Person(options, client, body!);
  }

  /** Sends a request from the person's address. */
  ask(path: string, init: RequestInit = {}): Promise<Response> {
    const { url, headers } = this.#options;
    const all = { ...headers, ...init.headers };
    return fetch(url + path, { ...init, headers: all, client: this.#client });
  }

  /** Writes for some seconds, whether there are responses yet or not. */
  async write(perSecond: number, seconds: number): Promise<Seen> {
    const from = this.#sent.size;
    const start = performance.now();
    for (let n = 0; n < perSecond * seconds; n++) {
      await delay(Math.max(0, start + n * 1000 / perSecond - performance.now()));
      this.#post();
    }
    const sent = [...this.#sent.values()].slice(from);
    const isUnseen = (post: Sent) => post.status === 201 && post.deliveryMs === undefined;
    const isOver = (post: Sent) => post.status !== undefined && !isUnseen(post);
    await waitFor(() => sent.every(isOver), PATIENCE_MS);
    const times = (key: "postMs" | "deliveryMs") =>
      new Durations(sent.flatMap((post) => post[key] ?? []));
    return {
      posts: times("postMs"),
      deliveries: times("deliveryMs"),
      refused: sent.filter(({ status }) => status !== 201).length,
      lost: sent.filter(isUnseen).length + this.#repeats,
    };
  }

  /** How many of the messages that were stored the history no longer has. */
  async forgotten(): Promise<number> {
    const response = await this.ask("/chat?since=all", { headers: { accept: "application/json" } });
    const history: { id: string }[] = await response.json();
    const kept = new Set(history.map(({ id }) => id));
    return [...this.#sent.values()].filter(({ id }) => id !== undefined && !kept.has(id)).length;
  }

  async #post(): Promise<void> {
    const message = `honest-${this.#options.address}-${this.#sent.size}`;
    const sent: Sent = { at: performance.now() };
    this.#sent.set(message, sent);
    const body = new URLSearchParams({ nickname: "honest", message });
    const response = await this.ask("/chat", {
      method: "POST",
      body,
      headers: { accept: "application/json" },
    }).catch(() => undefined);
    const text = await response?.text().catch(() => undefined);
    if (response === undefined || text === undefined) return;
    sent.status = response.status;
    sent.postMs = performance.now() - sent.at;
    if (response.status === 201) sent.id = JSON.parse(text).id;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      // What does not come because the stream has broken off counts as lost.
      const { value, done } = await this.#stream.read().catch(() => ({
        value: undefined,
        done: true,
      }));
      if (done) return;
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks) {
        const [message] = /honest-[\d.]+-\d+/.exec(block) ?? [];
        if (message !== undefined) this.#see(message);
      }
    }
  }

  #see(message: string): void {
    const sent = this.#sent.get(message);
    if (!sent) return;
    if (sent.deliveryMs !== undefined) this.#repeats++;
    sent.deliveryMs ??= performance.now() - sent.at;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream.cancel().catch(() => {});
    await this.#reading;
    this.#client.close();
  }
}
