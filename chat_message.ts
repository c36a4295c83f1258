/** The domain types, their limits, and ids. It imports nothing of the house. */

/** Longest message, in Unicode code points. */
export const MAX_MESSAGE_LENGTH = 4000;
/** Longest nickname, in Unicode code points. */
export const MAX_NICKNAME_LENGTH = 40;

/** Longest key, in Unicode code points. */
export const MAX_KEY_LENGTH = 100;

/** Longest name of a room, in Unicode code points. */
export const MAX_ROOM_NAME_LENGTH = 40;
/** Names that no room has: the server needs them for itself, now or in a later version. */
export const RESERVED_NAMES: readonly string[] = [
  "chat",
  "session",
  "moderation",
  "rooms",
  "livez",
  "healthz",
  "metrics",
];
/** Letters have marks in many scripts. */
const ROOM_NAME = /^[\p{L}\p{Nd}][\p{L}\p{M}\p{Nd}_-]*$/u;

/** What someone posted: normalised, within the limits, not yet in the log. */
export interface Post {
  readonly nickname: string;
  readonly message: string;
  /** Names the post: a repeat with the same key is the same message. */
  readonly key?: string;
  readonly by?: string;
  /** A moderator wrote it. */
  readonly moderator?: true;
  /** The keyed hash of the address that it came from; readers never get it. */
  readonly address?: string;
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
  /** A mark of the sender, the same for one visitor in one room; absent in messages of version 0.1. */
  readonly by?: string;
  /** A moderator wrote it; absent otherwise. */
  readonly moderator?: true;
}

/**
 * A message as one line of JSON, also for clients that end lines where Unicode
 * does, at U+2028 and U+2029.
 */
export function messageJson(message: ChatMessage): string {
  return JSON.stringify(message).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** The name of the room that a text means: NFC and lower case; undefined if no room can have it. */
export function toRoomName(text: string): string | undefined {
  const name = text.normalize("NFC").toLowerCase().normalize("NFC");
  const isName = ROOM_NAME.test(name) && [...name].length <= MAX_ROOM_NAME_LENGTH;
  if (isName && !RESERVED_NAMES.includes(name)) return name;
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
