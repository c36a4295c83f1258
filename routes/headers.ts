/** The headers of responses. */

/** On every response. The page loads nothing from elsewhere and nobody frames it. */
export const SECURITY_HEADERS: readonly (readonly [name: string, value: string])[] = [
  [
    "content-security-policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  ],
  ["x-content-type-options", "nosniff"],
  // Not no-referrer: with it browsers send "Origin: null" with the page's own plain form.
  ["referrer-policy", "same-origin"],
  // No other site's page embeds a response or keeps a handle on the page's window. Neither concerns
  // those that --allow-origin names: they read by CORS, which the resource policy leaves alone.
  ["cross-origin-resource-policy", "same-origin"],
  ["cross-origin-opener-policy", "same-origin"],
];

/** On the stream. */
export const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  // no-transform: a proxy that compresses would hold messages back.
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
  vary: "accept",
};
