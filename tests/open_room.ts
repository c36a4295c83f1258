/** A chat whose handler is called with requests, without a socket. */

import { assertEquals, assertMatch } from "@std/assert";
import { parseConfig } from "../config.ts";
import { createHandler } from "../main.ts";
import type { MessageStore } from "../message_log/message_log.ts";
import { openMessageStore } from "../message_log/open.ts";
import { loadMetrics } from "../metrics/load.ts";
import { Rooms } from "../room.ts";
import { Guard } from "../visitor_guard/guard.ts";
import { NO_LIMITS } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { RecordedTerminal } from "./recorded_terminal.ts";

/** Where requests are sent. */
export const ORIGIN = "http://localhost:4567";

/** A chat of its own for a test, with the flags given; without limits unless they set some. */
export async function openRoom(...flags: string[]) {
  return await openChat(flags);
}

/** What a test of a chat may have otherwise. */
interface ChatOptions {
  /** By which others reach it. */
  readonly hosts?: readonly string[];
  /**
   * The clock of the limits. It stands still: what is let in does not depend on how fast the machine is.
   *
   * @default {() => 0}
   */
  readonly now?: () => number;
  /** Whose rooms it has. @default {one of its own} */
  readonly store?: MessageStore;
}

/** A chat of its own for a test. */
export async function openChat(
  flags: string[],
  { hosts = ["192.168.1.20"], now = () => 0, ...options }: ChatOptions = {},
) {
  const config = parseConfig([...NO_LIMITS, ...flags], () => undefined);
  const store = options.store ?? await openMessageStore("memory:", config);
  const metrics = await loadMetrics(config);
  const rooms = new Rooms(store, { heartbeatMs: config.heartbeat * 1000, observer: metrics });
  const { room } = await rooms.enter("");
  const terminal = new RecordedTerminal();
  const guard = new Guard({
    config,
    holdMs: 0,
    now,
    onRefused: (refused) => terminal.report({ event: "requests_refused", ...refused }),
    onProxy: (address) => terminal.report({ event: "proxy_untrusted", address }),
  });
  const handler = await createHandler({ rooms, store, config, guard, terminal, hosts, metrics });
  const ask = (path: string, init?: RequestInit) => handler(new Request(ORIGIN + path, init));
  return {
    store,
    rooms,
    log: room.log,
    hub: room.hub,
    terminal,
    handler,
    ask,
    /** Asks from an address. */
    askFrom: (address: string, path: string, init?: RequestInit) =>
      handler(new Request(ORIGIN + path, init), infoOf(address)),
    post: (body: BodyInit, headers: HeadersInit = {}) =>
      ask("/chat", { method: "POST", body, headers }),
    read: async (path = "/chat", headers: HeadersInit = {}) =>
      new EventReader(await ask(path, { headers })),
    async [Symbol.asyncDispose]() {
      guard[Symbol.dispose]();
      await rooms[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

/** What a server tells of a request from an address. */
function infoOf(hostname: string): Deno.ServeHandlerInfo<Deno.NetAddr> {
  const remoteAddr = { transport: "tcp" as const, hostname, port: 1 };
  return { remoteAddr, completed: Promise.resolve() };
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
