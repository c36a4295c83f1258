/** The benchmark's options, their defaults, and the text of `--help`. */

import { parseArgs } from "node:util";
import { MARK_LENGTH } from "./mark.ts";

/** The options of one run. */
export interface Options {
  /** Numbers of readers; each is a measurement of its own. */
  readonly readers: readonly number[];
  /** Rooms that readers and messages are spread over; 1: all are in the main one. */
  readonly rooms: number;
  readonly publishers: number;
  readonly messages: number;
  /** Messages per second; 0: each publisher posts again as soon as it gets a response. */
  readonly rate: number;
  /** Length of a message's text in bytes. */
  readonly size: number;
  /** Posting stops after this many seconds. */
  readonly seconds: number;
  /** How many messages each reader has missed when all reconnect at once; 0: none reconnects. */
  readonly return: number;
  /** URLs of message logs; each is measured in turn. */
  readonly messageLog: readonly string[];
  /** Numbers of servers that are one chat; each is a measurement of its own. */
  readonly instances: readonly number[];
  /** Whether publishers are at the first instance and readers at the others. */
  readonly apart: boolean;
  /** Whether the message log is measured alone: publishers write to it, and each instance subscribes. */
  readonly logOnly: boolean;
  /** Whether the chat speaks HTTPS. */
  readonly tls: boolean;
  /** Whether the readers are streams of a few HTTP/2 connections. */
  readonly http2: boolean;
  readonly baseline: boolean;
  /** The file to write the results to, as JSON. */
  readonly json?: string;
  readonly help: boolean;
}

/** The load keeps one bit per copy: at most 125 MB. */
const MAX_COPIES = 1e9;
/** The chat keeps 10,000 messages: those missed, and the one before them that is the cursor. */
const MAX_MISSED = 9999;

export const HELP = `\
Measures how fast the chat delivers: starts it, connects readers, posts messages, and counts every
copy that arrives.

Usage: deno task bench [flags]

  --readers N       open streams; a list such as 100,1000,5000 measures each number (1000)
  --rooms N         rooms that the readers are spread over evenly; each message goes to one of them
                    in turn. 1: all are in the main room (1)
  --publishers N    connections that post (20)
  --messages N      total number of messages (400)
  --rate N          messages per second; 0: post again as soon as the response is in (0)
  --size BYTES      length of a message's text (32)
  --seconds N       stop posting after this many seconds (60)
  --return N        afterwards disconnect all readers and reconnect them at once, each having
                    missed the last N messages, and time the catch-up; 0: skip this (0)
  --message-log URL the chat's --message-log; repeated, each is measured in turn (memory:)
  --instances N     servers that readers and publishers are spread over evenly, all on the message
                    log, a Redis; a list measures each number (1)
  --apart           publishers are at the first instance, readers at the others
  --log-only        measure the message log alone: publishers write to it, without readers
  --tls             over HTTPS, with a certificate that is made for it (this needs openssl)
  --http2           likewise, with 200 readers to a connection
  --baseline        also measure a plain hub that writes each message to each reader at once
  --json FILE       write the results to a file, for bench/plot.ts
  --help            print this help and exit

Exits with 1 if a copy was lost or duplicated.`;

/**
 * Reads the options.
 *
 * @throws {TypeError} For an unknown flag.
 * @throws {RangeError} For a value out of range.
 */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: args.filter((arg) => arg !== "--"),
    options: {
      readers: { type: "string", default: "1000" },
      rooms: { type: "string", default: "1" },
      publishers: { type: "string", default: "20" },
      messages: { type: "string", default: "400" },
      rate: { type: "string", default: "0" },
      size: { type: "string", default: "32" },
      seconds: { type: "string", default: "60" },
      return: { type: "string", default: "0" },
      "message-log": { type: "string", multiple: true, default: ["memory:"] },
      instances: { type: "string", default: "1" },
      apart: { type: "boolean", default: false },
      "log-only": { type: "boolean", default: false },
      tls: { type: "boolean", default: false },
      http2: { type: "boolean", default: false },
      baseline: { type: "boolean", default: false },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  // Each connection takes an ephemeral port on the load's side, of which there are 28,000.
  const list = (name: "readers" | "instances", max: number) =>
    values[name].split(",").map((text) => wholeNumber(name, text, 1, max));
  const readers = list("readers", 25_000);
  const messages = wholeNumber("messages", values.messages, 1, 9_999_999);
  const options = {
    readers,
    rooms: wholeNumber("rooms", values.rooms, 1, Math.min(...readers)),
    publishers: wholeNumber("publishers", values.publishers, 1, 1000),
    messages,
    rate: wholeNumber("rate", values.rate, 0, 100_000),
    size: wholeNumber("size", values.size, MARK_LENGTH, 4000),
    seconds: wholeNumber("seconds", values.seconds, 1, 3600),
    return: wholeNumber("return", values.return, 0, Math.min(messages, MAX_MISSED)),
    messageLog: values["message-log"],
    instances: list("instances", 100),
    apart: values.apart,
    logOnly: values["log-only"],
    tls: values.tls || values.http2,
    http2: values.http2,
    baseline: values.baseline,
    json: values.json,
    help: values.help,
  };
  const copies = Math.max(...options.readers) * options.messages;
  if (copies > MAX_COPIES && !options.logOnly) {
    throw new RangeError(
      `--readers times --messages must be at most ${MAX_COPIES}, received ${copies}`,
    );
  }
  if (options.rooms > 1 && (options.baseline || options.return > 0)) {
    throw new RangeError("--baseline and --return are for one room; leave them out, or --rooms");
  }
  if (options.tls && (options.baseline || options.return > 0)) {
    throw new RangeError("--baseline and --return are for plain HTTP; leave out --tls and --http2");
  }
  const isMany = Math.max(...options.instances) > 1;
  if (isMany && options.messageLog.some((url) => !/^rediss?:/.test(url))) {
    throw new RangeError(
      "--instances is for --message-log redis://…; leave it out, or name a Redis",
    );
  }
  if (isMany && (options.baseline || options.return > 0 || options.tls)) {
    throw new RangeError(
      "--baseline, --return, --tls and --http2 are for one instance; leave them out, or --instances",
    );
  }
  if (options.apart && Math.min(...options.instances) < 2) {
    throw new RangeError("--apart is for many instances; leave it out, or set --instances from 2");
  }
  return options;
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new RangeError(
    `--${name} must be a whole number from ${min} to ${max}, received "${text}"`,
  );
}
