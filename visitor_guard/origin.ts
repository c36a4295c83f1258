/**
 * Which sites' pages may read and post. Any page can make a browser post a form to
 * any site, or fetch from it without seeing the response, so what a browser sends
 * for another site's page is refused unless `--allow-origin` names that site;
 * those it names get the CORS headers to read and post. Programs other than
 * browsers send no `Origin` and are let in.
 */

import { STATUS_CODE } from "@std/http/status";
import { excerpt, HttpError } from "../routes/http_error.ts";
import { hostOf } from "./host.ts";

/** How long a browser may remember the response to a preflight, in seconds. */
const PREFLIGHT_MAX_AGE_S = 86_400;

/**
 * Refuses what a browser sends for a page of another site; see {@linkcode isFromElsewhere}.
 *
 * @throws {HttpError} 403 that names the origin and the setting.
 */
export function checkOrigin(request: Request, allowed: readonly string[]): void {
  const { headers } = request;
  const origin = headers.get("origin");
  if (origin && allowed.includes(origin)) return;
  if (!isFromElsewhere(request)) return;
  const site = headers.get("sec-fetch-site");
  const refusal = `A page of another site (${excerpt(origin ?? site ?? "")}) may not ${
    isReading(request) ? "read" : "post"
  } here`;
  throw new HttpError(
    STATUS_CODE.Forbidden,
    site
      ? `${refusal}; start the server with --allow-origin and that site's origin to let it.`
      : `${refusal}. If it is the chat's own page, a proxy has replaced Host with "${
        excerpt(hostOf(request))
      }"; let it pass on Host with its port, or X-Forwarded-Host. ` +
        "Otherwise start the server with --allow-origin and that site's origin.",
  );
}

/**
 * Whether a browser sends it for a page of another site, except for a person who follows a link from
 * there.
 *
 * `Sec-Fetch-Site` decides where a browser sends it; it does so only to
 * trustworthy origins (HTTPS and localhost), so elsewhere `Origin` is
 * compared with the host that the request was sent to. A proxy may have replaced
 * that host and say so in `X-Forwarded-Host`, which no page can set for another site
 * without a preflight. The schemes may differ: they do if a proxy ends TLS.
 */
export function isFromElsewhere(request: Request): boolean {
  const { headers } = request;
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  if (site === "same-origin" || site === "none") return false;
  if (!site && (!origin || isOwnHost(origin, request))) return false;
  return !(isReading(request) && headers.get("sec-fetch-dest") === "document");
}

function isReading({ method }: Request): boolean {
  return method === "GET" || method === "HEAD";
}

/** Whether an origin is at the host that a request was sent to, by the origin's own scheme. */
export function isOwnHost(origin: string, request: Request): boolean {
  const from = URL.parse(origin);
  if (!from?.host) return false;
  // Of several proxies the first has seen what the browser sent.
  const [forwarded] = (request.headers.get("x-forwarded-host") ?? "").split(",", 1);
  return [hostOf(request), forwarded.trim()]
    .some((host) => host && URL.parse(`${from.protocol}//${host}`)?.host === from.host);
}

/** Lets the page of an allowed origin read the response, and ask before it posts. */
export function setCorsHeaders(
  headers: Headers,
  { method, headers: asked }: Request,
  allowed: readonly string[],
): void {
  if (allowed.length === 0) return;
  headers.append("vary", "origin");
  const origin = asked.get("origin");
  if (!origin || !allowed.includes(origin)) return;
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", "accept-post, chat-gap, link, retry-after");
  if (method !== "OPTIONS") return;
  headers.set("access-control-allow-methods", headers.get("allow") ?? "");
  headers.set(
    "access-control-allow-headers",
    "authorization, content-type, idempotency-key, last-event-id",
  );
  headers.set("access-control-max-age", String(PREFLIGHT_MAX_AGE_S));
}
