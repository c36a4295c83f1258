/**
 * What the person at the terminal reads. {@linkcode Terminal} is the one way to
 * it: printing never throws and never waits, whatever standard output and
 * standard error are connected to. The functions make the texts.
 */

import {
  bgBlack,
  bold,
  brightWhite,
  cyan,
  dim,
  green,
  red,
  setColorEnabled,
  yellow,
} from "@std/fmt/colors";
import type { Certificate } from "./certificate.ts";
import type { Config } from "./config.ts";
import { LogUnavailableError } from "./message_log/message_log.ts";
import { isLoopback } from "./server.ts";

/** Characters that wait for a stream that takes none; lines on top of that are lost. */
const MAX_WAITING = 1024 * 1024;
/** The pause before a pipe that is full, and does not let us wait, is tried again. */
const RETRY_MS = 50;
/** Failures are reported at most this often. */
const FAILURE_MS = 1000;
/** The longest part of a request that is printed. */
const MAX_LENGTH = 100;
const NEWLINE = 10;

// Colours are for a person at a terminal, not for a file.
if (!Deno.stdout.isTerminal() || !Deno.stderr.isTerminal()) setColorEnabled(false);

/** Where bytes go; returns how many of them it took. */
export interface Output {
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * Standard output and standard error.
 *
 * - **Never in the way.** Printing returns at once and throws nothing. A pipe that
 *   nobody reads, a full disk or a terminal that was closed costs lines, no more.
 * - **Order.** Each of the two streams gets its lines in the order of printing.
 * - **Bounded.** At most {@linkcode MAX_WAITING} characters wait for each. Lost lines
 *   are counted, and the number is printed as soon as that is possible again.
 */
export class Terminal {
  readonly #output: Printer;
  readonly #errors: Printer;
  #lastFailure = -Infinity;
  /** How many failures since then were not printed. */
  #unreported = 0;

  constructor(output: Output = Deno.stdout, errors: Output = Deno.stderr) {
    this.#output = new Printer(output);
    this.#errors = new Printer(errors);
  }

  /** Prints to standard output. */
  print(text: string): void {
    this.#output.print(text);
  }

  /** Prints to standard error. */
  warn(text: string): void {
    this.#errors.print(text);
  }

  /** Prints what is refused, or what makes it so. */
  refused(text: string): void {
    this.warn(`${time()} ${yellow(text)}`);
  }

  /** Prints what failed and why, once a second; failures in between are only counted. */
  fail(what: string, error: unknown): void {
    const now = performance.now();
    if (now - this.#lastFailure < FAILURE_MS) {
      this.#unreported++;
      return;
    }
    const others = this.#unreported > 0
      ? ` (failures since the last line: ${this.#unreported})`
      : "";
    this.warn(`${time()} ${red(`${what}${others}:`)} ${reason(error)}`);
    this.#lastFailure = now;
    this.#unreported = 0;
  }

