/** Reads a stream event by event, with the parser of the standard library. */

import {
  type ServerSentEventParsedMessage,
  ServerSentEventParseStream,
} from "@std/http/server-sent-event-parse-stream";

/** The events of a response, pulled one at a time; disposing of it hangs up. */
export class EventReader implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<ServerSentEventParsedMessage>;

  constructor(response: Response) {
    this.#reader = response.body!.pipeThrough(new ServerSentEventParseStream()).getReader();
  }

  /** The next event; undefined at the end of the stream. */
  async next(): Promise<ServerSentEventParsedMessage | undefined> {
    return (await this.#reader.read()).value;
  }

  /** The data of the next event with that name (`message` if it has none); skips all others. */
  async nextOf(name: string): Promise<string> {
    for (;;) {
      const event = await this.next();
      if (!event) throw new Error(`The stream ended before an event "${name}"`);
      if ((event.event ?? (event.data === undefined ? "" : "message")) === name) return event.data!;
    }
  }

  /** The next message of the chat. */
  async nextMessage(): Promise<Record<string, string>> {
    return JSON.parse(await this.nextOf("message"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}
