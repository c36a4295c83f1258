/**
 * Every setting of the server, once: its flag, its environment variable, its
 * default, the values it takes and its line in `--help`. {@linkcode parseConfig}
 * turns arguments and environment into one typed {@linkcode Config}; nothing
 * else looks at flags or variables, and no value is checked twice.
 */

import { parseArgs } from "node:util";
import { RESERVED_NAMES, toRoomName } from "./chat_message.ts";
import { AddressRange } from "./visitor_guard/address.ts";
import deno from "./deno.json" with { type: "json" };

/** The version of the program, as in deno.json. */
export const VERSION: string = deno.version;

/** The settings of one run, all of them valid. `--help` says what each is. */
export type Config = {
  readonly port: number;
  readonly hostname: string;
  readonly messageLog: string;
  readonly keep: number;
  readonly keepDays: number;
  readonly rooms: "any" | "none" | readonly string[];
  readonly maxRooms: number;
  readonly heartbeat: number;
  readonly rateLimit: number;
  readonly maxReaders: number;
  readonly maxReadersPerAddress: number;
  readonly trustProxy: readonly AddressRange[];
  readonly allowHost: readonly string[];
  readonly password: Password | undefined;
  readonly moderatorPassword: Password | undefined;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly allowOrigin: readonly string[];
  readonly title: string;
  readonly logFormat: "text" | "json";
  readonly verbose: boolean;
  readonly metrics: boolean;
  readonly metricsToken: string | undefined;
};

interface Setting<Value> {
  /** Its environment variable, if that is not `CHAT_` and the flag's name. */
  readonly env?: string;
  /** What follows the flag in `--help`; absent for a switch. */
  readonly placeholder?: string;
  readonly default: Value;
  /** The values it takes, in the words of an error. */
  readonly takes: string;
  /** Whether a text is repeated nowhere. @default {false} */
  isSecret?(text: string): boolean;
  readonly about: string;
  /** The parsed value, or undefined if the text is not accepted. */
  parse(text: string): Value | undefined;
}

/** Shortest password, in Unicode code points. */
const MIN_PASSWORD_LENGTH = 8;
/** No letter or digit that could be taken for another one. */
const PASSWORD_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789";

/** A password. */
export interface Password {
  readonly text: string;
  /** It was made by us, so that nobody knows it yet. */
  readonly isNew: boolean;
}

/** What the settings of a kind have in common. */
const PASSWORD = {
  placeholder: "[TEXT]",
  default: undefined,
  takes: `text of ${MIN_PASSWORD_LENGTH} to 200 characters`,
  isSecret: () => true,
  parse: toPassword,
};
const PEM_FILE = {
  placeholder: "FILE",
  default: undefined,
  takes: "the path of a PEM file",
  parse: (text: string) => text || undefined,
};

