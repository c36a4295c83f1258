/** The server that is checked, as a rule asks it. */

import {
  type ServerSentEventParsedMessage,
  ServerSentEventParseStream,
} from "@std/http/server-sent-event-parse-stream";
import type { Options, Part } from "./options.ts";
import { expect, expectMatch, expectSame, Unmet } from "./rule.ts";
import { BrokenOff, WireResponse } from "./wire.ts";

/** A message or a removal, as a server sends it. */
export type Entry = Readonly<Record<string, unknown>>;

/** Who asks: a visitor sends the password if there is one, a stranger none. */
export type Asker = "visitor" | "moderator" | "stranger";

export type Fields = Readonly<Record<string, string>>;

/** A request. */
export interface Ask {
  readonly method?: string;
  readonly headers?: Fields;
  /** Fields are sent as a form. */
  readonly body?: Fields | string | Uint8Array<ArrayBuffer>;
  /** @default {"visitor"} */
  readonly as?: Asker;
  /** Whether a 429 is what is wanted, and no reason to ask again later. */
  readonly mayBeTooMany?: boolean;
  /** How long the answer may take. @default {the suite's patience} */
  readonly withinMs?: number;
}

/** What is checked, and what has been learned of it. */
export interface Server {
  readonly options: Options;
  /** The name of the room that rules share. */
  readonly room: string;
  /** Whether a post is answered with its message. */
  answersWithMessage: boolean;
}

/** A post that has waited for this many answers of 429 has waited long enough. */
const MAX_WAITS = 3;
/** What a newcomer gets, if a room keeps that many. */
const LATEST_COUNT = 50;
/** What the document describes of a message. */
const MEMBERS = ["id", "nickname", "message", "timestamp", "time", "by", "moderator"];
export const FORM = { "content-type": "application/x-www-form-urlencoded" };
export const JSON_TYPE = { "content-type": "application/json" };

/** A text that nobody else writes. */
export function unique(words: string): string {
  return `${words} ${Math.random().toString(36).slice(2, 10)}`;
}

/** One server while one rule is checked; disposing of it ends what the rule has opened. */
export class Chat implements Disposable {
  readonly server: Server;
  /** The main room. */
  readonly main: Room;
  /** A room for rules that do not mind what else is in it. */
  readonly room: Room;
  readonly #open = new DisposableStack();

  constructor(server: Server) {
    this.server = server;
    this.main = new Room(this, "");
    this.room = this.has("rooms") ? new Room(this, server.room) : this.main;
  }

  get options(): Options {
    return this.server.options;
  }

  /** How many messages whoever comes without a cursor gets of a room that has more. */
  get latestCount(): number {
    return Math.min(LATEST_COUNT, this.options.keep ?? LATEST_COUNT);
  }

  /** Whether the server has a part of the protocol. */
  has(part: Part): boolean {
    return !this.options.without.has(part);
  }

  /** A room that nobody has been in, where a server has rooms. */
  freshRoom(): Room {
    return this.has("rooms")
      ? new Room(this, `p${Math.random().toString(36).slice(2, 12)}`)
      : this.main;
  }

