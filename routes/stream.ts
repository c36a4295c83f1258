/** `GET /chat` as an event stream. */

import type { Room } from "../room.ts";
import { STREAM_HEADERS } from "./headers.ts";
import { readStart } from "./start.ts";
import type { Visit } from "./visit.ts";

/**
 * A stream whose reader the hub holds until it leaves.
 *
 * @throws {HttpError} 400 for a `since` that is not a start.
 */
export function openStream({ request, url }: Visit, room: Room): Response {
  const start = readStart(request, url);
  const body = request.method === "HEAD" ? null : room.read(start);
  return new Response(body, { headers: STREAM_HEADERS });
}
