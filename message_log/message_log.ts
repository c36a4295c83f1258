/**
 * The append-only log of a room's messages: the one source of their order and
 * their ids. Everything readers get comes out of it, after it is durable.
 */

import type { Post } from "../chat_message.ts";

/** A message as the log keeps it. */
export interface LogEntry {
  /** `<unix ms>-<sequence number>`; see {@linkcode compareIds} for the order. */
  readonly id: string;
  /** The {@linkcode ChatMessage} as one line of JSON, made once in its life. */
  readonly json: string;
}

/** What became of a post. */
export interface Appended {
  readonly entry: LogEntry;
  /** The post was a repeat: `entry` is what the first with its key became. */
  readonly repeated: boolean;
}

/** Where a reader starts: after a cursor (undefined: with all that is kept), or with the last messages. */
export type Start = { readonly since: string | undefined } | { readonly latest: number };

/** What to read: from a start to the end of the log, or the messages just before one. */
export type Range = Start | { readonly before: string; readonly count: number };

/**
 * The first part of a range: messages that follow one another without a gap.
 * Reading on with `{ since: cursor }` until `end` gives the rest.
 */
export interface LogPage {
  /** Oldest first; a bounded number of bounded size. */
  readonly entries: readonly LogEntry[];
  /**
   * How many messages are missing before these, null if the cursor is unknown
   * to the log. With `before`: missing between these and the message it names.
   */
  readonly missed: number | null;
  /** The id to read on from: the last entry's, or the log's end if there is none. */
  readonly cursor: string;
  /** The last id of the whole range when it was read; equal to `cursor` on its last page. */
  readonly end: string;
  /** Whether messages before these are kept. */
  readonly hasOlder: boolean;
}

/**
 * A log of messages.
 *
 * - **Order.** Ids strictly increase in the order of appending, even across
 *   restarts and when the clock steps back.
 * - **Batches.** What is appended in one turn of the event loop becomes durable
 *   together, is answered then, and reaches subscribers as one batch, in order.
 * - **Durability.** Neither the author nor any subscriber hears of a message
 *   before it is durable.
 * - **Retention.** The last `keep` messages are readable, those of the last `keepDays`
 *   days where that is set; a key is remembered as long as its message.
 * - **Closing.** Disposing of a log stores what was appended before; afterwards
 *   `append` rejects with {@linkcode LogUnavailableError}.
 */
export interface MessageLog extends AsyncDisposable {
  /**
   * Appends a post; a repeat with the same key is not appended again.
   *
   * @throws {KeyConflictError} If the key was already used for a different message.
   * @throws {RoomLimitError} If the room has no messages yet, and too many others have.
   * @throws {LogUnavailableError} If it can't be stored now; nothing was stored.
   */
  append(post: Post): Promise<Appended>;
  /**
   * Reads the first page of a range.
   *
   * @throws {LogUnavailableError} If the log can't be read now.
   */
  read(range: Range): Promise<LogPage>;
  /**
   * Calls back with each batch that is appended from now on; with an empty one when
   * messages have become too old to be kept.
   */
  subscribe(onBatch: (batch: readonly LogEntry[]) => void): Disposable;
}

/** Ids of sessions that were ended, each until its cookie would have run out, in seconds since 1970. */
export interface RevokedIds {
  has(id: string): boolean;
  add(id: string, untilS: number): Promise<void>;
}

/**
 * The logs of all rooms. What is appended to any of them in one turn of the event loop
 * is one transaction; ids, keys and what is kept are each log's own. Disposing of it closes
 * every log.
 */
export interface MessageStore extends AsyncDisposable {
  /** Names the store, in letters and digits: the same whenever it is opened, and no other's. */
  readonly id: string;
  /** Random bytes that are kept with the messages, to sign and to mark with. */
  readonly secret: Uint8Array<ArrayBuffer>;
  /** Sessions that were ended. */
  readonly revoked: RevokedIds;
  /**
   * Opens the log of a room; the main room's name is empty. A log that is open is to be
   * disposed of before it is opened again. A room without messages leaves nothing behind.
   */
  openLog(room: string): MessageLog | Promise<MessageLog>;
}

/** What logs are kept with. */
export interface Retention {
  /** How many messages a room keeps. */
  readonly keep: number;
  /** For how many days a room keeps them; 0 for ever. @default {0} */
  readonly keepDays?: number;
  /** How many rooms there may be with messages besides the main one. @default {Infinity} */
  readonly maxRooms?: number;
}

/** The key was already used for a different message. */
export class KeyConflictError extends Error {
  override readonly name = "KeyConflictError";
}

/** The log can't be written or read just now; `cause` says why. */
export class LogUnavailableError extends Error {
  override readonly name = "LogUnavailableError";
}

/** As many rooms as may be have messages. */
export class RoomLimitError extends Error {
  override readonly name = "RoomLimitError";
}
