/**
 * Reading server-sent events: `@std/http/server-sent-event-parse-stream` with
 * its official types, over the untyped copy of the same code on npm.
 *
 * @module
 */
import * as untyped from "deno-std/http/server_sent_event_parse_stream.js";

interface Message {
  /** The text of its comment lines. */
  comment?: string;
  /** The name of the event. */
  event?: string;
  /** The data, its lines joined by line feeds. */
  data?: string;
  /** The id; a number only where one is written. */
  id?: string | number;
  /** The milliseconds to wait before coming back. */
  retry?: number;
}

/** One event as it was read; a field the stream did not give is absent. */
export type ServerSentEventParsedMessage = Omit<Message, "id"> & {
  /** The id to come back with after a break. */
  id?: string;
};

/** How to read. */
export interface ServerSentEventParseStreamOptions {
  /** Whether to drop comment lines; they are kept unless told. */
  ignoreComments?: boolean;
}

declare class ParseStream extends TransformStream<Uint8Array, ServerSentEventParsedMessage> {
  constructor(options?: ServerSentEventParseStreamOptions);
}

/** Turns the bytes of an event stream into its events. */
export const ServerSentEventParseStream: typeof ParseStream = untyped.ServerSentEventParseStream;
/** A stream from bytes to events. */
export type ServerSentEventParseStream = ParseStream;
