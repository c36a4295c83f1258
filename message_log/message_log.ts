/**
 * The append-only log of a room's messages: the one source of their order and
 * their ids. Everything readers get comes out of it, after it is durable.
 */

import { type ChatMessage, compareIds, type Post } from "../chat_message.ts";

/** A message as the log keeps it, or the removal of messages. */
export interface LogEntry {
  /** `<unix ms>-<sequence number>`; see {@linkcode compareIds} for the order. */
  readonly id: string;
  /**
   * The {@linkcode ChatMessage} as one line of JSON, made once in its life; of a removal,
   * `{"id": ID, "removes": REMOVES}`.
   */
  readonly json: string;
  /** What a removal removes: the message with this id, or `all` that is before it. */
  readonly removes?: string;
}

/** What a log hands to its subscribers at once. */
export interface Batch {
  /** In order; none where messages have become too old to be kept. */
  readonly entries: readonly LogEntry[];
  /**
   * How many entries the log has lost before these, null if that is not known; 0 as a rule. A cursor
   * tells what its reader has missed of them: {@linkcode MessageLog.read} says so.
   */
  readonly missed: number | null;
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
 * The first part of a range: entries that follow one another without a gap, but for messages that
 * have been removed. Reading on with `{ since: cursor }` until `end` gives the rest.
 */
export interface LogPage {
  /** Oldest first; a bounded number of bounded size, or none where all have been removed. */
  readonly entries: readonly LogEntry[];
  /**
   * How many entries are missing before these, null if the cursor is unknown
   * to the log. With `before`: missing between these and the message it names.
   * What a removal has removed is not missing.
   */
  readonly missed: number | null;
  /** The id to read on from. */
  readonly cursor: string;
  /** The last id of the whole range when it was read; equal to `cursor` on its last page. */
  readonly end: string;
  /** Whether messages before these are kept. */
  readonly hasOlder: boolean;
}

/** What to remove: one message, all of one mark, or all there is. */
export type Removal = { readonly id: string } | { readonly by: string } | "all";

/** Who may not write for a while. */
export interface Mute {
  /** The mark of their messages. */
  readonly by: string;
  /** The keyed hash of the address that they write from, if it is known. */
  readonly address?: string;
  /** When it began and when it ends, in milliseconds since 1970. */
  readonly since: number;
  readonly until: number;
}

/** What is kept of a room besides its messages. */
export interface RoomState {
  /** Only moderators may write. */
  readonly closed: boolean;
  /** The mutes that go on. */
  readonly muted: readonly Mute[];
}

/** What a post is refused with in a state at a time in milliseconds, undefined if it is welcome. */
export type Refuse = (state: RoomState, now: number) => Error | undefined;

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
 *   days where that is set; a key is remembered as long as its message. What has been removed
 *   does not count, up to 20,000 entries.
 * - **Removal.** Once a removal is durable, no page has the text of what it removed, and once
 *   `remove` has resolved, neither has the storage; one that was interrupted is made up for once the
 *   log is opened again. Its place in the order stays, and its key: of what is removed all at once, the
 *   last 20,000.
 * - **Closing.** Disposing of a log stores what was appended before; afterwards
 *   `append` rejects with {@linkcode LogUnavailableError}.
 */
export interface MessageLog extends AsyncDisposable {
  /**
   * Appends a post; a repeat with the same key is not appended again.
   *
   * @param refuse Asked once the post is about to be stored, unless it is a repeat, with the room's state
   * and the time then: what it is refused with, if its sender may not write.
   * @throws {KeyConflictError} If the key was already used for a different message.
   * @throws {RemovedError} If the message with this key has been removed.
   * @throws {RoomLimitError} If the room has no messages yet, and too many others have.
   * @throws {LogUnavailableError} If it can't be stored now; nothing was stored.
   */
  append(post: Post, refuse?: Refuse): Promise<Appended>;
  /**
   * Reads the first page of a range.
   *
   * @throws {LogUnavailableError} If the log can't be read now.
   */
  read(range: Range): Promise<LogPage>;
  /**
   * Removes messages, each by an entry of its own, or all by one; returns how many there were.
   *
   * @throws {LogUnavailableError} If that can't be stored now; nothing was removed.
   * @throws {UnfinishedRemovalError} If it could not be brought to its end.
   */
  remove(what: Removal): Promise<number>;
  /**
   * Removes everything that is kept of the room, by one entry for all: its messages, what is remembered
   * of those that were removed before, addresses and the state. Returns how many messages there were.
   * The room begins anew with the next message; no id is given again.
   *
   * @throws {LogUnavailableError} If that can't be stored now; nothing was removed.
   * @throws {UnfinishedRemovalError} If it could not be brought to its end.
   */
  delete(): Promise<number>;
  /** The room's state; mutes that have ended are not in it. */
  readonly state: RoomState;
  /**
   * Changes the room's state and returns what it has become once that is durable. What `change` throws
   * changes nothing.
   *
   * @throws {LogUnavailableError} If it can't be stored now.
   */
  update(change: (state: RoomState) => RoomState): Promise<RoomState>;
  /**
   * The address of the last message with a mark, removed or not; undefined if none is kept.
   *
   * @throws {LogUnavailableError} If the log can't be read now.
   */
  addressOf(by: string): Promise<string | undefined>;
  /**
   * Calls back with each batch that is appended from now on; with an empty one when
   * messages have become too old to be kept.
   */
  subscribe(onBatch: (batch: Batch) => void): Disposable;
  /** The room's readers at other instances of the chat; absent where there is only this one. */
  readonly elsewhere?: ReadersElsewhere;
}

/** The readers that a room has at other instances of the chat. */
export interface ReadersElsewhere {
  /** How many there were when they were last counted, a second or so ago. */
  readonly count: number;
  /** Takes note of how many there are here, for the others. */
  tell(readers: number): void;
  /** Calls back when the count has changed. */
  subscribe(onChange: () => void): Disposable;
}

/** What the list of rooms says of one. */
export interface RoomEntry {
  /** Empty for the main room. */
  readonly name: string;
  /** How many messages it has. */
  readonly messages: number;
  /** How many read it at other instances of the chat. @default {0} */
  readonly readersElsewhere?: number;
}

/**
 * No more sessions are remembered, so that signing in and out for days fills neither memory nor disk; of
 * those that are too many, those go first that would have ended first.
 */
export const MAX_REVOKED = 50_000;

/** The sessions that have ended before their time. */
export interface RevokedSessions {
  has(id: string): boolean;
  /**
   * Takes note of one until a time in seconds since 1970, when it would have ended anyway.
   *
   * @throws {LogUnavailableError} If it can't be stored now.
   */
  add(id: string, untilS: number): Promise<void>;
  /** Calls back with each session that has ended so from now on, wherever that was. */
  subscribe(onRevoked: (id: string) => void): Disposable;
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
  readonly revoked: RevokedSessions;
  /**
   * The rooms that have messages or a state.
   *
   * @throws {LogUnavailableError} If they can't be read now.
   */
  rooms(): Promise<RoomEntry[]>;
  /**
   * Writes as an append does, but nothing that lasts: whether a message could be stored just now.
   *
   * @throws {LogUnavailableError} If it could not.
   */
  probe(): Promise<void>;
  /** What the clock shows that ids go by, in milliseconds since 1970; absent where that is this machine's. */
  readonly now?: number;
  /**
   * Opens the log of a room; the main room's name is empty. A log that is open is to be
   * disposed of before it is opened again. A room without messages and state leaves nothing behind.
   */
  openLog(room: string): MessageLog | Promise<MessageLog>;
}

/** What a store reports to whoever runs the chat. */
export interface StoreEvents {
  /** It can't be reached any more, and why. Not called again before {@linkcode onBack}. */
  onAway?(reason: string): void;
  /** It can be reached again, after so many milliseconds. */
  onBack?(afterMs: number): void;
  /** Something about it endangers what is kept. */
  onWarning?(text: string): void;
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

/** The message with this key has been removed. */
export class RemovedError extends Error {
  override readonly name = "RemovedError";
}

/** The log can't be written or read just now; `cause` says why. */
export class LogUnavailableError extends Error {
  override readonly name = "LogUnavailableError";
}

/**
 * What was removed is removed for everybody, but not all is done: there may be more to remove, and text
 * that is left in the storage, which is overwritten later, at the latest when the log is opened again.
 */
export class UnfinishedRemovalError extends Error {
  override readonly name = "UnfinishedRemovalError";
}

/**
 * The store can't be reached just now, which it has reported; see {@linkcode StoreEvents.onAway}. Or it is
 * closed, as the program ends.
 */
export class StoreAwayError extends LogUnavailableError {
}

/** As many rooms as may be have messages. */
export class RoomLimitError extends Error {
  override readonly name = "RoomLimitError";
}

/** The entries that a batch after them does not remove; what it removes of itself goes too. */
export function withoutRemoved(
  entries: readonly LogEntry[],
  batch: readonly LogEntry[],
): LogEntry[] {
  const removed = new Set<string>();
  for (const { removes } of batch) if (removes !== undefined) removed.add(removes);
  const clear = batch.findLast(({ removes }) => removes === "all");
  return entries.filter(({ id }) =>
    !removed.has(id) && (clear === undefined || compareIds(id, clear.id) >= 0)
  );
}

/** What it means for a removal that the rest of it could not be stored. */
export function toUnfinished(error: unknown): unknown {
  if (!(error instanceof LogUnavailableError)) return error;
  return new UnfinishedRemovalError("Not all could be removed", { cause: error });
}

/** Whether a post says what an entry does. */
export function isSameText({ json }: LogEntry, post: Post): boolean {
  try {
    const { nickname, message }: ChatMessage = JSON.parse(json);
    return nickname === post.nickname && message === post.message;
  } catch (error) {
    // Somebody edited what is stored.
    if (!(error instanceof SyntaxError)) throw error;
    return false;
  }
}
