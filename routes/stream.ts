/** `GET /chat` as an event stream. */

import { MIN_RETRY_MS, RETRY_STEPS } from "../chat_hub.ts";
import { retryFrame } from "../reader/sse_frame.ts";
import type { Room } from "../room.ts";
import type { Guard } from "../visitor_guard/guard.ts";
import type { Sessions } from "../visitor_guard/session.ts";
import { STREAM_HEADERS } from "./headers.ts";
import { readStart } from "./start.ts";
import type { Visit } from "./visit.ts";

/**
 * A stream whose reader the hub holds until it leaves or its session ends, and the guard counts as long.
 *
 * @throws {HttpError} 400 for a `since` that is not a start, and what {@linkcode Guard.enterStream}
 * throws.
 */
export function openStream(
  { request, url, address, sessionId }: Visit,
  room: Room,
  { guard, sessions }: {
    readonly guard: Pick<Guard, "enterStream">;
    readonly sessions: Pick<Sessions, "watch">;
  },
): Response {
  const start = readStart(request, url);
  if (request.method === "HEAD") return new Response(null, { headers: STREAM_HEADERS });
  const slot = guard.enterStream(request, address);
  if (slot instanceof Response) return slot;
  if (sessionId === undefined) return toResponse(room.read(start, { held: slot }));
  const held = new DisposableStack();
  const ending = new AbortController();
  held.use(slot);
  held.use(sessions.watch(sessionId, () => ending.abort()));
  return toResponse(room.read(start, { held, signal: ending.signal }));
}

/**
 * A stream that ends at once, for an EventSource that comes while the room can't be opened: one that is
 * refused by a status never comes back (HTML, section 9.2.3).
 */
export function sendAway(): Response {
  return toResponse(retryFrame(MIN_RETRY_MS + Math.floor(Math.random() * RETRY_STEPS)));
}

function toResponse(body: BodyInit): Response {
  return new Response(body, { headers: STREAM_HEADERS });
}
