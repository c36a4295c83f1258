/** Who may write in a room, as its moderators have it. */

import { STATUS_CODE } from "@std/http/status";
import type { Mute, RoomState } from "../message_log/message_log.ts";
import { HttpError } from "../routes/http_error.ts";
import type { VisitorTraits } from "./visitor.ts";

/**
 * What a visitor who is no moderator is refused with in a room that is closed or for a mute, with the
 * seconds that this will last in `Retry-After`; undefined for one who may write.
 */
export function refusalOf(
  state: RoomState,
  visitor: VisitorTraits,
  now = Date.now(),
): HttpError | undefined {
  if (state.closed) {
    return new HttpError(
      STATUS_CODE.Forbidden,
      "Only moderators write in this room at the moment; read on, or write again once it is open.",
    );
  }
  const mute = muteOf(state, visitor, now);
  if (!mute) return undefined;
  const seconds = Math.ceil((mute.until - now) / 1000);
  const until = `${toLocalTime(mute.until, now)} by the server's clock`;
  return new HttpError(
    STATUS_CODE.Forbidden,
    mute.by === visitor.mark
      ? `A moderator has muted you in this room until ${until}; read on, or write again then.`
      : "A moderator has muted somebody at your address, so nobody who is new there can write in " +
        `this room until ${until}; read on, or write again then.`,
    { headers: { "retry-after": String(seconds) } },
  );
}

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

/** The time of day where the server is, with the date if that is another. */
function toLocalTime(ms: number, now: number): string {
  // Sweden writes both as ISO 8601 does.
  const [moment, today] = [ms, now].map((each) => new Date(each).toLocaleString("sv"));
  const isToday = moment.slice(0, 10) === today.slice(0, 10);
  return moment.slice(isToday ? 11 : 0, 16);
}
