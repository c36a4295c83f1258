/** What the person at the terminal reads. */

import { assertEquals, assertMatch } from "@std/assert";
import { parseConfig } from "./config.ts";
import { greeting, startError } from "./terminal.ts";

const { state } = await Deno.permissions.query({ name: "sys", kind: "networkInterfaces" });

function lines(...flags: string[]): string[] {
  return greeting(parseConfig(flags, () => undefined), 4567).split("\n");
}

Deno.test("greeting() says where to go, who can, and where messages are", () => {
  assertEquals(lines(), [
    "The chat is at http://localhost:4567",
    "Only this machine can reach it; --hostname 0.0.0.0 lets others in.",
    "Messages are kept in chat.db. Ctrl+C stops it.",
  ]);
  assertEquals(lines("--hostname", "fe80::1", "--message-log", "memory:"), [
    "The chat is at http://[fe80::1]:4567",
    "Messages are kept in memory and end with the server. Ctrl+C stops it.",
  ]);
});

Deno.test("greeting() gives the addresses for others where all may come", {
  ignore: state !== "granted",
}, () => {
  const [first, ...rest] = lines("--hostname", "0.0.0.0");
  assertEquals(first, "The chat is at http://localhost:4567");
  for (const line of rest.slice(0, -1)) assertMatch(line, /^For others: http:\/\/[\d.]+:4567$/);
});

Deno.test("startError() is one line that names the setting", () => {
  const config = parseConfig(["--port", "80"], () => undefined);
  const cases: [error: Error, setting: RegExp][] = [
    [new Deno.errors.AddrInUse(), /port 80 is in use.*--port$/],
    [new Deno.errors.PermissionDenied(), /port 80 is not allowed.*--port$/],
    [new Deno.errors.AddrNotAvailable(), /no address "127\.0\.0\.1".*--hostname$/],
    [new Error("failed to lookup address information"), /--hostname$/],
  ];
  for (const [error, setting] of cases) assertMatch(startError(error, config), setting);
});