/** The settings by their name in {@linkcode Config}; `allowOrigin` is `--allow-origin`. */
const SETTINGS: { readonly [Name in keyof Config]: Setting<Config[Name]> } = {
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
    takes: "an IP address or a host name without a port",
    about: "address to listen on; 0.0.0.0 to let others in",
    parse: (text) => isHost(text) ? text : undefined,
  },
  messageLog: {
    placeholder: "URL",
    default: "sqlite:chat.db",
    takes:
      "sqlite:PATH, memory: or redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], rediss: for TLS, with " +
      "what is special in the password percent-encoded",
    about: "where messages are: sqlite:PATH, redis://HOST for many instances, memory:",
    isSecret: mayHavePassword,
    // SQLite takes a path of ":memory:" for no file at all.
    parse: (text) => /^(memory:|sqlite:[^:].*)$/.test(text) || isRedis(text) ? text : undefined,
  },
  keep: {
    placeholder: "N",
    default: 10_000,
    takes: "a whole number from 1 to 10000000",
    about: "messages that each room keeps for resume and history",
    parse: wholeNumber(1, 10_000_000),
  },
  keepDays: {
    placeholder: "DAYS",
    default: 0,
    takes: "a whole number from 0 to 36500",
    about: "days that messages are kept; 0 for any time",
    parse: wholeNumber(0, 36_500),
  },
  rooms: {
    placeholder: "NAMES",
    default: "any",
    takes:
      "any, none, or names of rooms separated by commas: each of letters, digits, - and _, and " +
      `none of ${RESERVED_NAMES.join(", ")}`,
    about: "rooms there are besides the main one: any, none, or names separated by commas",
    parse: roomNames,
  },
  maxRooms: {
    placeholder: "N",
    default: 100,
    takes: "a whole number from 1 to 1000000",
    about: "rooms that may have messages besides the main one and those in --rooms",
    parse: wholeNumber(1, 1_000_000),
  },
  heartbeat: {
    placeholder: "SECONDS",
    default: 15,
    takes: "a whole number from 1 to 3600",
    about: "seconds between pings",
    parse: wholeNumber(1, 3600),
  },
  rateLimit: {
    placeholder: "N",
    default: 240,
    takes: "a whole number from 0 to 1000000",
    about: "posts a minute from one address, five sixths of them at once; 0 for any number",
    parse: wholeNumber(0, 1_000_000),
  },
  maxReaders: {
    placeholder: "N",
    default: 10_000,
    takes: "a whole number from 0 to 1000000",
    about: "streams open at once; 0 for any number",
    parse: wholeNumber(0, 1_000_000),
  },
  maxReadersPerAddress: {
    placeholder: "N",
    default: 256,
    takes: "a whole number from 0 to 1000000",
    about: "streams open at once from one address; 0 for any number",
    parse: wholeNumber(0, 1_000_000),
  },
  trustProxy: {
    placeholder: "RANGE",
    default: [],
    takes: "addresses or ranges such as 10.0.0.0/8, separated by commas",
    about: "a proxy whose X-Forwarded-For is believed; repeatable",
    parse: addressRanges,
  },
  allowHost: {
    placeholder: "NAME",
    default: [],
    takes: "host names without a port, separated by commas, or *",
    about: "another name that the server is reached by, * for any; repeatable",
    parse: hostNames,
  },
  password: {
    ...PASSWORD,
    about: "asked of everybody, at least 8 characters; without a value one is made",
  },
  moderatorPassword: {
    ...PASSWORD,
    about: "makes a moderator of whoever knows it; at a terminal one is made",
  },
  tlsCert: { ...PEM_FILE, about: "certificate for HTTPS, with its chain, as PEM" },
  tlsKey: { ...PEM_FILE, about: "the certificate's private key, as PEM" },
  allowOrigin: {
    placeholder: "ORIGIN",
    default: [],
    takes: "origins such as https://example.com, separated by commas",
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
  logFormat: {
    placeholder: "FORMAT",
    default: "text" as const,
    takes: "text or json",
    about: "what is printed: text for people, json for programs",
    parse: (text) => text === "text" || text === "json" ? text : undefined,
  },
  verbose: {
    default: false,
    takes: "true or false",
    about: "log every request (never the text of messages)",
    parse: trueOrFalse,
  },
  metrics: {
    default: false,
    takes: "true or false",
    about: "count what happens, and show it to Prometheus at /metrics",
    parse: trueOrFalse,
  },
  metricsToken: {
    placeholder: "TEXT",
    default: undefined,
    takes: "text of 8 to 200 ASCII characters without spaces",
    about: "what other machines have to send for /metrics, at least 8 characters",
    isSecret: () => true,
    parse: (text) => /^[!-~]{8,200}$/.test(text) ? text : undefined,
  },
};

/** What all instances of one chat must have alike. */
const SHARED = [
  "keep",
  "keepDays",
  "rooms",
  "maxRooms",
  "password",
  "moderatorPassword",
  "title",
] as const;

/** A setting that can't be used; its message is the one line to print. */
export class ConfigError extends RangeError {
  override readonly name = "ConfigError";
}

/** The flags as `parseArgs()` wants them. */
const OPTIONS: Record<string, { type: "string" | "boolean" }> = {
  help: { type: "boolean" },
  version: { type: "boolean" },
  ...Object.fromEntries(
    settings().map(([name, { placeholder }]) =>
      [flagName(name).slice(2), { type: placeholder ? "string" : "boolean" }] as const
    ),
  ),
};

/** What `--help` prints. */
export const HELP: string = helpText();

/** What to print instead of starting, if `--help` or `--version` is among the arguments. */
export function readInfo(args: readonly string[]): string | undefined {
  const flags = tokens(args).map((token) => token.kind === "option" && token.rawName);
  return flags.includes("--help") ? HELP : flags.includes("--version") ? VERSION : undefined;
}

/** The format of what is printed, as far as that can be known where other settings can't be used. */
export function readLogFormat(
  args: readonly string[],
  env: (name: string) => string | undefined,
): "text" | "json" {
  const { parse, default: otherwise } = SETTINGS.logFormat;
  const flag = tokens(args).findLast((token) =>
    token.kind === "option" && token.rawName === flagName("logFormat")
  );
  const text = flag?.kind === "option" ? flag.value : env(envName("logFormat"));
  return parse(text?.trim() ?? "") ?? otherwise;
}

