/** A rule of docs/protocol.md, and how a server breaks it. */

import type { Chat } from "./chat.ts";
import type { Need } from "./options.ts";

/** A rule as it is checked. */
export interface Rule {
  /** Its identifier in docs/protocol.md. */
  readonly id: string;
  /** What it demands, in a few words. */
  readonly name: string;
  /** What it can't be checked without. */
  readonly needs?: readonly Need[];
  /** Resolves if the server keeps the rule; throws {@linkcode Unmet} if it doesn't. */
  check(chat: Chat): Promise<void>;
}

/** A server breaks a rule; the message says what came instead, as the end of a sentence. */
export class Unmet extends Error {
  override readonly name = "Unmet";
}

/**
 * As JSON: the order of members is of no account, and objects may have more of them than are expected, since
 * a server may add some.
 *
 * @throws {Unmet} Unless a value is the expected one.
 */
export function expectSame(what: string, actual: unknown, expected: unknown): void {
  if (isSame(actual, expected)) return;
  throw new Unmet(`${what} is ${excerpt(show(actual))} and not ${excerpt(show(expected))}`);
}

/** @throws {Unmet} Unless it is a text that matches. */
export function expectMatch(what: string, actual: unknown, pattern: RegExp): void {
  if (typeof actual === "string" && pattern.test(actual)) return;
  throw new Unmet(`${what} is ${excerpt(show(actual))}`);
}

/** @throws {Unmet} With what came instead, unless the condition holds. */
export function expect(condition: boolean, instead: string): asserts condition {
  if (!condition) throw new Unmet(instead);
}

/** The sentence, the item of a list or the row of a table in which a document has an identifier. */
export function sentenceOf(id: string, document: string): string | undefined {
  const mark = `(${id})`;
  const block = document.split(/\n\n+|\n(?=[|-] |\d\. )/).find((text) => text.includes(mark));
  if (block === undefined) return undefined;
  const text = block.replaceAll(/\s+/g, " ").trim();
  const sentences = text.startsWith("|") ? [text] : text.split(/(?<=\.|\)[;:]) /);
  return sentences.find((sentence) => sentence.includes(mark))!
    .replaceAll(/ ?\([A-Z]\d+\)/g, "")
    .replace(/^[|-] /, "")
    .replace(/[ |,;:.]*$/, "")
    .replaceAll(/( \|)+ /g, ": ");
}

/** The identifiers in a document, in its order. */
export function idsIn(document: string): string[] {
  return Array.from(document.matchAll(/\(([A-Z]\d+)\)/g), ([, id]) => id);
}

function isSame(actual: unknown, expected: unknown): boolean {
  if (!isObject(actual) || !isObject(expected)) return show(actual) === show(expected);
  if (Array.isArray(actual) || Array.isArray(expected)) {
    return Array.isArray(actual) && Array.isArray(expected) && actual.length === expected.length &&
      expected.every((each, n) => isSame(actual[n], each));
  }
  return Object.entries(expected).every(([name, value]) => isSame(actual[name], value));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? "missing";
}

function excerpt(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