  /** Asks for a path, which has no slash at its beginning. */
  async ask(path: string, ask: Ask = {}): Promise<Answer> {
    for (let waits = 0;; waits++) {
      const answer = await this.#askOnce(path, ask);
      const isTooMany = answer.status === 429 && !ask.mayBeTooMany && waits < MAX_WAITS;
      if (!isTooMany) return answer;
      const seconds = Number(answer.headers.get("retry-after") ?? 1);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }

  /** A promise, as long as the suite has the patience to wait for it. */
  async within<Value>(promise: Promise<Value>, what: string, ms?: number): Promise<Value> {
    const { patienceMs } = this.options;
    let timer;
    try {
      return await Promise.race([
        promise,
        new Promise<never>((_, reject) => {
          const reason = `${what} does not come within ${(ms ?? patienceMs) / 1000} s`;
          timer = setTimeout(() => reject(new Unmet(reason)), ms ?? patienceMs);
        }),
      ]);
    } catch (error) {
      if (error instanceof BrokenOff) throw new Unmet(`of ${what}, ${error.message}`);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#open.dispose();
  }

  async #askOnce(path: string, ask: Ask): Promise<Answer> {
    const { url } = this.options;
    const { method = "GET", body, as = "visitor", withinMs } = ask;
    const password = this.#passwordOf(as);
    const isForm = body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array);
    const headers = {
      host: url.host,
      ...(password !== undefined && { authorization: basic(password) }),
      ...(isForm && FORM),
      ...ask.headers,
    };
    const text = isForm ? `${new URLSearchParams(body)}` : body;
    const response = WireResponse.to(url, {
      method,
      target: url.pathname + path,
      headers,
      body: typeof text === "string" ? new TextEncoder().encode(text) : text,
    }, (opened) => this.#open.use(opened));
    const what = `the answer to ${method} /${path.length > 60 ? `${path.slice(0, 60)}…` : path}`;
    return new Answer(await this.within(response, what, withinMs), this, what);
  }

  #passwordOf(asker: Asker): string | undefined {
    if (asker === "moderator") return this.options.moderatorPassword;
    return asker === "visitor" ? this.options.password : undefined;
  }
}

/** The `Authorization` that shows a password. */
export function basic(password: string, user = ""): string {
  return `Basic ${new TextEncoder().encode(`${user}:${password}`).toBase64()}`;
}

/** An answer of the server, whose head is there. */
export class Answer {
  /** How it is called in what came instead. */
  readonly what: string;
  readonly #response: WireResponse;
  readonly #chat: Chat;

  constructor(response: WireResponse, chat: Chat, what: string) {
    this.#response = response;
    this.#chat = chat;
    this.what = what;
  }

  get status(): number {
    return this.#response.status;
  }

  get headers(): Headers {
    return this.#response.headers;
  }

  /** Whether nothing more comes, where there must be no body. */
  async isOver(): Promise<boolean> {
    return await this.#chat.within(this.#response.isOver(), `the end of ${this.what}`);
  }

  /** Its body; a stream has none that ends. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const type = this.headers.get("content-type") ?? "";
    expect(!type.startsWith("text/event-stream"), `${this.what} is an event stream`);
    const pieces = Array.fromAsync(this.#response.pieces());
    const all = await this.#chat.within(pieces, `the end of ${this.what}`);
    return await new Blob(all).bytes();
  }

  async text(): Promise<string> {
    const bytes = await this.bytes();
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new Unmet(`${this.what} is not UTF-8`);
    }
  }

  async json(): Promise<unknown> {
    return parseJson(await this.text(), this.what);
  }

  /** @throws {Unmet} Unless it has that status. */
  expectStatus(status: number): this {
    expectSame(`the status of ${this.what}`, this.status, status);
    return this;
  }

  /** @throws {Unmet} Unless it is a refusal of that status that blames that field, if one is named. */
  async expectProblem(status: number, field?: string): Promise<Entry> {
    this.expectStatus(status);
    const type = this.headers.get("content-type");
    expectMatch(`the type of ${this.what}`, type, /^application\/problem\+json\b/);
    const problem = await this.json() as Entry;
    expectSame(`"status" in ${this.what}`, problem.status, status);
    if (field !== undefined) expectSame(`"field" in ${this.what}`, problem.field, field);
    return problem;
  }

  /** Ends the connection. */
  hangUp(): void {
    this.#response[Symbol.dispose]();
  }

