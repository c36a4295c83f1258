/**
 * Everything that the program reports, once: each event with its name, its level, its members and its
 * sentence. Members are plain data, and none is a secret or what somebody wrote. How they become a line
 * is the terminal's affair.
 */

import { bold, cyan, dim, green, red, yellow } from "@std/fmt/colors";
import { isLoopback } from "./server.ts";
import type { Refused } from "./visitor_guard/refusals.ts";

/** The longest part of a request or of a variable's name that is reported. */
const MAX_LENGTH = 100;

/** How much an event matters. */
export type Level = "info" | "warning" | "error";

/** What all events of one name have in common. */
export interface Kind {
  readonly level: Level;
  /** Whoever has just started the program reads it, and needs no time. @default {false} */
  readonly isAtStart?: boolean;
  /** The sentence for people. */
  text(members: never): string;
}

/** Why something can't be done, in words that say what to do. */
interface Problem {
  readonly reason: string;
}

/** What went wrong within the program. */
interface Failure {
  /** The error with its stack, or its cause where that says enough. */
  readonly error: string;
  /** How many failures before it were only counted; absent for none. */
  readonly unreported?: number;
}

interface CertificateDate {
  /** When the certificate expires (RFC 3339). */
  readonly expires: string;
}

/** What is reported once the server takes requests. */
interface Listening {
  readonly version: string;
  /** Where the chat is, and by what other addresses, the best first. */
  readonly url: string;
  readonly urls: readonly string[];
  readonly hostname: string;
  /** The URL that messages are kept at, without user and password. */
  readonly log: string;
  /** Whether everybody is let in, without a password. */
  readonly open: boolean;
}

/** A request and its response. */
interface Answered {
  readonly method: string;
  /** The path alone: a query may hold what someone wrote. */
  readonly path: string;
  readonly status: number;
  /** How long the response took to begin, in milliseconds. */
  readonly ms: number;
  readonly address: string;
}

/** The events by their names. */
const KINDS = {
  listening: { level: "info", isAtStart: true, text: whereItIs },
  stopped: {
    level: "info",
    /** `uptime` is how long it ran, in whole seconds. */
    text: (_: { readonly uptime: number }): string => "Stopped.",
  },
  start_failed: {
    level: "error",
    isAtStart: true,
    text: ({ reason }: Problem): string => `${red("Cannot start:")} ${reason}`,
  },
  variables_ignored: {
    level: "warning",
    isAtStart: true,
    text: ({ variables }: { readonly variables: readonly string[] }): string =>
      `${yellow("Ignored:")} ${variables.join(", ")}. ` +
      "No setting has such a variable; --help lists those that count.",
  },
  request: {
    level: "info",
    text: ({ method, path, status, ms, address }: Answered): string =>
      `${(status < 400 ? green : yellow)(String(status))} ${method} ${path} ` +
      `${dim(`${ms.toFixed(1)} ms`)} ${dim(address)}`,
  },
  requests_refused: { level: "warning", text: whoIsRefused },
  proxy_untrusted: {
    level: "warning",
    text: ({ address }: { readonly address: string }): string =>
      yellow(
        `${address} sends X-Forwarded-For. If it is your proxy, --trust-proxy ${address} tells the ` +
          "visitors that come through it apart; until then they count as one.",
      ),
  },
  request_failed: {
    level: "error",
    text: (failure: Failure): string => whatFailed("Cannot answer a request", failure),
  },
  probe_failed: {
    level: "error",
    text: ({ reason }: Problem) => `${red("Cannot write to the message log:")} ${reason}`,
  },
  unexpected_error: {
    level: "error",
    text: (failure: Failure): string => whatFailed("Unexpected error", failure),
  },
  failures_unreported: {
    level: "error",
    text: ({ unreported }: { readonly unreported: number }): string =>
      `Failures since the last line: ${unreported}`,
  },
  accept_failed: {
    level: "error",
    text: ({ reason }: Problem): string =>
      `${red("Cannot accept connections:")} ${reason}. ` +
      "Open streams go on, and new ones get in as soon as possible.",
  },
  store_away: {
    level: "error",
    text: ({ reason }: Problem): string =>
      `${red("The message log can't be reached:")} ${reason}. Posts are refused until it is back.`,
  },
  store_back: {
    level: "info",
    /** `ms` is how long it was away. */
    text: ({ ms }: { readonly ms: number }): string =>
      `${green("The message log is back,")} after ${(ms / 1000).toFixed(1)} s.`,
  },
  store_endangered: {
    level: "warning",
    text: ({ reason }: Problem): string => yellow(reason),
  },
  certificate_expired: {
    level: "warning",
    text: ({ expires }: CertificateDate): string =>
      `${yellow("Expired:")} the certificate, on ${toDay(expires)}. Browsers warn of it; ` +
      "put a new one in its place and send a SIGHUP.",
  },
  certificate_renewed: {
    level: "info",
    text: ({ expires }: CertificateDate): string =>
      `New connections get the new certificate, which is good until ${toDay(expires)}.`,
  },
  certificate_unusable: {
    level: "error",
    text: ({ reason }: Problem): string =>
      `${red("Cannot renew the certificate:")} ${reason}. The old one stays in use.`,
  },
  lines_lost: {
    level: "warning",
    text: ({ lines }: { readonly lines: number }): string =>
      `(lines that could not be printed: ${lines})`,
  },
} satisfies Record<string, Kind>;

