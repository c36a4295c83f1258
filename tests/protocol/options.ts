/** The command line of `deno task protocol`: which server, and what of the protocol it has. */

import { parseArgs } from "node:util";

/** Parts of the protocol that a server may be without. */
export const PARTS = [
  "rooms",
  "history",
  "keys",
  "marks",
  "presence",
  "health",
  "origins",
  "hosts",
  "html",
  "page",
] as const;
export type Part = typeof PARTS[number];

/** What the suite has to know of a server's settings, by flag. */
const SETTINGS = {
  password: "--password",
  moderatorPassword: "--moderator-password",
  allowOrigin: "--allow-origin",
  keep: "--keep",
  rateLimit: "--rate-limit",
  maxReadersPerAddress: "--max-readers-per-address",
} as const;
export type Setting = keyof typeof SETTINGS;

/** What a rule can't be checked without: `slow` is the time that it takes, `open` no password at all. */
export type Need = Part | Setting | "slow" | "open";

/** Which server is checked, and how. */
export interface Options {
  /** Where the chat is, with a slash at the end. */
  readonly url: URL;
  /** Parts that the server doesn't have, and `slow` where rules that take long are left out. */
  readonly without: ReadonlySet<string>;
  readonly password?: string;
  readonly moderatorPassword?: string;
  /** A site whose pages may read and post. */
  readonly allowOrigin?: string;
  /** Messages that a room keeps. */
  readonly keep?: number;
  /** Posts a minute from one address. */
  readonly rateLimit?: number;
  /** Streams from one address. */
  readonly maxReadersPerAddress?: number;
  /** How long the suite waits for what must come. */
  readonly patienceMs: number;
}

/** Rules come back to a room after this many messages, and want all of them. */
const MIN_KEEP = 20;
/** More messages are not posted to see what a server forgets. */
const MAX_KEEP = 100;
/** More posts, and more streams, are not made to see one refused. */
const MAX_LIMIT = 2000;

/**
 * Reads the command line.
 *
 * @throws {RangeError} For a value that can't be used.
 */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      without: { type: "string", default: "" },
      patience: { type: "string", default: "5" },
      password: { type: "string" },
      "moderator-password": { type: "string" },
      "allow-origin": { type: "string" },
      keep: { type: "string" },
      "rate-limit": { type: "string" },
      "max-readers-per-address": { type: "string" },
    },
  });
  const [address = "", ...others] = positionals;
  const url = URL.parse(address.replace(/\/?$/, "/"));
  if (!url || !/^https?:$/.test(url.protocol) || others.length > 0) {
    throw new RangeError(
      `the address of one server is wanted, as http://localhost:4567, received "${
        positionals.join(" ")
      }"`,
    );
  }
  const without = values.without.split(",").map((name) => name.trim()).filter((name) =>
    name !== ""
  );
  const unknown = without.find((name) => name !== "slow" && !PARTS.some((part) => part === name));
  if (unknown !== undefined) {
    throw new RangeError(`--without takes ${PARTS.join(", ")} and slow, received "${unknown}"`);
  }
  const number = (flag: Exclude<keyof typeof values, "without">, min: number, max: number) => {
    const text = values[flag];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (value >= min && value <= max) return value;
    throw new RangeError(`--${flag} must be a number from ${min} to ${max}, received "${text}"`);
  };
  return {
    url,
    without: new Set(without),
    password: values.password,
    moderatorPassword: values["moderator-password"],
    allowOrigin: values["allow-origin"],
    keep: number("keep", MIN_KEEP, MAX_KEEP),
    rateLimit: number("rate-limit", 1, MAX_LIMIT),
    maxReadersPerAddress: number("max-readers-per-address", 1, MAX_LIMIT),
    patienceMs: number("patience", 0.1, 60)! * 1000,
  };
}

/** Why a rule can't be checked; undefined if it can. */
export function reasonToIgnore(needs: readonly Need[], options: Options): string | undefined {
  const lacking = needs.find((need) => options.without.has(need));
  if (lacking !== undefined) return `--without ${lacking}`;
  for (const need of needs) {
    if (need === "open" && (options.password ?? options.moderatorPassword) !== undefined) {
      return "the server has a password";
    }
    if (need in SETTINGS && options[need as Setting] === undefined) {
      return `needs ${SETTINGS[need as Setting]}`;
    }
  }
}