  /** Resolves when everything is written, or is known to be lost. */
  async close(): Promise<void> {
    if (this.#unreported > 0) {
      this.warn(`${time()} Failures since the last line: ${this.#unreported}`);
    }
    this.#unreported = 0;
    await Promise.all([this.#output.idle, this.#errors.idle]);
  }
}

/** One of the two streams, with the lines that wait for it. */
class Printer {
  readonly #output: Output;
  readonly #encoder = new TextEncoder();
  #waiting = "";
  /** How many characters are being written. */
  #leaving = 0;
  /** How many lines are lost since the last that was written. */
  #lost = 0;
  /** Whether the last line that was written broke off. */
  #isCut = false;
  #idle: Promise<void> | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Settles when nothing waits any longer. */
  get idle(): Promise<void> {
    return this.#idle ?? Promise.resolve();
  }

  print(text: string): void {
    const size = this.#leaving + this.#waiting.length;
    if (size > 0 && size + text.length > MAX_WAITING) this.#lost += countLines(`${text}\n`);
    else this.#waiting += `${text}\n`;
    this.#idle ??= this.#write();
  }

  async #write(): Promise<void> {
    let isWritten = true;
    while (this.#waiting !== "" || (isWritten && this.#lost > 0)) {
      const lost = this.#lost;
      const note = lost > 0 ? `(lines that could not be printed: ${lost})\n` : "";
      const text = this.#waiting;
      this.#leaving = text.length;
      this.#waiting = "";
      this.#lost = 0;
      const rest = await this.#writeAll(`${this.#isCut ? "\n" : ""}${text}${note}`);
      this.#leaving = 0;
      isWritten = rest === "";
      if (isWritten) continue;
      this.#lost += lost + Math.min(countLines(rest) - countLines(note), countLines(text));
    }
    this.#idle = undefined;
  }

  /** Writes as much as can be written; returns the rest. */
  async #writeAll(text: string): Promise<string> {
    let bytes = this.#encoder.encode(text);
    while (bytes.length > 0) {
      try {
        const count = await this.#output.write(bytes);
        if (count === 0) break;
        this.#isCut = bytes[count - 1] !== NEWLINE;
        bytes = bytes.subarray(count);
      } catch (error) {
        // A pipe that whoever started us made non-blocking is full for now. Any other error is
        // final: a full disk, a pipe without a reader, a terminal that was closed.
        if (!(error instanceof Deno.errors.WouldBlock)) break;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    return new TextDecoder().decode(bytes);
  }
}

function countLines(text: string): number {
  return text.split("\n").length - 1;
}

/**
 * What is printed once the server listens; the first line says where to go. `hosts` are those by
 * which others reach it: for a person at a terminal the first comes as a QR code too.
 */
export async function greeting(
  { hostname, messageLog, tlsCert, password, moderatorPassword }: Config,
  port: number,
  hosts: readonly string[],
): Promise<string> {
  const isElsewhere = hosts.includes(hostname);
  const scheme = tlsCert ? "https" : "http";
  const addressOf = (host: string) =>
    `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const link = (host: string) => bold(cyan(addressOf(host)));
  const lines = [`The chat is at ${link(isElsewhere ? hostname : "localhost")}`];
  if (!isElsewhere) lines.push(...hosts.map((host) => `On your network: ${link(host)}`));
  if (isLoopback(hostname)) {
    lines.push(dim("Only this machine can reach it; --hostname 0.0.0.0 lets others in."));
  } else if (hosts.length > 0 && Deno.stdout.isTerminal()) {
    const { renderUnicodeCompact } = await import("uqr");
    const code = renderUnicodeCompact(addressOf(hosts[0]), { border: 2 });
    lines.push(...code.split("\n").map((row) => bgBlack(brightWhite(row))));
  }
  if (!password && !isLoopback(hostname)) {
    lines.push(dim("Whoever reaches it reads and writes; --password asks them for one."));
  }
  if (password?.isNew) lines.push(`Password: ${bold(password.text)}`);
  if (moderatorPassword?.isNew) {
    const where = addressOf(isElsewhere ? hostname : "localhost");
    lines.push(
      `Moderator's password: ${bold(moderatorPassword.text)} (sign in at ${where}/session)`,
    );
  }
  const kept = messageLog === "memory:"
    ? "Messages are kept in memory and end with the server."
    : `Messages are kept in ${messageLog.replace(/^sqlite:|(?<=^rediss?:\/\/).*@/, "")}.`;
  return [...lines, dim(`${kept} Ctrl+C stops it.`)].join("\n");
}

/** That variables have no effect, since no setting has their names. */
export function ignoredVariables(names: readonly string[]): string {
  return `${yellow("Ignored:")} ${names.map(shorten).join(", ")}. ` +
    "No setting has such a variable; --help lists those that count.";
}

/** A request and its response on one line. The path alone: a query may hold what someone wrote. */
export function requestLine(
  request: Request,
  response: Response,
  tookMs: number,
  address = "unknown",
): string {
  const status = (response.status < 400 ? green : yellow)(String(response.status));
  const path = shorten(URL.parse(request.url)?.pathname ?? "?");
  const took = dim(`${tookMs.toFixed(1)} ms`);
  return `${time()} ${status} ${shorten(request.method)} ${path} ${took} ${dim(address)}`;
}

/** That no connections are accepted for the time being, and why. */
export function acceptError(reason: string): string {
  return `${time()} ${red("Cannot accept connections:")} ${reason}. ` +
    "Open streams go on, and new ones get in as soon as possible.";
}

/** That the store can't be reached any more, and why. */
export function storeAway(reason: string): string {
  return `${time()} ${red("The message log can't be reached:")} ${reason}. ` +
    "Posts are refused until it is back.";
}

/** That the store can be reached again, and after how long. */
export function storeBack(afterMs: number): string {
  return `${time()} ${green("The message log is back,")} after ${(afterMs / 1000).toFixed(1)} s.`;
}

/** That something endangers what is kept. */
export function storeWarning(text: string): string {
  return `${time()} ${yellow(text)}`;
}

/** That a certificate is out of date. */
export function certificateExpired({ expires }: Certificate): string {
  return `${yellow("Expired:")} the certificate, on ${toDay(expires)}. Browsers warn of it; ` +
    "put a new one in its place and send a SIGHUP.";
}

/** That a certificate was read again and new connections get it. */
export function certificateRenewed({ expires }: Certificate): string {
  return `${time()} New connections get the new certificate, which is good until ${
    toDay(expires)
  }.`;
}

/** Why a certificate that was read again is not used, on one line. */
export function certificateUnusable({ message }: Error): string {
  return `${time()} ${red("Cannot renew the certificate:")} ${message}. The old one stays in use.`;
}

/** Why the server does not start, on one line, with the setting to change. */
export function startError(error: unknown): string {
  const { message } = error instanceof Error ? error : new Error(String(error));
  const text = error instanceof Deno.errors.NotCapable
    ? `a permission is missing; use deno task start, which grants what is needed (${message})`
    : message;
  return `${red("Cannot start:")} ${text}`;
}

/** What went wrong. For an unavailable log the cause says enough. */
function reason(error: unknown): string {
  const { cause } = error instanceof LogUnavailableError ? error : {};
  return cause instanceof Error
    ? `${(error as Error).message}: ${cause.message}`
    : Deno.inspect(error);
}

function time(): string {
  return dim(new Date().toTimeString().slice(0, 8));
}

function toDay(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** Enough of a text to recognise it. */
function shorten(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
}
