/** What a reader received, response by response, and where each of them was to begin. */

import type { Begin } from "./habits.ts";

/** All that one reader received. */
export interface Transcript {
  readonly name: string;
  readonly parts: readonly Part[];
  /** Whether the reader followed the chat to the end of the run. */
  readonly isToEnd: boolean;
}

/** What one stream or history brought. */
export interface Part {
  /** The number of the log it was read from. */
  readonly log: number;
  /** Where it was to begin; undefined if after the last id of the parts before. */
  readonly begin?: Begin;
  /** How many messages that log had when it was asked for, at least. */
  readonly minLength: number;
  readonly items: readonly Item[];
  /** Only of a history. */
  readonly history?: HistoryEnd;
}

/** An id that was received. */
export interface Item {
  readonly id: string;
  /** Whether a message came with it; without one it is a cursor alone. */
  readonly isMessage: boolean;
  /** How many messages were announced to be missing before it. */
  readonly gap?: number | "unknown";
  /** How many messages the log had when it arrived, at most; only where that matters. */
  readonly maxLength?: number;
}

/** How a history ended. */
export interface HistoryEnd {
  readonly end: "complete" | "broken";
  /** Whether the server went on running after it. */
  readonly wasRunning: boolean;
  /** How many messages the log had then, at most. */
  readonly maxLength: number;
}

/** The two ends of a text, enough to see what was damaged. */
export function excerpt(text: string): string {
  const length = 60;
  if (text.length <= 2 * length) return JSON.stringify(text);
  return JSON.stringify(`${text.slice(0, length)} … ${text.slice(-length)}`);
}
