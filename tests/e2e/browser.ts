/** A real Chromium: the one that CHROMIUM names, else the system's. */

import { type Browser, chromium } from "playwright-core";

const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A name that is not localhost, for what browsers do only there.
  "--host-resolver-rules=MAP chat.test 127.0.0.1",
];

/** Starts the browser; `await using` closes it. */
export function launchBrowser(): Promise<Browser> {
  const executablePath = Deno.env.get("CHROMIUM") || "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ARGS });
}
