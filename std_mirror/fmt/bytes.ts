/**
 * Sizes for people: `@std/fmt/bytes` with its official types, over the untyped
 * copy of the same code on npm.
 *
 * @module
 */
import * as untyped from "deno-std/fmt/bytes.js";

/** How to write a size. */
export interface FormatOptions {
  /** Counts in bits. */
  bits?: boolean;
  /** Counts in powers of 1024. */
  binary?: boolean;
  /** Writes a plus before what is above zero. */
  signed?: boolean;
  /** Writes the number as a language does: the system's, or the one named. */
  locale?: boolean | string | string[];
  /** The fewest digits behind the point. */
  minimumFractionDigits?: number;
  /** The most digits behind the point. */
  maximumFractionDigits?: number;
}

/** Writes a number of bytes, such as `1.34 kB`. */
export const format: (num: number, options?: FormatOptions) => string = untyped.format;
