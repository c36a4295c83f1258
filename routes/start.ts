/** Where a request begins to read the log. */

import { STATUS_CODE } from "@std/http/status";
import { parseId } from "../chat_message.ts";
import type { Start } from "../message_log/message_log.ts";
import { excerpt, HttpError } from "./http_error.ts";

/** What a newcomer gets. */
const LATEST_COUNT = 50;
/** Before every message and unknown to every log: a reader with it is sent a gap. */
const UNKNOWN_CURSOR = "0-0";
/** Parameters in which EventSources that can't set a header send their cursor. */
const CURSOR_PARAMETERS = ["lastEventId", "last_event_id", "Last-Event-ID"];

/**
 * Where a request begins to read: at the cursor of a client that comes back, in
 * the `Last-Event-ID` header or else a parameter that stands for it; without one, at
 * `?since=`, which is an id, `all` or `none`; without that, at the last messages. A
 * malformed cursor is an unknown one rather than an error: an EventSource that
 * is refused never reconnects (HTML, section 9.2.3).
 *
 * @throws {HttpError} 400 for any other `since`, and for `before` where it has no meaning.
 */
export function readStart(request: Request, { searchParams }: URL): Start {
  if (searchParams.has("before")) {
    throw new HttpError(
      STATUS_CODE.BadRequest,
      'The parameter "before" is for the history; ask for it with "Accept: application/json".',
    );
  }
  const cursor = [
    request.headers.get("last-event-id"),
    ...CURSOR_PARAMETERS.map((name) => searchParams.get(name)),
  ].find((value) => value);
  if (cursor) return { since: parseId(cursor) ? cursor : UNKNOWN_CURSOR };
  const since = searchParams.get("since");
  if (since === null) return { latest: LATEST_COUNT };
  if (since === "none") return { latest: 0 };
  if (since === "all") return { since: undefined };
  if (parseId(since)) return { since };
  throw new HttpError(
    STATUS_CODE.BadRequest,
    `The parameter "since" must be the id of a message, all or none, received "${excerpt(since)}".`,
  );
}