/**
 * Reads the settings: a flag wins over its variable, a variable over the default.
 * An empty variable is ignored. If a flag is repeated the last one wins; list
 * flags accumulate.
 *
 * @param args What follows the program's name on the command line.
 * @param env Looks up an environment variable.
 * @throws {ConfigError} For an unknown flag or argument, for a value that a setting does
 * not take, and for one that lacks another which it needs.
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
    const variable = env(envName(name))?.trim();
    return variable ? readValue(envName(name), variable, setting) : setting.default;
  };
  const config = Object.fromEntries(
    settings().map(([name, setting]) => [name, read(name, setting)]),
  ) as Config;
  if (config.password && config.password.text === config.moderatorPassword?.text) {
    throw new ConfigError("--moderator-password must not be the --password; choose another one");
  }
  checkTls(config);
  if (config.metricsToken && !config.metrics) {
    throw new ConfigError(
      "--metrics is missing; --metrics-token needs it, to have something to show",
    );
  }
  return config;
}

/** What all instances of one chat must have alike: each setting by its flag, as text. */
export function sharedSettings(
  config: Pick<Config, typeof SHARED[number]>,
): Record<string, string> {
  return Object.fromEntries(SHARED.map((name) => {
    const value = config[name];
    const text = value === undefined
      ? ""
      : typeof value !== "object"
      ? String(value)
      : "text" in value
      ? value.text
      : value.toSorted().join();
    return [flagName(name), text];
  }));
}

/**
 * The settings with a password for moderators, which one is made of where somebody is at a terminal to be
 * given it. Instances that share their messages would each make another one.
 */
export function withModerator(config: Config, isAtTerminal: boolean): Config {
  const { moderatorPassword, messageLog } = config;
  if (moderatorPassword || !isAtTerminal || messageLog.startsWith("redis")) return config;
  return { ...config, moderatorPassword: newPassword() };
}

/**
 * Refuses to make passwords where what is printed is kept for others to read.
 *
 * @throws {ConfigError} If one was made.
 */
export function refuseNewPasswords(config: Config): void {
  for (const name of ["password", "moderatorPassword"] as const) {
    if (!config[name]?.isNew) continue;
    throw new ConfigError(
      `${flagName(name)} without a value makes one and prints it, and a log must not have it; ` +
        `give one of ${MIN_PASSWORD_LENGTH} to 200 characters in ${envName(name)}`,
    );
  }
}

/** The names among these that look like variables of the chat but are not: a misspelt one, say. */
export function unknownVariables(names: readonly string[]): string[] {
  const known = settings().map(([name]) => envName(name));
  return names.filter((name) => name.startsWith("CHAT_") && !known.includes(name));
}

/** The flags on the command line with their texts: `--port` to `8080`. */
function readFlags(args: readonly string[]): Map<string, string> {
  const given = new Map<string, string>();
  for (const token of tokens(args)) {
    if (token.kind === "positional") {
      throw new ConfigError(unknownArgument(token.value, given));
    }
    if (token.kind !== "option") continue;
    const flag = token.rawName;
    if (!Object.hasOwn(OPTIONS, token.name) || !flag.startsWith("--")) {
      throw new ConfigError(`unknown flag ${flag}; --help lists the flags`);
    }
    const before = given.get(flag);
    const value = token.value ?? (OPTIONS[token.name].type === "boolean" ? "true" : "");
    given.set(flag, before !== undefined && isList(flag) ? `${before},${value}` : value);
  }
  return given;
}

/** What is wrong with text that belongs to no flag: it may be the rest of a password. */
function unknownArgument(text: string, given: ReadonlyMap<string, string>): string {
  for (const [name, { isSecret }] of settings()) {
    const flag = flagName(name);
    const value = given.get(flag);
    if (value === undefined || !isSecret?.(value)) continue;
    return `unknown argument; put what belongs to ${flag} in quotes if it has spaces`;
  }
  const received = mayHavePassword(text) ? "" : ` "${text}"`;
  return `unknown argument${received}; settings are flags, and --help lists them`;
}

function tokens(given: readonly string[]) {
  // npm users write `--` before the flags; taken literally it would make them all positional.
  const args = given.filter((arg) => arg !== "--");
  return parseArgs({
    // A flag that may have no value has none where another flag follows.
    args: args.map((arg, index) =>
      mayStandAlone(arg) && (args[index + 1] ?? "--").startsWith("--") ? `${arg}=` : arg
    ),
    options: OPTIONS,
    strict: false,
    tokens: true,
  }).tokens;
}

function readValue<Value>(source: string, text: string, setting: Setting<Value>): Value {
  const value = setting.parse(text.trim());
  if (value !== undefined) return value;
  const received = setting.isSecret?.(text) ? "" : `, received "${text}"`;
  throw new ConfigError(`${source} must be ${setting.takes}${received}`);
}

