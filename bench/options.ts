/** The benchmark's options: what it takes, its defaults, and what `--help` says. */

import { parseArgs } from "node:util";
import { MARK_LENGTH } from "./mark.ts";

/** What one run of the benchmark does. */
export interface Options {
  /** One measurement for each of these numbers of readers. */
  readonly readers: readonly number[];
  readonly publishers: number;
  readonly messages: number;
  /** Messages a second; 0: as fast as they are answered. */
  readonly rate: number;
  /** Bytes of a message's text. */
  readonly size: number;
  /** Nothing is posted after this many seconds. */
  readonly seconds: number;
  /** Messages that every reader misses before all come back at once; 0: none of them leaves. */
  readonly return: number;
  readonly messageLog: string;
  readonly baseline: boolean;
  /** Where the results go as JSON. */
  readonly json?: string;
  readonly help: boolean;
}

/** Copies that are told apart, one bit each: 125 MB in the load's process. */
const MAX_COPIES = 1e9;
/** The chat keeps 10,000 messages; to resume, it needs the one before those that are missed. */
const MAX_MISSED = 9999;

export const HELP = `\
Measures how fast the chat delivers: starts it, connects readers, posts, and counts every copy.

Usage: deno task bench [flags]

  --readers N       open streams; a list such as 100,1000,5000 measures each (1000)
  --publishers N    connections that post (20)
  --messages N      messages in all (400)
  --rate N          messages a second; 0: each publisher posts as soon as it is answered (0)
  --size BYTES      length of a message's text (32)
  --seconds N       post nothing after this many seconds (60)
  --return N        then let all readers hang up and come back at once, each with the last N
                    messages missed, and measure until all have them; 0: do not (0)
  --message-log URL the chat's --message-log (memory:)
  --baseline        also measure a plain hub that writes each message to each reader at once
  --json FILE       write the results to a file, for bench/plot.ts
  --help            print this and stop

Ends with 1 if a copy was lost or came twice.`;

/**
 * Reads the options.
 *
 * @throws {TypeError} For an unknown flag.
 * @throws {RangeError} For a value that can't be.
 */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: args.filter((arg) => arg !== "--"),
    options: {
      readers: { type: "string", default: "1000" },
      publishers: { type: "string", default: "20" },
      messages: { type: "string", default: "400" },
      rate: { type: "string", default: "0" },
      size: { type: "string", default: "32" },
      seconds: { type: "string", default: "60" },
      return: { type: "string", default: "0" },
      "message-log": { type: "string", default: "memory:" },
      baseline: { type: "boolean", default: false },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const messages = wholeNumber("messages", values.messages, 1, 9_999_999);
  const options = {
    // A connection needs a port of its own on the load's side, and there are 28,000.
    readers: values.readers.split(",").map((text) => wholeNumber("readers", text, 1, 25_000)),
    publishers: wholeNumber("publishers", values.publishers, 1, 1000),
    messages,
    rate: wholeNumber("rate", values.rate, 0, 100_000),
    size: wholeNumber("size", values.size, MARK_LENGTH, 4000),
    seconds: wholeNumber("seconds", values.seconds, 1, 3600),
    return: wholeNumber("return", values.return, 0, Math.min(messages, MAX_MISSED)),
    messageLog: values["message-log"],
    baseline: values.baseline,
    json: values.json,
    help: values.help,
  };
  const copies = Math.max(...options.readers) * options.messages;
  if (copies > MAX_COPIES) {
    throw new RangeError(
      `--readers times --messages must be at most ${MAX_COPIES}, received ${copies}`,
    );
  }
  return options;
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new RangeError(
    `--${name} must be a whole number from ${least} to ${most}, received "${text}"`,
  );
}
