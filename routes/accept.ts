/** What kind of response a request asks for. */

import { accepts } from "@std/http/negotiation";

/** A longer `Accept` is ignored: nothing sends one, and to weigh it takes quadratic time. */
const MAX_ACCEPT_LENGTH = 1024;
/** Parameters of media types, other than their weight. None of ours has any to compare with. */
const PARAMETERS = /;(?!\s*q=)[^;,]*/gi;

/** Whether an EventSource asks: it accepts nothing but a stream, in these very words. */
export function isEventSource({ headers }: Request): boolean {
  return headers.get("accept") === "text/event-stream";
}

/** Whether the history is to be sent as JSON, rather than the stream. */
export function wantsJson(request: Request): boolean {
  // Thousands that return at once need no negotiation.
  if (isEventSource(request)) return false;
  return prefers(request, "application/json", "text/event-stream");
}

/**
 * Whether a person's browser asks, to show the response as a page.
 *
 * Browsers say so in `Sec-Fetch-Mode`, but only to trustworthy origins (HTTPS,
 * localhost), and elsewhere by `Upgrade-Insecure-Requests`. Text browsers say
 * neither, but want HTML first and in a language. Java's HttpURLConnection wants
 * HTML first as well, in none. A browser that says nothing at all of itself is given
 * addresses with `?html` to ask for.
 */
export function isNavigation(request: Request): boolean {
  const mode = request.headers.get("sec-fetch-mode");
  if (mode) return mode === "navigate";
  // Most have no parameters: programs that post need no address parsed once more.
  if (request.url.includes("?") && URL.parse(request.url)?.searchParams.has("html")) return true;
  if (request.headers.get("upgrade-insecure-requests") === "1") return true;
  return prefers(request, "text/html", "application/json") &&
    (request.headers.has("accept-language") || acceptOf(request).includes("application/xhtml+xml"));
}

/** Whether one media type is accepted rather than the other, which is sent if both are as good. */
function prefers(request: Request, type: string, other: string): boolean {
  const accept = acceptOf(request);
  // Most programs say that they take anything: they need no negotiation.
  if (accept === "" || accept === "*/*") return false;
  return accepts({ headers: new Headers({ accept }) }, other, type) === type;
}

function acceptOf({ headers }: Request): string {
  const accept = headers.get("accept") ?? "";
  return accept.length > MAX_ACCEPT_LENGTH ? "" : accept.toLowerCase().replace(PARAMETERS, "");
}
