/**
 * Assertions for tests: `@std/assert` with its official types, over the untyped
 * copy of the same code on npm.
 *
 * @module
 */
import * as untyped from "deno-std/assert/mod.js";

type Compare = <T>(actual: T, expected: T, msg?: string) => void;

declare class FailedAssertion extends Error {
  constructor(message: string, options?: ErrorOptions);
}

/** What a failed assertion throws. */
export const AssertionError: typeof FailedAssertion = untyped.AssertionError;
/** The error of a failed assertion. */
export type AssertionError = FailedAssertion;

/** Fails always. */
export const fail: (msg?: string) => never = untyped.fail;

/** Fails unless the expression is truthy. */
export const assert: (expr: unknown, msg?: string) => asserts expr = untyped.assert;

/** Fails unless both are deeply equal. */
export const assertEquals: Compare = untyped.assertEquals;

/** Fails if both are deeply equal. */
export const assertNotEquals: Compare = untyped.assertNotEquals;

/** Fails unless both are the same value. */
export const assertStrictEquals: <T>(
  actual: unknown,
  expected: T,
  msg?: string,
) => asserts actual is T = untyped.assertStrictEquals;

/** Fails unless the first is above the second. */
export const assertGreater: Compare = untyped.assertGreater;

/** Fails unless the first is the second or above it. */
export const assertGreaterOrEqual: Compare = untyped.assertGreaterOrEqual;

/** Fails unless the first is below the second. */
export const assertLess: Compare = untyped.assertLess;

/** Fails unless the first is the second or below it. */
export const assertLessOrEqual: Compare = untyped.assertLessOrEqual;

/** Fails on null and undefined. */
export const assertExists: <T>(
  actual: T,
  msg?: string,
) => asserts actual is NonNullable<T> = untyped.assertExists;

/** Fails unless the value is of the class. */
export const assertInstanceOf: <
  // deno-lint-ignore no-explicit-any
  T extends abstract new (...args: any[]) => any,
>(
  actual: unknown,
  expectedType: T,
  msg?: string,
) => asserts actual is InstanceType<T> = untyped.assertInstanceOf;

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
