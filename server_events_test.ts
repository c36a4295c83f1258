/** What each event says to people, and what its members are. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { answered, kindOf, type ServerEvent, startFailed, textOf } from "./server_events.ts";
import "./terminal.ts";

const EXPIRES = { expires: "2027-02-03T04:05:06.000Z" };
const TO_PEOPLE: [event: ServerEvent, level: string, text: string | RegExp][] = [
  [{ event: "start_failed", reason: "the reason" }, "error", "Cannot start: the reason"],
  [
    { event: "variables_ignored", variables: ["CHAT_PORT", "CHAT_KEEPS"] },
    "warning",
    /^Ignored: CHAT_PORT, CHAT_KEEPS\. .*--help/,
  ],
  [
    { event: "request", method: "GET", path: "/chat", status: 200, ms: 1, address: "::1" },
    "info",
    "200 GET /chat 1.0 ms ::1",
  ],
  [
    {
      event: "requests_refused",
      requests: 1,
      addresses: [{ address: "10.0.0.1", requests: 1 }],
      others: 0,
      reasons: ["--rate-limit"],
    },
    "warning",
    "1 request refused, from 10.0.0.1: --rate-limit",
  ],
  [
    {
      event: "requests_refused",
      requests: 80,
      addresses: [{ address: "10.0.0.1", requests: 50 }, { address: "10.0.0.2", requests: 25 }],
      others: 5,
      reasons: ["--rate-limit", "wrong passwords"],
    },
    "warning",
    "80 requests refused, from 10.0.0.1 (50), 10.0.0.2 (25) and 5 more: --rate-limit, wrong passwords",
  ],
  [
    { event: "proxy_untrusted", address: "192.0.2.1" },
    "warning",
    /^192\.0\.2\.1 sends X-Forwarded-For\. .* --trust-proxy 192\.0\.2\.1 /,
  ],
  [
    { event: "request_failed", error: "Error: REASON" },
    "error",
    "Cannot answer a request: Error: REASON",
  ],
  [
    { event: "unexpected_error", error: "Error: REASON", unreported: 3 },
    "error",
    "Unexpected error (failures since the last line: 3): Error: REASON",
  ],
  [
    { event: "accept_failed", reason: "REASON" },
    "error",
    /^Cannot accept connections: REASON\. Open streams go on/,
  ],
  [
    { event: "store_away", reason: "REASON" },
    "error",
    "The message log can't be reached: REASON. Posts are refused until it is back.",
  ],
  [{ event: "store_back", ms: 3210 }, "info", "The message log is back, after 3.2 s."],
  [{ event: "store_endangered", reason: "REASON" }, "warning", "REASON"],
  [
    { event: "certificate_expired", ...EXPIRES },
    "warning",
    /^Expired: .*, on 2027-02-03\. .* SIGHUP\.$/,
  ],
  [
    { event: "certificate_renewed", ...EXPIRES },
    "info",
    /^New connections .* until 2027-02-03\.$/,
  ],
  [
    { event: "certificate_unusable", reason: "REASON" },
    "error",
    "Cannot renew the certificate: REASON. The old one stays in use.",
  ],
  [{ event: "stopped", uptime: 3 }, "info", "Stopped."],
];

Deno.test("textOf() says of each event what happened, why, and what to do", () => {
  for (const [event, level, text] of TO_PEOPLE) {
    assertEquals(kindOf(event).level, level, event.event);
    const said = textOf(event);
    if (typeof text === "string") assertEquals(said, text);
    else assert(text.test(said), said);
  }
});

Deno.test("answered() has the path alone, and no more than can be read", () => {
  const answer = (path: string, method = "GET") =>
    answered(new Request(`http://localhost${path}`, { method }), new Response(), 1.26, "::1");
  assertEquals(answer("/chat?since=all"), {
    event: "request",
    method: "GET",
    path: "/chat",
    status: 200,
    ms: 1.3,
    address: "::1",
  });
  assert(textOf(answer(`/${"x".repeat(60_000)}`)).length < 200);
  assert(textOf(answer("/chat", "X".repeat(60_000))).length < 200);
});

Deno.test("startFailed() says what to do", () => {
  assertEquals(startFailed(new Error("the reason")), {
    event: "start_failed",
    reason: "the reason",
  });
  const denied = new Deno.errors.NotCapable('Requires env access to "PORT"');
  assertStringIncludes(textOf(startFailed(denied)), "use deno task start");
});
