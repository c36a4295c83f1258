/**
 * The chat without the page, without what it says of its health and without its history as JSON: a server
 * that keeps to the protocol and has not all of it.
 */

import { main } from "../../main.ts";

const PATHS = /^\/(session|rooms|([^/]+\/)?(chat|moderation))$/;

/** What it answers where it lacks something. */
function refuse({ url, headers }: Request): Response | undefined {
  const status = !PATHS.test(new URL(url).pathname)
    ? 404
    : headers.get("accept") === "application/json"
    ? 406
    : undefined;
  return status && Response.json({ type: "about:blank", status }, {
    status,
    headers: { "content-type": "application/problem+json" },
  });
}

const { serve } = Deno;
Deno.serve =
  ((options: Deno.ServeTcpOptions, handler: Deno.ServeHandler<Deno.NetAddr>) =>
    serve(options, (request, info) => refuse(request) ?? handler(request, info))) as typeof serve;
await main();
