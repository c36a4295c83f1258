/**
 * Where the program writes, all of it: to people, to systemd's journal or to programs, each event in the
 * one style that its stream has. {@linkcode Terminal} is the one way there: printing never throws and
 * never waits, whatever standard output and standard error are connected to.
 */

import { dim, setColorEnabled } from "@std/fmt/colors";
import { fstatSync } from "node:fs";
import { type Config, readLogFormat } from "./config.ts";
import { LogUnavailableError } from "./message_log/message_log.ts";
import { type FailureName, kindOf, type Level, type ServerEvent, textOf } from "./server_events.ts";

/** Characters that wait for a stream that takes none; lines on top of that are lost. */
const MAX_WAITING = 1024 * 1024;
/** The pause before a pipe that is full, and does not let us wait, is tried again. */
const RETRY_MS = 50;
/** Failures are reported at most this often. */
const FAILURE_MS = 1000;
const NEWLINE = 10;
/** What the journal takes a line's level from (sd-daemon(3)). */
const PRIORITIES: Record<Level, string> = { error: "<3>", warning: "<4>", info: "<6>" };
/** What ends a line, steers a terminal or turns the direction of text. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

// Colours are for a person at a terminal, not for a file.
if (!Deno.stdout.isTerminal() || !Deno.stderr.isTerminal()) setColorEnabled(false);

/** Where bytes go; returns how many of them it took. */
export interface Output {
  write(bytes: Uint8Array): Promise<number>;
}

/** How an event is written: as text for people or for systemd's journal, or as a line of JSON. */
export type Style = "text" | "journal" | "json";

/** The styles of the two streams. */
export interface Styles {
  readonly output: Style;
  readonly errors: Style;
}

/**
 * Standard output and standard error: what is well goes to the one, warnings and errors to the other.
 *
 * - **Never in the way.** Printing returns at once and throws nothing. A pipe that
 *   nobody reads, a full disk or a terminal that was closed costs lines, no more.
 * - **Order.** Each of the two streams gets its lines in the order of printing.
 * - **Bounded.** At most {@linkcode MAX_WAITING} characters wait for each. Lost lines
 *   are counted, and the number is printed as soon as that is possible again.
 * - **Whole.** Nothing in an event breaks its line or steers the terminal, whoever has written it.
 */
export class Terminal {
  readonly #output: Printer;
  readonly #errors: Printer;
  #lastFailure = -Infinity;
  /** How many failures since then were not reported. */
  #unreported = 0;

  constructor(
    output: Output = Deno.stdout,
    errors: Output = Deno.stderr,
    styles: Styles = { output: "text", errors: "text" },
  ) {
    this.#output = new Printer(output, styles.output);
    this.#errors = new Printer(errors, styles.errors);
  }

  /** The terminal of the program, in the styles that its settings and systemd ask for. */
  static open(): Terminal {
    let format: Config["logFormat"] = "text";
    let journal: string | undefined;
    try {
      format = readLogFormat(Deno.args, (name) => Deno.env.get(name));
      journal = Deno.env.get("JOURNAL_STREAM");
    } catch (error) {
      // The start fails of it, and says so.
      if (!(error instanceof Deno.errors.NotCapable)) throw error;
    }
    const styleOf = (file: number) =>
      format === "text" && isStream(file, journal) ? "journal" : format;
    return new Terminal(Deno.stdout, Deno.stderr, { output: styleOf(1), errors: styleOf(2) });
  }

  /** Whether standard output is text for people, rather than a log. */
  get isForPeople(): boolean {
    return this.#output.style === "text";
  }

  /** Reports an event. */
  report(event: ServerEvent): void {
    const printer = kindOf(event).level === "info" ? this.#output : this.#errors;
    printer.print(toLines(event, printer.style));
  }

  /** Reports what failed and why, once a second; failures in between are only counted. */
  fail(event: FailureName, error: unknown): void {
    const now = performance.now();
    if (now - this.#lastFailure < FAILURE_MS) {
      this.#unreported++;
      return;
    }
    const unreported = this.#unreported || undefined;
    this.report({ event, error: inspect(error), unreported });
    this.#lastFailure = now;
    this.#unreported = 0;
  }

  /** Prints to standard output what is no event but what a person has asked for. */
  print(text: string): void {
    this.#output.print(text);
  }

  /** Resolves when everything is written, or is known to be lost. */
  async close(): Promise<void> {
    if (this.#unreported > 0) {
      this.report({ event: "failures_unreported", unreported: this.#unreported });
    }
    this.#unreported = 0;
    await Promise.all([this.#output.idle, this.#errors.idle]);
  }
}

/** One of the two streams, with the lines that wait for it. */
class Printer {
  readonly style: Style;
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

  constructor(output: Output, style: Style) {
    this.#output = output;
    this.style = style;
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
      const note = lost > 0 ? `${toLines({ event: "lines_lost", lines: lost }, this.style)}\n` : "";
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

/** An event as it is written: one line but for the start and for an error with its stack. */
function toLines(event: ServerEvent, style: Style): string {
  const { level, isAtStart } = kindOf(event);
  if (style === "json") {
    return escape(JSON.stringify({ time: new Date().toISOString(), level, ...event }));
  }
  const text = textOf(printable(event));
  if (style === "journal") return text.replaceAll(/^/gm, PRIORITIES[level]);
  return isAtStart ? text : `${dim(new Date().toTimeString().slice(0, 8))} ${text}`;
}

/** An event whose texts are safe to print: the lines of an error are set off from those of events. */
function printable(event: ServerEvent): ServerEvent {
  return JSON.parse(JSON.stringify(event), (name, value) => {
    if (typeof value !== "string") return value;
    return name === "error" ? value.split("\n").map(escape).join("\n  ") : escape(value);
  });
}

/** A text with what can't be printed as JSON has it. */
function escape(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** What went wrong, with the stack of what is a fault of the program. */
function inspect(error: unknown): string {
  return error instanceof LogUnavailableError ? reasonOf(error) : Deno.inspect(error);
}

/** Why a log is unavailable. */
export function reasonOf({ message, cause }: LogUnavailableError): string {
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

/** Whether a file is the stream that systemd has named by device and inode (systemd.exec(5)). */
function isStream(file: number, stream: string | undefined): boolean {
  if (!stream) return false;
  const { dev, ino } = fstatSync(file);
  return stream === `${dev}:${ino}`;
}
