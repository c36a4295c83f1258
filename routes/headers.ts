/** The headers of responses. */

type HeaderList = readonly (readonly [name: string, value: string])[];

/**
 * On every response, unless it has its own. No other site's page embeds it; those that `--allow-origin`
 * names read by CORS, which the resource policy leaves alone.
 */
const RESOURCE_HEADERS: HeaderList = [
  ["x-content-type-options", "nosniff"],
  ["cross-origin-resource-policy", "same-origin"],
];

/** On what a browser may show. The page loads nothing from elsewhere, and nobody frames it. */
const DOCUMENT_HEADERS: HeaderList = [
  [
    "content-security-policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  ],
  // Not no-referrer: with it browsers send "Origin: null" with the page's own plain form.
  ["referrer-policy", "same-origin"],
];

/**
 * Over TLS: browsers never again ask this host over plain HTTP. Not on localhost, where it would hold
 * for the servers of all other programs too. A proxy that ends TLS says so itself.
 */
const TRANSPORT_SECURITY = "max-age=31536000";
const IS_SECURE = /^https:\/\/(?!localhost[:/])/;

/** On the stream. */
export const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  // no-transform: a proxy that compresses would hold messages back.
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
  vary: "accept",
};

/**
 * Adds what protects a response. A stream is no document, and stays open by the
 * thousand: a header costs 300 bytes for as long as it does.
 */
export function setSecurityHeaders(headers: Headers, request: Request): void {
  for (const [name, value] of RESOURCE_HEADERS) {
    if (!headers.has(name)) headers.set(name, value);
  }
  if (headers.get("content-type") === STREAM_HEADERS["content-type"]) return;
  for (const [name, value] of DOCUMENT_HEADERS) headers.set(name, value);
  if (IS_SECURE.test(request.url)) headers.set("strict-transport-security", TRANSPORT_SECURITY);
  // No other site's page keeps a handle on the page's window. Browsers log an error for it where
  // the origin is not trustworthy (plain HTTP, but for localhost); there they send no Sec-Fetch-Mode.
  if (request.headers.has("sec-fetch-mode")) {
    headers.set("cross-origin-opener-policy", "same-origin");
  }
}
