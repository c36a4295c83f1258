/**
 * The append-only log of messages: the one source of their order and their
 * ids. Everything readers get comes out of it, after it is durable.
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

/** Some messages that follow one another in the log without a gap. */
export interface LogPage {
  /** Oldest first. */
  readonly entries: readonly LogEntry[];
  /**
   * How many messages between the cursor and these are lost to the reader: 0
   * where they continue exactly, null where the cursor is unknown to the log.
   */
  readonly missed: number | null;
  /** The id to continue from: the last entry's, or the log's end where there is none. */
  readonly cursor: string;
  /** Whether there were further messages behind these. */
  readonly more: boolean;
}

/**
 * A log of messages.
 *
 * - Ids rise strictly in the order of appending, also over restarts and when
 *   the clock steps back.
 * - What is appended in one turn of the event loop becomes durable together, is
 *   answered then, and reaches subscribers as one batch, in order.
 * - Nobody is told of a message before it is durable: no author, no subscriber.
 * - The last `keep` messages are readable; a key is remembered as long as its
 *   message.
 */
export interface MessageLog extends AsyncDisposable {
  /**
   * Appends a post, once for each of its keys.
   *
   * @throws {KeyConflictError} If the key came with another text before.
   * @throws {LogUnavailableError} If it can't be stored now; then it is not.
   */
  append(post: Post): Promise<Appended>;
  /** The first page after a cursor, or of all that is kept where there is none. */
  since(cursor?: string): Promise<LogPage>;
  /** The last `count` messages. */
  latest(count: number): Promise<LogPage>;
  /** The `count` messages before the one with that id; none if it is not kept. */
  before(id: string, count: number): Promise<readonly LogEntry[]>;
  /** Calls back with each batch that is appended from now on. */
  subscribe(onBatch: (batch: readonly LogEntry[]) => void): Disposable;
}

/** A key that was used before, for another text. */
export class KeyConflictError extends Error {
  override readonly name = "KeyConflictError";
}

/** The log can't be written or read just now; `cause` says why. */
export class LogUnavailableError extends Error {
  override readonly name = "LogUnavailableError";
}
