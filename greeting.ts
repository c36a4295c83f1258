/**
 * What is said once the server listens: the event, which goes into every log, and what only the person
 * who has started it is given.
 */

import { bgBlack, bold, brightWhite, dim } from "@std/fmt/colors";
import { type Config, VERSION } from "./config.ts";
import type { ServerEvent } from "./server_events.ts";

/** Where a server is reached. */
export interface Addresses {
  readonly url: string;
  /** By which others reach it, the best first. */
  readonly outerUrls: readonly string[];
}

/** The addresses of a server that listens; `hosts` are those by which others reach it. */
export function addressesOf(
  { hostname, tlsCert }: Config,
  port: number,
  hosts: readonly string[],
): Addresses {
  const scheme = tlsCert ? "https" : "http";
  const urlOf = (host: string) => `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  return {
    url: urlOf(hosts.includes(hostname) ? hostname : "localhost"),
    outerUrls: hosts.map(urlOf),
  };
}

/** The event. */
export function listening(
  { hostname, messageLog, password }: Config,
  { url, outerUrls }: Addresses,
): ServerEvent {
  return {
    event: "listening",
    version: VERSION,
    url,
    urls: outerUrls.includes(url) ? [] : outerUrls,
    hostname,
    log: messageLog.replace(/(?<=^rediss?:\/\/).*@/, ""),
    open: password === undefined,
  };
}

/** What only a person is given: at a terminal a code of the address, and the passwords that were made. */
export async function handout(
  { password, moderatorPassword }: Config,
  { url, outerUrls }: Addresses,
): Promise<string> {
  const lines: string[] = [];
  if (outerUrls.length > 0 && Deno.stdout.isTerminal()) {
    const { renderUnicodeCompact } = await import("uqr");
    const code = renderUnicodeCompact(outerUrls[0], { border: 2 });
    lines.push(...code.split("\n").map((row) => bgBlack(brightWhite(row))));
  }
  if (password?.isNew) lines.push(`Password: ${bold(password.text)}`);
  if (moderatorPassword?.isNew) {
    lines.push(`Moderator's password: ${bold(moderatorPassword.text)} (sign in at ${url}/session)`);
  }
  return [...lines, dim("Ctrl+C stops it.")].join("\n");
}
