/** A room whose handler is called with requests, without a socket. */

import { assertEquals, assertMatch } from "@std/assert";
import { parseConfig } from "../config.ts";
import { createHandler } from "../main.ts";
import { openMessageLog } from "../message_log/open.ts";
import { Room } from "../room.ts";
import { EventReader } from "./event_reader.ts";
import { RecordedTerminal } from "./recorded_terminal.ts";

/** Where requests are sent. */
export const ORIGIN = "http://localhost:4567";

/** A room of its own for a test, with the flags given. */
export async function openRoom(...flags: string[]) {
  const config = parseConfig(flags, () => undefined);
  const log = await openMessageLog("memory:", config);
  const room = new Room(log, { heartbeatMs: config.heartbeat * 1000 });
  const terminal = new RecordedTerminal();
  const handler = await createHandler({ room, config, terminal });
  const ask = (path: string, init?: RequestInit) => handler(new Request(ORIGIN + path, init));
  return {
    log,
    hub: room.hub,
    terminal,
    handler,
    ask,
    post: (body: BodyInit, headers: HeadersInit = {}) =>
      ask("/chat", { method: "POST", body, headers }),
    read: async (path = "/chat", headers: HeadersInit = {}) =>
      new EventReader(await ask(path, { headers })),
    [Symbol.asyncDispose]: () => room[Symbol.asyncDispose](),
  };
}

/** A form with these fields. */
export function form(fields: Record<string, string>): URLSearchParams {
  return new URLSearchParams(fields);
}

/** Checks a refusal to the letter of RFC 9457 and returns its detail. */
export async function assertProblem(
  response: Response,
  status: number,
  field?: string,
): Promise<string> {
  assertEquals(response.status, status);
  assertEquals(response.headers.get("content-type"), "application/problem+json");
  const problem = await response.json();
  assertEquals(problem.status, status);
  assertEquals(problem.field, field);
  assertMatch(problem.title, /^[A-Z]/);
  assertMatch(problem.detail, /^[A-Z/].+\.$/s);
  return problem.detail;
}
