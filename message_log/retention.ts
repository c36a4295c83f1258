/** How long messages are kept, by their age. */

/** Rooms are searched for messages that have become too old this often. */
export const EXPIRY_INTERVAL_MS = 60_000;
export const DAY_MS = 24 * 60 * 60_000;

/** What was written before it has become too old; 0 days are for ever. */
export function keptSince(keepDays: number, now: number): number {
  return keepDays > 0 ? now - keepDays * DAY_MS : -Infinity;
}
