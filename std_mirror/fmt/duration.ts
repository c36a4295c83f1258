/**
 * Spans of time for people: `@std/fmt/duration` with its official types, over
 * the untyped copy of the same code on npm.
 *
 * @module
 */
import * as untyped from "deno-std/fmt/duration.js";

/** How to write a span. */
export interface FormatOptions {
  /** `1m 39s` (the default), `01:39` or `1 minute, 39 seconds`. */
  style?: "narrow" | "digital" | "full";
  /** Leaves out what is zero. */
  ignoreZero?: boolean;
}

/** Writes a number of milliseconds. */
export const format: (ms: number, options?: FormatOptions) => string = untyped.format;
