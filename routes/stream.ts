/** `GET /chat` as an event stream. */

import type { Room } from "../room.ts";
import type { Guard } from "../visitor_guard/guard.ts";
import { STREAM_HEADERS } from "./headers.ts";
import { readStart } from "./start.ts";
import type { Visit } from "./visit.ts";

/**
 * A stream whose reader the hub holds until it leaves, and the guard counts as long.
 *
 * @throws {HttpError} 400 for a `since` that is not a start, and what {@linkcode Guard.enterStream}
 * throws.
 */
export function openStream(
  { request, url, address }: Visit,
  room: Room,
  guard: Pick<Guard, "enterStream">,
): Response {
  const start = readStart(request, url);
  if (request.method === "HEAD") return new Response(null, { headers: STREAM_HEADERS });
  const slot = guard.enterStream(request, address);
  if (slot instanceof Response) return slot;
  return new Response(room.read(start, slot), { headers: STREAM_HEADERS });
}
