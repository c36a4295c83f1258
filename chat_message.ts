/** The domain types, their limits, and ids. It imports nothing of the house. */

/** Longest message, in Unicode code points. */
export const MAX_MESSAGE_LENGTH = 4000;
/** Longest nickname, in Unicode code points. */
export const MAX_NICKNAME_LENGTH = 40;

/** Longest key, in Unicode code points. */
export const MAX_KEY_LENGTH = 100;

/** What someone posted: normalised, within the limits, not yet in the log. */
export interface Post {
  readonly nickname: string;
  readonly message: string;
  /** Names the post: a repeat with the same key is the same message. */
  readonly key?: string;
}

/** A message of the chat, as readers get it. */
export interface ChatMessage {
  /** `<unix ms>-<sequence number>`, the form of a Redis stream id. */
  readonly id: string;
  readonly nickname: string;
  readonly message: string;
  /** When the server took it, as its local `HH:MM:SS`. */
  readonly timestamp: string;
  /** The same moment in RFC 3339 form, UTC, with milliseconds. */
  readonly time: string;
}

/**
 * A message as one line of JSON, also for clients that end lines where Unicode
 * does, at U+2028 and U+2029.
 */
export function messageJson(message: ChatMessage): string {
  return JSON.stringify(message).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** A moment, as messages have it: those taken together share it. */
export function momentOf(date: Date): Pick<ChatMessage, "timestamp" | "time"> {
  return { timestamp: date.toTimeString().slice(0, 8), time: date.toISOString() };
}

/** The parts of an id; undefined if the text is not an id. */
export function parseId(id: string): { ms: number; seq: number } | undefined {
  const [, ms, seq] = /^(\d{1,15})-(\d{1,15})$/.exec(id) ?? [];
  return ms === undefined ? undefined : { ms: Number(ms), seq: Number(seq) };
}

/** The order of two ids: negative where `a` is before `b`, 0 where they are the same. */
export function compareIds(a: string, b: string): number {
  const [first, second] = [parseId(a), parseId(b)];
  if (!first || !second) throw new TypeError(`Cannot compare ids "${a}" and "${b}"`);
  return first.ms - second.ms || first.seq - second.seq;
}
