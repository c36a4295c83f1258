/**
 * For whoever watches the server: `GET /livez`, whether the process answers, and `GET /healthz`, whether
 * messages can be stored just now.
 */

import { STATUS_CODE } from "@std/http/status";
import { type Config, VERSION } from "../config.ts";
import type { StoreProbe } from "../message_log/store_probe.ts";
import type { Rooms } from "../room.ts";

/** `Retry-After` while they can't be: the store is not asked more often. */
const RETRY_S = 1;

/** What {@linkcode sendHealth} reports on. */
export interface HealthOptions {
  readonly rooms: Pick<Rooms, "size" | "readers">;
  readonly probe: Pick<StoreProbe, "isUp">;
  readonly messageLog: Config["messageLog"];
}

/** The one answer there is. */
export function sendLife(): Response {
  return new Response("ok\n", { headers: { "cache-control": "no-store" } });
}

/** A line of JSON; the status is 503 if nothing can be stored. */
export async function sendHealth(
  { rooms, probe, messageLog }: HealthOptions,
): Promise<Response> {
  const isUp = await probe.isUp();
  const health = {
    status: isUp ? "ok" : "unavailable",
    version: VERSION,
    uptime: Math.floor(performance.now() / 1000),
    readers: rooms.readers,
    rooms: rooms.size,
    log: kindOf(messageLog),
  };
  return new Response(`${JSON.stringify(health)}\n`, {
    status: isUp ? STATUS_CODE.OK : STATUS_CODE.ServiceUnavailable,
    headers: {
      "content-type": "application/json",
      "cache-control": "no-store",
      ...(!isUp && { "retry-after": String(RETRY_S) }),
    },
  });
}

/** What messages are kept in; no more of the URL, which may have a password. */
function kindOf(messageLog: string): "sqlite" | "redis" | "memory" {
  if (messageLog.startsWith("redis")) return "redis";
  return messageLog.startsWith("sqlite") ? "sqlite" : "memory";
}
