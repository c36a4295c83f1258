/**
 * What the person at the terminal reads: where the chat is, the requests with
 * `--verbose`, and why it can't start. Texts only; main.ts prints them.
 */

import { bold, cyan, dim, green, red, setColorEnabled, yellow } from "@std/fmt/colors";
import { type Config, ConfigError } from "./config.ts";
import { LogUnavailableError } from "./message_log/message_log.ts";

// Colours are for a person at a terminal, not for a file.
if (!Deno.stdout.isTerminal()) setColorEnabled(false);

/** What is printed once the server listens; the first line says where to go. */
export function greeting({ hostname, messageLog }: Config, port: number): string {
  const everywhere = hostname === "0.0.0.0" || hostname === "::";
  const local = everywhere || ["127.0.0.1", "::1", "localhost"].includes(hostname);
  const lines = [`The chat is at ${link(local ? "localhost" : hostname, port)}`];
  if (everywhere) {
    lines.push(...networkAddresses().map((address) => `For others: ${link(address, port)}`));
  } else if (local) {
    lines.push(dim("Only this machine can reach it; --hostname 0.0.0.0 lets others in."));
  }
  const kept = messageLog === "memory:"
    ? "Messages are kept in memory and end with the server."
    : `Messages are kept in ${messageLog.slice("sqlite:".length)}.`;
  return [...lines, dim(`${kept} Ctrl+C stops it.`)].join("\n");
}

/** That variables have no effect, since no setting has their names. */
export function ignoredVariables(names: readonly string[]): string {
  return `${yellow("Ignored:")} ${names.join(", ")}. ` +
    "No setting has such a variable; --help lists those that count.";
}

/** A request and its answer on one line. The path alone: a query may hold what someone wrote. */
export function requestLine(
  request: Request,
  response: Response,
  tookMs: number,
  address = "unknown",
): string {
  const time = new Date().toTimeString().slice(0, 8);
  const status = (response.status < 400 ? green : yellow)(String(response.status));
  const path = URL.parse(request.url)?.pathname ?? "?";
  return `${dim(time)} ${status} ${request.method} ${path} ${dim(`${tookMs.toFixed(1)} ms`)} ${
    dim(address)
  }`;
}

/** What a request failed at. Of a log that is out of reach, its reason says it all. */
export function requestError(error: unknown): string {
  const known = error instanceof LogUnavailableError ? error.cause : undefined;
  const text = known instanceof Error
    ? `${(error as Error).message}: ${known.message}`
    : Deno.inspect(error);
  return `${red("Cannot answer a request:")} ${text}`;
}

/** Why the server does not start, on one line, with the setting to change. */
export function startError(error: unknown, config?: Config): string {
  return `${red("Cannot start:")} ${reason(error, config)}`;
}

function reason(error: unknown, config?: Config): string {
  if (!(error instanceof Error)) return String(error);
  if (!config || error instanceof ConfigError) return error.message;
  const { port, hostname } = config;
  if (error instanceof Deno.errors.AddrInUse) {
    return `port ${port} is in use; stop the program that has it, or choose another with --port`;
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return `port ${port} is not allowed to this user; choose one over 1023 with --port`;
  }
  if (error instanceof Deno.errors.AddrNotAvailable || error.message.includes("lookup")) {
    return `this machine has no address "${hostname}"; give one it has with --hostname`;
  }
  return error.message;
}

function link(host: string, port: number): string {
  return bold(cyan(`http://${host.includes(":") ? `[${host}]` : host}:${port}`));
}

/** The addresses that others in the same network reach this machine at. */
function networkAddresses(): string[] {
  return Deno.networkInterfaces()
    .filter(({ family, address }) => family === "IPv4" && !address.startsWith("127."))
    .map(({ address }) => address);
}
