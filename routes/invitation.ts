/** `GET /invite.svg`: the address of a room as a QR code, for others to scan. */

import { STATUS_CODE } from "@std/http/status";
import { isLoopback } from "../server.ts";
import { isOwnHost } from "../visitor_guard/origin.ts";
import { HttpError } from "./http_error.ts";
import { escapeHtml } from "./html.ts";
import { roomAddress } from "./room_path.ts";
import { MAX_URL_LENGTH, type Visit } from "./visit.ts";

/**
 * The QR code as an image whose title is the address. It is the address of the page that asks,
 * or else of the room at the host that was asked: as the visitor sees it, so that it is right
 * behind any proxy and under any path. Where that leads to the visitor's own machine alone, the
 * server's own name takes its place.
 *
 * @param hosts By which others reach the server, the best first.
 * @throws {HttpError} 404 where nobody else can.
 */
export async function sendInvitation(
  { request, url }: Visit,
  room: string,
  hosts: readonly string[],
): Promise<Response> {
  const path = roomAddress(room);
  const address = pageOf(request, path) ?? new URL(path, url);
  if (leadsNowhere(address)) {
    const [host = ""] = hosts;
    // It has no effect where it is no host of a URL, as an IPv6 address with a zone.
    address.hostname = host.includes(":") ? `[${host}]` : host;
  }
  if (leadsNowhere(address)) {
    throw new HttpError(
      STATUS_CODE.NotFound,
      "Only this machine can reach the chat. To let others in, connect it to a network, and start " +
        "the chat with --hostname 0.0.0.0.",
    );
  }
  const { renderSVG } = await import("uqr");
  const title = `<title>${escapeHtml(address.href)}</title>`;
  const image = renderSVG(address.href, { border: 2 }).replace(/^<svg[^>]*>/, (tag) => tag + title);
  return new Response(image, {
    headers: { "content-type": "image/svg+xml", "cache-control": "no-store", vary: "referer" },
  });
}

/** Whether others would not get there: every address of a machine is its own as well. */
function leadsNowhere({ hostname }: URL): boolean {
  return isLoopback(hostname) || hostname === "0.0.0.0" || hostname === "[::]";
}

/** The page that asks, as far as a browser says that it is ours, and that of the room with that path. */
function pageOf(request: Request, path: string): URL | undefined {
  const { headers } = request;
  const referer = headers.get("referer") ?? "";
  const page = referer.length <= MAX_URL_LENGTH ? URL.parse(referer) : null;
  if (!page || !/^https?:$/.test(page.protocol) || !page.pathname.endsWith(path)) return undefined;
  const site = headers.get("sec-fetch-site");
  // Over plain HTTP browsers say so only of their own machine; for others the host must do.
  const isOurs = site ? site === "same-origin" : isOwnHost(page.origin, request);
  if (!isOurs) return undefined;
  page.search =
    page.hash =
    page.username =
    page.password =
      "";
  return page;
}
