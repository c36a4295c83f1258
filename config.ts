/**
 * Every setting of the server, once: its flag, its environment variable, its
 * default, what it takes and what `--help` says of it. {@linkcode parseConfig}
 * turns arguments and environment into one typed {@linkcode Config}; nothing
 * behind it looks at flags or variables again, and nothing checks a value twice.
 */

import { parseArgs } from "node:util";
import deno from "./deno.json" with { type: "json" };

/** The version of the program, as in deno.json. */
export const VERSION: string = deno.version;

interface Setting<Value> {
  /** Its environment variable, where that is not `CHAT_` and the flag's name. */
  readonly env?: string;
  /** What stands behind the flag in `--help`; none for a switch. */
  readonly placeholder?: string;
  readonly default: Value;
  /** The values it takes, as an error names them. */
  readonly takes: string;
  readonly about: string;
  /** Its value, or undefined if the text is none of those it takes. */
  parse(text: string): Value | undefined;
}

/** The settings by their name in {@linkcode Config}; `allowOrigin` is `--allow-origin`. */
const SETTINGS = {
  port: {
    env: "PORT",
    placeholder: "N",
    default: 4567,
    takes: "a whole number from 0 to 65535",
    about: "port to listen on; 0 for any free one",
    parse: wholeNumber(0, 65_535),
  },
  hostname: {
    placeholder: "ADDRESS",
    default: "127.0.0.1",
    takes: "an IP address or a host name",
    about: "address to listen on; 0.0.0.0 to let others in",
    parse: (text) => /^[\w.:%-]+$/.test(text) ? text : undefined,
  },
  messageLog: {
    placeholder: "URL",
    default: "sqlite:chat.db",
    takes: "sqlite:PATH or memory:",
    about: "where messages are kept: sqlite:PATH, or memory: for not on disk",
    parse: (text) => /^(memory:|sqlite:.+)$/.test(text) ? text : undefined,
  },
  keep: {
    placeholder: "N",
    default: 10_000,
    takes: "a whole number from 1 to 10000000",
    about: "messages kept for resume and history",
    parse: wholeNumber(1, 10_000_000),
  },
  maxBuffer: {
    placeholder: "BYTES",
    default: 1024 * 1024,
    takes: "a number of bytes from 65536 to 1073741824",
    about: "bytes waiting for one reader before its stream is ended",
    parse: wholeNumber(64 * 1024, 1024 ** 3),
  },
  heartbeat: {
    placeholder: "SECONDS",
    default: 15,
    takes: "a whole number from 1 to 3600",
    about: "seconds between pings",
    parse: wholeNumber(1, 3600),
  },
  allowOrigin: {
    placeholder: "ORIGIN",
    default: [],
    takes: "origins such as https://example.com, with a comma between two",
    about: "another origin whose pages may read and post; repeatable",
    parse: origins,
  },
  title: {
    placeholder: "TEXT",
    default: "Simple Chat",
    takes: "text of 1 to 80 characters",
    about: "the page's heading and title",
    parse: (text) => text !== "" && [...text].length <= 80 ? text : undefined,
  },
  verbose: {
    default: false,
    takes: "true or false",
    about: "log every request (never the text of messages)",
    parse: trueOrFalse,
  },
} satisfies { [name: string]: Setting<unknown> };

type Settings = typeof SETTINGS;

/** The settings of one run, all of them valid. */
export type Config =
  & {
    readonly [Name in keyof Settings]: NonNullable<
      ReturnType<Settings[Name]["parse"]>
    >;
  }
  & {
    /** Print {@linkcode HELP} and do nothing else. */
    readonly help: boolean;
    /** Print {@linkcode VERSION} and do nothing else. */
    readonly version: boolean;
  };

/** A setting that can't be used; its message is the one line to print. */
export class ConfigError extends RangeError {
  override readonly name = "ConfigError";
}

/** What `--help` prints. */
export const HELP: string = helpText();

/**
 * Reads the settings: a flag counts before its variable, a variable before the
 * default. An empty variable counts as none. A flag given twice counts as last
 * given, except for lists, which add up.
 *
 * @param args What stands behind the program's name on the command line.
 * @param env Looks up an environment variable.
 * @throws {ConfigError} For an unknown flag or argument and for a value that a
 * setting does not take.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const config = parseConfig(["--port", "8080"], () => undefined);
 * assertEquals(config.port, 8080);
 * assertEquals(config.hostname, "127.0.0.1");
 * ```
 */
