/** The flags of `deno task chaos`. */

import { parseArgs } from "node:util";

/** What a run is to be like. */
export interface Options {
  /** One run for each. */
  readonly seeds: readonly number[];
  /** How often something is stopped. */
  readonly stops: number;
  readonly readers: number;
  readonly writers: number;
}

/**
 * Reads the flags.
 *
 * @throws {RangeError} For a value out of range.
 */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string", default: `${Math.floor(Math.random() * 1e9)}` },
      seeds: { type: "string", default: "1" },
      stops: { type: "string", default: "9" },
      readers: { type: "string", default: "40" },
      writers: { type: "string", default: "4" },
    },
  });
  const number = (name: keyof typeof values) => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value > 0) return value;
    throw new RangeError(`--${name} must be a whole number from 1, received "${values[name]}"`);
  };
  const first = number("seed");
  return {
    seeds: Array.from({ length: number("seeds") }, (_, n) => first + n),
    stops: number("stops"),
    readers: number("readers"),
    writers: number("writers"),
  };
}
