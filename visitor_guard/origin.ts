/**
 * Who may post from a browser. A form can be posted to any site by any page, so
 * a post that a browser sends from another site is refused unless
 * `--allow-origin` names that site; those it names get the CORS headers to read
 * and post. Programs other than browsers say nothing of an origin and are let in.
 */

import { STATUS_CODE } from "@std/http/status";
import { HttpError } from "../routes/http_error.ts";

/** How long a browser may remember the answer to a preflight, in seconds. */
const PREFLIGHT_MAX_AGE_S = 86_400;

/**
 * Refuses a post from a page of another site.
 *
 * `Sec-Fetch-Site` decides where a browser sends it; it does so only to
 * trustworthy addresses (HTTPS and localhost), so elsewhere `Origin` is
 * compared with the address that the request was sent to. The schemes may
 * differ: behind a proxy that ends TLS they do.
 *
 * @throws {HttpError} 403 that names the origin and the setting.
 */
export function checkOrigin(request: Request, allowed: readonly string[]): void {
  const origin = request.headers.get("origin");
  if (origin && allowed.includes(origin)) return;
  const site = request.headers.get("sec-fetch-site");
  const isOwn = site
    ? site === "same-origin" || site === "none"
    : !origin || isSameHost(origin, request.headers.get("host"));
  if (isOwn) return;
  throw new HttpError(
    STATUS_CODE.Forbidden,
    `A page of another site (${origin ?? site}) may not post here; ` +
      "start the server with --allow-origin and that site's origin to let it.",
  );
}

/** Whether an origin is at the host that a request was sent to, by the origin's own scheme. */
function isSameHost(origin: string, host: string | null): boolean {
  const from = URL.parse(origin);
  return Boolean(from?.host) && from?.host === URL.parse(`${from?.protocol}//${host}`)?.host;
}

/** Lets the page of an allowed origin read the answer; without such origins nothing changes. */
export function setCorsHeaders(
  headers: Headers,
  request: Request,
  allowed: readonly string[],
): void {
  if (allowed.length === 0) return;
  headers.append("vary", "origin");
  const origin = request.headers.get("origin");
  if (!origin || !allowed.includes(origin)) return;
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", "accept-post, chat-gap, retry-after");
}

/** The answer to a browser that asks before it sends another site's request (Fetch, section 3.2.2). */
export function preflight(): Response {
  return new Response(null, {
    status: STATUS_CODE.NoContent,
    headers: {
      "access-control-allow-methods": "GET, HEAD, POST",
      "access-control-allow-headers": "content-type, idempotency-key, last-event-id",
      "access-control-max-age": String(PREFLIGHT_MAX_AGE_S),
    },
  });
}
