/**
 * Assertions for tests: `@std/assert` with its official types, over the untyped
 * copy of the same code on npm.
 *
 * @module
 */
import * as untyped from "deno-std/assert/mod.js";

type Compare = <T>(actual: T, expected: T, msg?: string) => void;

/** Fails unless the expression is truthy. */
export const assert: (expr: unknown, msg?: string) => asserts expr = untyped.assert;

/** Fails unless both are deeply equal. */
export const assertEquals: Compare = untyped.assertEquals;

/** Fails if both are deeply equal. */
export const assertNotEquals: Compare = untyped.assertNotEquals;

/** Fails unless the first is above the second. */
export const assertGreater: Compare = untyped.assertGreater;

/** Fails unless the first is below the second. */
export const assertLess: Compare = untyped.assertLess;

/** Fails unless the text matches. */
export const assertMatch: (
  actual: string,
  expected: RegExp,
  msg?: string,
) => void = untyped.assertMatch;

/** Fails unless the first text holds the second. */
export const assertStringIncludes: (
  actual: string,
  expected: string,
  msg?: string,
) => void = untyped.assertStringIncludes;

/** Fails unless the call throws as told; gives the error. */
export const assertThrows: {
  (fn: () => unknown, msg?: string): unknown;
  <E extends Error = Error>(
    fn: () => unknown,
    // deno-lint-ignore no-explicit-any
    ErrorClass: abstract new (...args: any[]) => E,
    msgIncludes?: string,
    msg?: string,
  ): E;
} = untyped.assertThrows;

/** Fails unless the promise of the call rejects as told; gives the error. */
export const assertRejects: {
  (fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
  <E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    // deno-lint-ignore no-explicit-any
    ErrorClass: abstract new (...args: any[]) => E,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
} = untyped.assertRejects;