export function parseConfig(
  args: readonly string[],
  env: (name: string) => string | undefined,
): Config {
  const given = readFlags(args);
  const read = <Value>(name: string, setting: Setting<Value>): Value => {
    const flag = given.get(flagName(name));
    if (flag !== undefined) return readValue(flagName(name), flag, setting);
    const variable = env(envName(name));
    return variable ? readValue(envName(name), variable, setting) : setting.default;
  };
  return {
    ...Object.fromEntries(settings().map(([name, setting]) => [name, read(name, setting)])),
    help: given.has("--help"),
    version: given.has("--version"),
  } as Config;
}

/** The flags on the command line with their texts: `--port` to `8080`. */
function readFlags(args: readonly string[]): Map<string, string> {
  const options: Record<string, { type: "string" | "boolean" }> = {
    help: { type: "boolean" },
    version: { type: "boolean" },
  };
  for (const [name, { placeholder }] of settings()) {
    options[flagName(name).slice(2)] = { type: placeholder ? "string" : "boolean" };
  }
  const { tokens } = parseArgs({
    // npm's habit of a `--` before the flags would hide them all.
    args: args.filter((arg) => arg !== "--"),
    options,
    strict: false,
    tokens: true,
  });
  const given = new Map<string, string>();
  for (const token of tokens) {
    if (token.kind === "positional") {
      throw new ConfigError(
        `unknown argument "${token.value}"; settings are flags, and --help lists them`,
      );
    }
    if (token.kind !== "option") continue;
    if (!Object.hasOwn(options, token.name) || !token.rawName.startsWith("--")) {
      throw new ConfigError(`unknown flag ${token.rawName}; --help lists the flags`);
    }
    const flag = token.rawName;
    const before = given.get(flag);
    const value = token.value ?? (options[token.name].type === "boolean" ? "true" : "");
    given.set(flag, before !== undefined && isList(flag) ? `${before},${value}` : value);
  }
  return given;
}

function readValue<Value>(source: string, text: string, setting: Setting<Value>): Value {
  const value = setting.parse(text.trim());
  if (value !== undefined) return value;
  throw new ConfigError(`${source} must be ${setting.takes}, received "${text}"`);
}

function settings(): [string, Setting<unknown>][] {
  return Object.entries(SETTINGS);
}

function isList(flag: string): boolean {
  return settings().some(([name, { default: value }]) =>
    flagName(name) === flag && Array.isArray(value)
  );
}

function flagName(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function envName(name: string): string {
  const { env } = (SETTINGS as Record<string, Setting<unknown>>)[name];
  return env ?? `CHAT_${flagName(name).slice(2).replaceAll("-", "_").toUpperCase()}`;
}

function helpText(): string {
  const rows = settings().map(([name, { placeholder, about, default: value }]) => [
    placeholder ? `${flagName(name)} ${placeholder}` : flagName(name),
    envName(name),
    Array.isArray(value) || value === false ? about : `${about} (${value})`,
  ]);
  rows.push(["--help", "", "print this and stop"], ["--version", "", "print the version and stop"]);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column].length)));
  return [
    "A chat over server-sent events.",
    "",
    "Usage: deno task start [flags]",
    "",
    "Each setting is a flag or an environment variable; the flag counts first.",
    "",
    ...rows.map(([flag, variable, about]) =>
      `  ${flag.padEnd(widths[0])}  ${variable.padEnd(widths[1])}  ${about}`
    ),
  ].join("\n");
}

function wholeNumber(least: number, most: number): (text: string) => number | undefined {
  return (text) => {
    const value = Number(text);
    return /^\d+$/.test(text) && value >= least && value <= most ? value : undefined;
  };
}

function trueOrFalse(text: string): boolean | undefined {
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
}

function origins(text: string): readonly string[] | undefined {
  const list = text.split(",").map((item) => item.trim());
  return list.every((item) => URL.parse(item)?.origin === item) ? list : undefined;
}
