/** What becomes of readers, for somebody who counts it. */

/** Why a stream is over: its reader has left, or why it was ended. */
export type EndReason = "left" | "slow" | "log" | "session" | "shutdown";

/** Is called when something has become of a reader. What is sent to all of them is not counted one by one. */
export interface ReaderObserver {
  /** A reader has joined. */
  joined(): void;
  /** A reader is no longer there. */
  ended(reason: EndReason): void;
  /** A reader is sent a gap: how many messages it misses, null if that is not known. */
  missed(count: number | null): void;
}