function checkTls({ tlsCert, tlsKey }: Config): void {
  if (tlsCert && !tlsKey) {
    throw new ConfigError("--tls-key is missing; --tls-cert needs it, for the private key");
  }
  if (tlsKey && !tlsCert) {
    throw new ConfigError("--tls-cert is missing; --tls-key needs it, for the certificate");
  }
}

function settings(): [string, Setting<unknown>][] {
  return Object.entries(SETTINGS);
}

function mayStandAlone(flag: string): boolean {
  return settings().some(([name, { placeholder }]) =>
    flagName(name) === flag && placeholder?.startsWith("[")
  );
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
    ["string", "number"].includes(typeof value) ? `${about} (${value})` : about,
  ]);
  rows.push(["--help", "", "print this and stop"], ["--version", "", "print the version and stop"]);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column].length)));
  return [
    "A chat over server-sent events.",
    "",
    "Usage: deno task start [flags]",
    "",
    "Each setting is a flag or an environment variable; the flag wins.",
    "",
    ...rows.map(([flag, variable, about]) =>
      `  ${flag.padEnd(widths[0])}  ${variable.padEnd(widths[1])}  ${about}`
    ),
  ].join("\n");
}

/** A password that nobody guesses: 59 random bits, in groups that are easy to copy. */
function newPassword(): Password {
  const letters = Array.from({ length: 12 }, () => {
    // Multiples of its length alone are spread evenly over the alphabet.
    const limit = 256 - 256 % PASSWORD_ALPHABET.length;
    let byte;
    do [byte] = crypto.getRandomValues(new Uint8Array(1)); while (byte >= limit);
    return PASSWORD_ALPHABET[byte % PASSWORD_ALPHABET.length];
  });
  return { text: letters.join("").replace(/....(?=.)/g, "$&-"), isNew: true };
}

function toPassword(given: string): Password | undefined {
  if (given === "") return newPassword();
  // What looks the same is the same, whatever keyboard it comes from.
  const text = given.normalize("NFC");
  const { length } = [...text];
  return length >= MIN_PASSWORD_LENGTH && length <= 200 ? { text, isNew: false } : undefined;
}

function wholeNumber(min: number, max: number): (text: string) => number | undefined {
  return (text) => {
    const value = Number(text);
    return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined;
  };
}

/** Whether it is an IPv6 address, with or without a zone, or a host that a URL keeps as it is. */
function isHost(text: string): boolean {
  if (!text.includes(":")) return URL.parse(`http://${text}`)?.hostname === text.toLowerCase();
  const [, address] = /^([\da-f:.]+)(?:%[\w.-]+)?$/i.exec(text) ?? [];
  return address !== undefined && URL.canParse(`http://[${address}]`);
}

/** Whether it names a Redis, and nothing but that. */
function isRedis(text: string): boolean {
  const parts =
    /^rediss?:\/\/(?:([^\s:@/?#[\]]*):([^\s@/?#[\]]+)@)?(?:\[([^\]]*)\]|([^:@/?#[\]]+))(?::(\d+))?(?:\/\d{1,9})?$/
      .exec(text);
  if (!parts) return false;
  const [, user = "", password = "", ipv6, host, port = "1"] = parts;
  return isHost(ipv6 ?? host) && (ipv6 === undefined || ipv6.includes(":")) &&
    wholeNumber(1, 65_535)(port) !== undefined && isPercentEncoded(user + password);
}

function isPercentEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return false;
  }
}

/** Whether a text may be a URL with a password in it, well-formed or not. */
function mayHavePassword(text: string): boolean {
  return /redis|@|\/\//i.test(text);
}

function trueOrFalse(text: string): boolean | undefined {
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
}

function roomNames(text: string): "any" | "none" | readonly string[] | undefined {
  if (text === "any" || text === "none") return text;
  const names = new Set<string>();
  for (const item of text.split(",")) {
    const name = toRoomName(item.trim());
    if (name === undefined || name === "any" || name === "none") return undefined;
    names.add(name);
  }
  return [...names];
}

function addressRanges(text: string): readonly AddressRange[] | undefined {
  const ranges = text.split(",").map((item) => AddressRange.parse(item.trim()));
  return ranges.every((range) => range !== undefined) ? ranges : undefined;
}

function hostNames(text: string): readonly string[] | undefined {
  const names = text.split(",").map((item) => item.trim());
  return names.every((name) => name === "*" || isHost(name)) ? names : undefined;
}

function origins(text: string): readonly string[] | undefined {
  const list = text.split(",").map((item) => item.trim());
  return list.every((item) => URL.parse(item)?.origin === item) ? list : undefined;
}
