/** Where a request begins to read the log. */

import { STATUS_CODE } from "@std/http/status";
import { parseId } from "../chat_message.ts";
import type { Start } from "../message_log/message_log.ts";
import { excerpt, HttpError } from "./http_error.ts";

/** What a newcomer gets. */
const LATEST_COUNT = 50;
/** Before every message and unknown to every log: a reader with it is sent a gap. */
const UNKNOWN_CURSOR = "0-0";

/**
 * Where a request begins to read: the `Last-Event-ID` header counts before
 * `?since=`, which is an id, `all` or `none`; without either, the last messages.
 * A header that is no id is an unknown cursor rather than an error: an
 * EventSource that is refused never comes back (HTML, section 9.2.3).
 *
 * @throws {HttpError} 400 for any other `since`.
 */
export function readStart(request: Request, url: URL): Start {
  const lastEventId = request.headers.get("last-event-id");
  if (lastEventId) return { since: parseId(lastEventId) ? lastEventId : UNKNOWN_CURSOR };
  const since = url.searchParams.get("since");
  if (since === null) return { latest: LATEST_COUNT };
  if (since === "none") return { latest: 0 };
  if (since === "all") return { since: undefined };
  if (parseId(since)) return { since };
  throw new HttpError(
    STATUS_CODE.BadRequest,
    `The parameter "since" must be the id of a message, all or none, received "${excerpt(since)}".`,
  );
}
