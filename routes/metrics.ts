/** `GET /metrics`: the figures of the server, for Prometheus. */

import { STATUS_CODE } from "@std/http/status";
import type { StoreProbe } from "../message_log/store_probe.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Rooms } from "../room.ts";
import { isFromHere } from "../visitor_guard/address.ts";
import type { Guard } from "../visitor_guard/guard.ts";
import { isSameSecret } from "../visitor_guard/secret.ts";
import { HttpError } from "./http_error.ts";
import type { Visit } from "./visit.ts";

/** What {@linkcode sendMetrics} works with. */
export interface MetricsOptions {
  readonly metrics: Metrics;
  /** What those have to send who ask from another machine; they may not if it is undefined. */
  readonly metricsToken: string | undefined;
  readonly rooms: Pick<Rooms, "size" | "readers">;
  readonly probe: Pick<StoreProbe, "isUp">;
  readonly guard: Pick<Guard, "tryPassword">;
}

/**
 * All metrics, for who asks from this machine or sends the token.
 *
 * @throws {HttpError} 403 to others where there is no token, 401 for a wrong one, 429 for too many of
 * those.
 */
export async function sendMetrics(visit: Visit, options: MetricsOptions): Promise<Response> {
  if (!isFromHere(visit.request, visit.peer)) await checkToken(visit, options);
  const { metrics, rooms, probe } = options;
  const text = await metrics.text({
    readers: rooms.readers,
    rooms: rooms.size,
    isLogUp: await probe.isUp(),
  });
  return new Response(text, {
    headers: { "content-type": metrics.contentType, "cache-control": "no-store" },
  });
}

async function checkToken(
  { request, address }: Visit,
  { metricsToken, guard }: MetricsOptions,
): Promise<void> {
  if (metricsToken === undefined) {
    throw new HttpError(
      STATUS_CODE.Forbidden,
      "The metrics are for programs on the server's own machine; to let others have them, start it " +
        "with --metrics-token.",
    );
  }
  const token = bearerToken(request);
  const isRight = () => isSameSecret(token!, metricsToken);
  if (token !== undefined && await guard.tryPassword(address, isRight)) return;
  throw new HttpError(
    STATUS_CODE.Unauthorized,
    `${
      token === undefined ? "The metrics ask for a token" : "That is not the token"
    }; send that of ` +
      '--metrics-token, as "Authorization: Bearer TOKEN".',
    { headers: { "www-authenticate": 'Bearer realm="metrics"' } },
  );
}

/** The token in an `Authorization` header (RFC 6750, section 2.1). */
function bearerToken({ headers }: Request): string | undefined {
  return /^bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
}

/** What is there without `--metrics`: the word which setting is missing. */
export function refuseMetrics(): never {
  throw new HttpError(
    STATUS_CODE.NotFound,
    "Nothing is counted; to have metrics here, start the chat with --metrics.",
  );
}