  /** The events of a stream. */
  events(): Events {
    const stream = ReadableStream.from(this.#response.pieces())
      .pipeThrough(new ServerSentEventParseStream());
    return new Events(stream.getReader(), this.#chat);
  }
}

/** The events of a stream, one after the other. */
export class Events {
  readonly #reader: ReadableStreamDefaultReader<ServerSentEventParsedMessage>;
  readonly #chat: Chat;
  /** What was waited for in vain is still to come. */
  #next: Promise<ReadableStreamReadResult<ServerSentEventParsedMessage>> | undefined;

  constructor(reader: ReadableStreamDefaultReader<ServerSentEventParsedMessage>, chat: Chat) {
    this.#reader = reader;
    this.#chat = chat;
  }

  /** The next event; undefined at the end of the stream. */
  async nextOrEnd(
    what = "another event",
    ms?: number,
  ): Promise<ServerSentEventParsedMessage | undefined> {
    this.#next ??= this.#reader.read();
    const { value } = await this.#chat.within(this.#next, what, ms);
    this.#next = undefined;
    return value;
  }

  async next(what = "another event", ms?: number): Promise<ServerSentEventParsedMessage> {
    const event = await this.nextOrEnd(what, ms);
    if (event === undefined) throw new Unmet(`the stream ends before ${what}`);
    return event;
  }

  /** The next event of a name, after what else there is. */
  async nextOf(name: string, ms?: number): Promise<ServerSentEventParsedMessage> {
    for (;;) {
      const event = await this.next(`an event "${name}"`, ms);
      if (nameOf(event) === name) return event;
    }
  }

  /** The next message. */
  async nextMessage(): Promise<Entry> {
    return parseEntry(await this.nextOf("message"));
  }

  /** All events up to the message with a text, without that; they are added to those in `seen`. */
  async upTo(
    text: string,
    { ms, seen = [] }: { ms?: number; seen?: ServerSentEventParsedMessage[] } = {},
  ): Promise<ServerSentEventParsedMessage[]> {
    for (;;) {
      const event = await this.next(`the message "${text}"`, ms);
      if (nameOf(event) === "message" && parseEntry(event).message === text) return seen;
      seen.push(event);
    }
  }
}

/** What an event is called; empty for one without data. */
export function nameOf({ event, data }: ServerSentEventParsedMessage): string {
  return event ?? (data === undefined ? "" : "message");
}

/** The texts of messages, how many a gap says are missing, and what else has data by its name. */
export function summary(events: readonly ServerSentEventParsedMessage[]): string[] {
  return events.filter(({ data }) => data !== undefined)
    .filter((event) => !["online", "ping"].includes(nameOf(event)))
    .map((event) => {
      const name = nameOf(event);
      if (name === "message") return String(parseEntry(event).message);
      return name === "gap" ? `gap ${parseEntry(event).missed}` : `${name} ${event.data}`;
    });
}

/** The object in the data of an event. */
export function parseEntry({ data }: ServerSentEventParsedMessage): Entry {
  return parseJson(data ?? "", "the data of an event") as Entry;
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Unmet(`${what} is no JSON: ${text.slice(0, 100)}`);
  }
}

/** A room of the server. */
export class Room {
  readonly #chat: Chat;
  readonly name: string;

  constructor(chat: Chat, name: string) {
    this.#chat = chat;
    this.name = name;
  }

  /** The path of something in the room. */
  path(path: string): string {
    return this.name === "" ? path : `${encodeURIComponent(this.name)}/${path}`;
  }

  ask(path: string, ask?: Ask): Promise<Answer> {
    return this.#chat.ask(this.path(path), ask);
  }

  /** Posts to the room; fields are sent as a form. */
  post(body: NonNullable<Ask["body"]>, ask: Omit<Ask, "body"> = {}): Promise<Answer> {
    return this.ask("chat", { method: "POST", body, ...ask });
  }

  /** Posts a message that has to be taken. */
  async send(message: string): Promise<void> {
    const { status, what } = await this.post({ nickname: "ann", message });
    expect(status >= 200 && status < 300, `the status of ${what} is ${status}`);
  }

  async sendAll(messages: readonly string[]): Promise<void> {
    for (const message of messages) await this.send(message);
  }

  /** Posts a message, and returns it as it was stored. */
  async say(message: string, fields: Fields = {}, ask?: Omit<Ask, "body">): Promise<Entry> {
    return await this.store({ nickname: "ann", message, ...fields }, ask);
  }