type Kinds = typeof KINDS;

/** What is reported: the name of an event, and its own members. */
export type ServerEvent = {
  [Name in keyof Kinds]: { readonly event: Name } & Parameters<Kinds[Name]["text"]>[0];
}[keyof Kinds];

/** An event of a failure within the program. */
export type FailureName = "request_failed" | "unexpected_error";

/** What an event has in common with others of its name. */
export function kindOf({ event }: ServerEvent): Kind {
  return KINDS[event];
}

/** The sentence for people, in colour where colours are on; its lines are for one event. */
export function textOf(event: ServerEvent): string {
  return kindOf(event).text(event as never);
}

/** The event of an answer. */
export function answered(
  request: Request,
  response: Response,
  tookMs: number,
  address: string,
): ServerEvent {
  return {
    event: "request",
    method: shorten(request.method),
    path: shorten(URL.parse(request.url)?.pathname ?? "?"),
    status: response.status,
    ms: Math.round(tookMs * 10) / 10,
    address,
  };
}

/** The event of variables that have no effect, since no setting has their names. */
export function variablesIgnored(names: readonly string[]): ServerEvent {
  return { event: "variables_ignored", variables: names.map(shorten) };
}

/** The event of a start that an error prevented, whose message names the setting to change. */
export function startFailed(error: unknown): ServerEvent {
  const { message } = error instanceof Error ? error : new Error(String(error));
  const reason = error instanceof Deno.errors.NotCapable
    ? `a permission is missing; use deno task start, which grants what is needed (${message})`
    : message;
  return { event: "start_failed", reason };
}

/** Where to go, who can, and where messages are; the first line says where to go. */
function whereItIs({ url, urls, hostname, log, open }: Listening): string {
  const link = (address: string) => bold(cyan(address));
  return [
    `The chat is at ${link(url)}`,
    ...urls.map((other) => `On your network: ${link(other)}`),
    ...isLoopback(hostname)
      ? [dim("Only this machine can reach it; --hostname 0.0.0.0 lets others in.")]
      : open
      ? [dim("Whoever reaches it reads and writes; --password asks them for one.")]
      : [],
    dim(
      log === "memory:"
        ? "Messages are kept in memory and end with the server."
        : `Messages are kept in ${log.replace(/^sqlite:/, "")}.`,
    ),
  ].join("\n");
}

function whoIsRefused({ requests, addresses, others, reasons }: Refused): string {
  const most = addresses.map((one) =>
    one.requests === requests ? one.address : `${one.address} (${one.requests})`
  );
  const more = others > 0 ? ` and ${others} more` : "";
  return yellow(
    `${requests === 1 ? "1 request" : `${requests} requests`} refused, from ` +
      `${most.join(", ")}${more}: ${reasons.join(", ")}`,
  );
}

function whatFailed(what: string, { error, unreported }: Failure): string {
  const others = unreported ? ` (failures since the last line: ${unreported})` : "";
  return `${red(`${what}${others}:`)} ${error}`;
}

function toDay(time: string): string {
  return time.slice(0, 10);
}

/** Enough of a text to recognise it. */
function shorten(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
}
