/** Whom the mutes of a room hold. */

import type { Mute, RoomState } from "../message_log/message_log.ts";
import type { VisitorTraits } from "./visitor.ts";

/**
 * The mute that holds a visitor, undefined if none does: that of the visitor's mark; or one of the
 * visitor's address, for whoever came with a cookie younger than it or has none. To delete a cookie
 * helps nobody, and the others at the address go on.
 */
export function muteOf(
  { muted }: Pick<RoomState, "muted">,
  { mark, address, cookieIssuedMs }: VisitorTraits,
  now: number,
): Mute | undefined {
  const holds = ({ by, address: from, since, until }: Mute) => {
    if (until <= now) return false;
    if (by === mark) return true;
    return from === address && (cookieIssuedMs === undefined || cookieIssuedMs >= since);
  };
  // Of several, the one that ends last is waited for.
  return muted.filter(holds).reduce<Mute | undefined>(
    (last, mute) => last && last.until >= mute.until ? last : mute,
    undefined,
  );
}