  /**
   * Posts what has to be taken, and returns the message as it was stored. Of a server that answers a post
   * with anything else it is read from the stream: one rule is about the answer, and many about the message.
   */
  async store(body: NonNullable<Ask["body"]>, ask?: Omit<Ask, "body">): Promise<Entry> {
    const { server } = this.#chat;
    const events = server.answersWithMessage ? undefined : await this.listen();
    const answer = await this.post(body, ask);
    const { status, what } = answer;
    expect(status >= 200 && status < 300, `the status of ${what} is ${status}`);
    if (events) return await events.nextMessage();
    if (status !== 204 && answer.headers.get("content-type")?.startsWith("application/json")) {
      return await answer.json() as Entry;
    }
    server.answersWithMessage = false;
    return await this.store(body, ask);
  }

  /** Posts several messages, one after the other; returns their ids. */
  async sayAll(...messages: string[]): Promise<string[]> {
    const ids: string[] = [];
    for (const message of messages) ids.push(idOf(await this.say(message)));
    return ids;
  }

  /** Reads the stream; `query` is what follows the path. */
  async read(query = "", headers: Fields = {}): Promise<Events> {
    const answer = await this.ask(`chat${query}`, { headers });
    return answer.expectStatus(200).events();
  }

  /** Reads the stream from here on: what has been written before does not come. */
  async listen(): Promise<Events> {
    return (await this.#readUntilLive("?since=none")).events;
  }

  /** Reads the stream up to a message that is posted once it has begun: what came before that. */
  async replay(query: string, headers?: Fields): Promise<string[]> {
    return (await this.#readUntilLive(query, headers)).before;
  }

  async #readUntilLive(query: string, headers?: Fields) {
    const events = await this.read(query, headers);
    const seen: ServerSentEventParsedMessage[] = [];
    const posted: string[] = [];
    const { patienceMs } = this.#chat.options;
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const text = unique("live");
      posted.push(text);
      await this.send(text);
      try {
        await events.upTo(text, { ms: patienceMs / 4, seen });
        return { events, before: summary(seen).filter((each) => !posted.includes(each)) };
      } catch (error) {
        // Where a stream begins may be found out a moment after its head was sent.
        if (!(error instanceof Unmet) || performance.now() > deadline) throw error;
      }
    }
  }

  /** The history as JSON, with its headers. */
  async history(query = "", headers: Fields = {}): Promise<
    { readonly entries: Entry[]; readonly texts: unknown[]; readonly headers: Headers }
  > {
    const answer = await this.ask(`chat${query}`, {
      headers: { accept: "application/json", ...headers },
    });
    answer.expectStatus(200);
    const entries = await answer.json();
    expect(Array.isArray(entries), `${answer.what} is no array`);
    const texts = entries.map(({ message }: Entry) => message);
    return { entries, texts, headers: answer.headers };
  }

  /** Does what a moderator does, which has to be taken; the room's state then. */
  async moderate(fields: Fields): Promise<Entry> {
    const answer = await this.tryToModerate(fields);
    answer.expectStatus(200);
    return await answer.json() as Entry;
  }

  tryToModerate(fields: Fields, as: Asker = "moderator"): Promise<Answer> {
    return this.ask("moderation", { method: "POST", body: fields, as });
  }
}

/** A message as far as the document describes it: a server may add to one answer what is not in another. */
export function describedIn(message: unknown): Entry {
  return Object.fromEntries(MEMBERS.map((name) => [name, (message as Entry | null)?.[name]]));
}

/** The id of a message. */
export function idOf({ id }: Entry): string {
  expect(typeof id === "string" && /^\d+-\d+$/.test(id), `the id is ${JSON.stringify(id)}`);
  return id;
}

/** The number in an id that counts what is in the log. */
export function numberOf(entry: Entry): number {
  return Number(idOf(entry).split("-")[1]);
}
