/** What each event says to people, and what its members are. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  answered,
  kindOf,
  type Level,
  type ServerEvent,
  startFailed,
  textOf,
} from "./server_events.ts";
import "./terminal.ts";

/** An event of each name, with all its members; what level it has, and what people read. */
const EXAMPLES: {
  [Name in ServerEvent["event"]]: [
    members: Omit<Extract<ServerEvent, { event: Name }>, "event">,
    level: Level,
    text: string | RegExp,
  ];
} = {
  listening: [
    {
      version: "1.2.3",
      url: "http://localhost:4567",
      urls: ["http://192.0.2.7:4567"],
      hostname: "0.0.0.0",
      log: "sqlite:chat.db",
      open: true,
    },
    "info",
    /^The chat is at http:\/\/localhost:4567\nOn your network: .*\n.* --password .*\n.* chat.db\.$/,
  ],
  stopped: [{ uptime: 3 }, "info", "Stopped."],
  start_failed: [{ reason: "REASON" }, "error", "Cannot start: REASON"],
  variables_ignored: [
    { variables: ["CHAT_PORT", "CHAT_KEEPS"] },
    "warning",
    /^Ignored: CHAT_PORT, CHAT_KEEPS\. .*--help/,
  ],
  request: [
    { method: "GET", path: "/chat", status: 200, ms: 1, address: "::1" },
    "info",
    "200 GET /chat 1.0 ms ::1",
  ],
  requests_refused: [
    {
      requests: 80,
      addresses: [{ address: "10.0.0.1", requests: 50 }, { address: "10.0.0.2", requests: 25 }],
      others: 5,
      reasons: ["--rate-limit", "wrong passwords"],
    },
    "warning",
    "80 requests refused, from 10.0.0.1 (50), 10.0.0.2 (25) and 5 more: --rate-limit, wrong passwords",
  ],
  proxy_untrusted: [
    { address: "192.0.2.1" },
    "warning",
    /^192\.0\.2\.1 sends X-Forwarded-For\. .* --trust-proxy 192\.0\.2\.1 /,
  ],
  request_failed: [
    { error: "Error: REASON", unreported: 3 },
    "error",
    "Cannot answer a request (failures since the last line: 3): Error: REASON",
  ],
  probe_failed: [{ reason: "REASON" }, "error", "Cannot write to the message log: REASON"],
  unexpected_error: [
    { error: "Error: REASON", unreported: 3 },
    "error",
    "Unexpected error (failures since the last line: 3): Error: REASON",
  ],
  failures_unreported: [{ unreported: 3 }, "error", "Failures since the last line: 3"],
  accept_failed: [
    { reason: "REASON" },
    "error",
    /^Cannot accept connections: REASON\. Open streams go on/,
  ],
  store_away: [
    { reason: "REASON" },
    "error",
    "The message log can't be reached: REASON. Posts are refused until it is back.",
  ],
  store_back: [{ ms: 3210 }, "info", "The message log is back, after 3.2 s."],
  store_endangered: [{ reason: "REASON" }, "warning", "REASON"],
  certificate_expired: [
    { expires: "2027-02-03T04:05:06.000Z" },
    "warning",
    /^Expired: .*, on 2027-02-03\. .* SIGHUP\.$/,
  ],
  certificate_renewed: [
    { expires: "2027-02-03T04:05:06.000Z" },
    "info",
    /^New connections .* until 2027-02-03\.$/,
  ],
  certificate_unusable: [
    { reason: "REASON" },
    "error",
    "Cannot renew the certificate: REASON. The old one stays in use.",
  ],
  lines_lost: [{ lines: 3 }, "warning", "(lines that could not be printed: 3)"],
};

Deno.test("textOf() says of each event what happened, why, and what to do", () => {
  for (const [name, [members, level, text]] of Object.entries(EXAMPLES)) {
    const event = { event: name, ...members } as ServerEvent;
    assertEquals(kindOf(event).level, level, name);
    const said = textOf(event);
    if (typeof text === "string") assertEquals(said, text);
    else assert(text.test(said), said);
  }
  const one = { address: "10.0.0.1", requests: 1 };
  assertEquals(
    textOf({
      event: "requests_refused",
      requests: 1,
      addresses: [one],
      others: 0,
      reasons: ["--rate-limit"],
    }),
    "1 request refused, from 10.0.0.1: --rate-limit",
  );
});

Deno.test("operations.md lists every event with its level and its members", {
  ignore: (await Deno.permissions.query({ name: "read", path: "docs" })).state !== "granted",
}, async () => {
  const text = await Deno.readTextFile(new URL("docs/operations.md", import.meta.url));
  const rows = text.matchAll(/^\| `(\w+)` +\| (info|warning|error) +\|[^|]+\| (.*?) *\|$/gm);
  const listed = [...rows].map(([, name, level, members]) => [
    name,
    level,
    [...members.matchAll(/`(\w+)`/g)].map(([, member]) => member),
  ]);
  const events = Object.entries(EXAMPLES).map(([name, [members, level]]) => [
    name,
    level,
    Object.keys(members),
  ]);
  assertEquals(listed, events);
  const lines = [...text.matchAll(/^\{"time":.*$/gm)].map(([line]) => JSON.parse(line));
  assert(lines.length > 0);
  for (const { time: _time, level, event, ...members } of lines) {
    const known = events.find(([name]) => name === event);
    assertEquals([event, level, Object.keys(members)], known);
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
