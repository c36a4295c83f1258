/** What is said once the server listens. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseConfig, VERSION } from "./config.ts";
import { addressesOf, handout, listening } from "./greeting.ts";
import { outerHosts } from "./server.ts";
import { RecordedTerminal } from "./tests/recorded_terminal.ts";
import { replaced } from "./tests/replaced.ts";

const READ_AND_WRITE = "Whoever reaches it reads and writes; --password asks them for one.";
const KEPT = "Messages are kept in chat.db.";
const STOP = "Ctrl+C stops it.";

/** What is reported and given to a person who starts a chat with these flags. */
function greetingOf(flags: string[], names?: string[]) {
  const config = parseConfig(flags, () => undefined);
  const addresses = addressesOf(config, 4567, outerHosts(config.hostname, names));
  return { event: listening(config, addresses), handout: handout(config, addresses) };
}

/** The lines of both, as they are printed. */
async function greet(flags: string[], names?: string[]): Promise<string[]> {
  const { event, handout } = greetingOf(flags, names);
  const terminal = new RecordedTerminal();
  terminal.report(event);
  terminal.print(await handout);
  return (await terminal.output()).trimEnd().split("\n");
}

Deno.test("the greeting says where to go, who can, and where messages are", async () => {
  assertEquals(await greet([]), [
    "The chat is at http://localhost:4567",
    "Only this machine can reach it; --hostname 0.0.0.0 lets others in.",
    KEPT,
    STOP,
  ]);
  assertEquals(await greet(["--hostname", "fe80::1", "--message-log", "memory:"]), [
    "The chat is at http://[fe80::1]:4567",
    READ_AND_WRITE,
    "Messages are kept in memory and end with the server.",
    STOP,
  ]);
});

Deno.test("the greeting gives the addresses on the network where everybody may come", async () => {
  const addresses = [
    { family: "IPv4", address: "127.0.0.1" },
    { family: "IPv6", address: "fe80::1" },
    { family: "IPv4", address: "192.0.2.7" },
  ];
  using _interfaces = replaced(Deno, "networkInterfaces", () => addresses);
  for (const hostname of ["0.0.0.0", "::"]) {
    assertEquals(await greet(["--hostname", hostname]), [
      "The chat is at http://localhost:4567",
      "On your network: http://192.0.2.7:4567",
      READ_AND_WRITE,
      KEPT,
      STOP,
    ]);
  }
});

Deno.test("listening() has what programs want to know, and never a password", () => {
  const flags = ["--hostname=192.0.2.7", "--message-log=rediss://ann:secret@redis.example:6380/1"];
  const { event } = greetingOf([...flags, "--password=correct horse", "--moderator-password"]);
  assertEquals(event, {
    event: "listening",
    version: VERSION,
    url: "http://192.0.2.7:4567",
    urls: [],
    hostname: "192.0.2.7",
    log: "rediss://redis.example:6380/1",
    open: false,
  });
});

Deno.test("handout() has the passwords that were made, and no others", async () => {
  const lines = await greet(["--password", "--moderator-password=battery staple"]);
  assert(lines.some((line) => /^Password: [a-z2-9-]{14}$/.test(line)), lines.join("\n"));
  assert(!lines.join("\n").includes("battery"));
  const others = await greet(["--password=correct horse", "--moderator-password"]);
  assert(!others.join("\n").includes("correct"));
  const line = others.find((line) => line.startsWith("Moderator's password: "))!;
  assertMatch(line, /^[^:]+: [a-z2-9-]{14} \(sign in at http:\/\/localhost:4567\/session\)$/);
});

Deno.test("the greeting leads to HTTPS, and to the names of the certificate first", async () => {
  using _interfaces = replaced(
    Deno,
    "networkInterfaces",
    () => [{ family: "IPv4", address: "192.0.2.7" }],
  );
  const flags = ["--tls-cert=cert.pem", "--tls-key=key.pem", "--password=12345678", "--hostname"];
  const greetBy = async (hostname: string) => {
    const lines = await greet([...flags, hostname], ["localhost", "chat.example"]);
    return lines.slice(0, -2);
  };
  assertEquals(await greetBy("0.0.0.0"), [
    "The chat is at https://localhost:4567",
    "On your network: https://chat.example:4567",
    "On your network: https://192.0.2.7:4567",
  ]);
  assertEquals(await greetBy("192.0.2.7"), ["The chat is at https://192.0.2.7:4567"]);
  assertEquals((await greetBy("127.0.0.1"))[0], "The chat is at https://localhost:4567");
});

Deno.test("the greeting does without addresses that the system does not tell", async () => {
  using _interfaces = replaced(Deno, "networkInterfaces", () => {
    throw new Deno.errors.NotSupported("Address family not supported by protocol (os error 97)");
  });
  const lines = await greet(["--hostname", "0.0.0.0"]);
  assertEquals(lines, ["The chat is at http://localhost:4567", READ_AND_WRITE, KEPT, STOP]);
});

Deno.test("handout() has the address as a QR code for a person at a terminal", async () => {
  using _terminal = replaced(Deno.stdout, "isTerminal", () => true);
  const lines = (await greetingOf(["--hostname", "192.0.2.7"]).handout).split("\n");
  assertEquals(lines.pop(), STOP);
  assert(lines.length > 10 && lines.every((line) => /^[ ▀▄█]+$/.test(line)), lines.join("\n"));
  assertEquals(await greetingOf([]).handout, STOP);
});
