/** What the person at the terminal reads, and that a terminal that takes nothing harms nobody. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseConfig } from "./config.ts";
import { outerHosts } from "./server.ts";
import {
  acceptError,
  certificateExpired,
  certificateRenewed,
  certificateUnusable,
  greeting,
  requestLine,
  startError,
  storeAway,
  storeBack,
  storeWarning,
  Terminal,
} from "./terminal.ts";
import { RecordedTerminal } from "./tests/recorded_terminal.ts";

/** An output that takes bytes only when the test says so. */
class SlowOutput {
  text = "";
  #take: ((error?: Error) => void) | undefined;

  write(bytes: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#take = (error) => {
      if (error) return reject(error);
      this.text += new TextDecoder().decode(bytes);
      resolve(bytes.length);
    };
    return promise;
  }

  /** Takes what it was given, or fails to. */
  async take(error?: Error): Promise<void> {
    this.#take!(error);
    this.#take = undefined;
    // The next write follows in a microtask.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

Deno.test("Terminal.print() keeps the order of lines, however slowly they are taken", async () => {
  const output = new SlowOutput();
  const terminal = new Terminal(output);
  terminal.print("one");
  terminal.print("two");
  terminal.print("three");
  await output.take();
  terminal.print("four");
  await output.take();
  await output.take();
  await terminal.close();
  assertEquals(output.text, "one\ntwo\nthree\nfour\n");
});

Deno.test("Terminal.print() keeps a megabyte at most and says how many lines it lost", async () => {
  const output = new SlowOutput();
  const terminal = new Terminal(output);
  const line = "x".repeat(1023);
  for (let n = 0; n < 3000; n++) terminal.print(line);
  await output.take();
  await output.take();
  await terminal.close();
  assertEquals(output.text.split("\n").filter((text) => text === line).length, 1024);
  assert(output.text.endsWith(`${line}\n(lines that could not be printed: 1976)\n`));
});

Deno.test("Terminal.print() survives a disk that is full, and goes on when there is room", async () => {
  const output = new SlowOutput();
  const terminal = new Terminal(output);
  const full = new Error("No space left on device (os error 28)");
  for (const text of ["one", "two", "three\nfour"]) {
    terminal.print(text);
    await output.take(full);
  }
  terminal.print("five");
  await output.take();
  assertEquals(output.text, "five\n(lines that could not be printed: 4)\n");
});

Deno.test("Terminal.print() ends a line that broke off before the next", async () => {
  let text = "";
  let room = 6;
  const terminal = new Terminal({
    write(bytes) {
      if (room === 0) return Promise.reject(new Error("No space left on device"));
      const taken = bytes.subarray(0, room);
      text += new TextDecoder().decode(taken);
      room -= taken.length;
      return Promise.resolve(taken.length);
    },
  });
  terminal.print("one");
  terminal.print("two");
  await terminal.close();
  assertEquals(text, "one\ntw");
  room = 100;
  terminal.print("three");
  await terminal.close();
  assertEquals(text, "one\ntw\nthree\n(lines that could not be printed: 1)\n");
});

Deno.test("Terminal.print() waits for a full pipe that does not make it wait", async () => {
  let text = "";
  let isFull = true;
  const terminal = new Terminal({
    write(bytes) {
      if (isFull) {
        isFull = false;
        return Promise.reject(new Deno.errors.WouldBlock());
      }
      text += new TextDecoder().decode(bytes);
      return Promise.resolve(bytes.length);
    },
  });
  terminal.print("one");
  terminal.print("two");
  await terminal.close();
  assertEquals(text, "one\ntwo\n");
});

Deno.test("Terminal.fail() prints one failure a second, and how many there were", async () => {
  let now = 5000;
  using _clock = replaced(performance, "now", () => now);
  const terminal = new RecordedTerminal();
  for (let n = 0; n < 100; n++) terminal.fail("Cannot do it", new Error(`reason ${n}`));
  now += 1000;
  terminal.fail("Cannot do it", new Error("reason 100"));
  terminal.fail("Cannot do it", new Error("reason 101"));
  const lines = (await terminal.errors()).split("\n").filter((line) => /^\d\d:/.test(line))
    .map((line) => line.slice("00:00:00 ".length));
  assertEquals(lines, [
    "Cannot do it: Error: reason 0",
    "Cannot do it (failures since the last line: 99): Error: reason 100",
    "Failures since the last line: 1",
  ]);
});

/** Replaces a method until it is disposed of. */
function replaced<Name extends string>(
  object: Record<Name, unknown>,
  name: Name,
  method: (...args: never[]) => unknown,
): Disposable {
  const original = object[name];
  object[name] = method;
  return { [Symbol.dispose]: () => void (object[name] = original) };
}

async function greet(...flags: string[]): Promise<string[]> {
  const config = parseConfig(flags, () => undefined);
  return (await greeting(config, 4567, outerHosts(config.hostname))).split("\n");
}

Deno.test("greeting() says where to go, who can, and where messages are", async () => {
  assertEquals(await greet(), [
    "The chat is at http://localhost:4567",
    "Only this machine can reach it; --hostname 0.0.0.0 lets others in.",
    "Messages are kept in chat.db. Ctrl+C stops it.",
  ]);
  const redis = await greet("--message-log", "rediss://ann:secret@redis.example:6380/1");
  assertEquals(
    redis.at(-1),
    "Messages are kept in rediss://redis.example:6380/1. Ctrl+C stops it.",
  );
  assert(!redis.join("\n").includes("secret"));
  assertEquals(await greet("--hostname", "fe80::1", "--message-log", "memory:"), [
    "The chat is at http://[fe80::1]:4567",
    "Whoever reaches it reads and writes; --password asks them for one.",
    "Messages are kept in memory and end with the server. Ctrl+C stops it.",
  ]);
});

Deno.test("greeting() gives the addresses on the network where everybody may come", async () => {
  const addresses = [
    { family: "IPv4", address: "127.0.0.1" },
    { family: "IPv6", address: "fe80::1" },
    { family: "IPv4", address: "192.0.2.7" },
  ];
  using _interfaces = replaced(Deno, "networkInterfaces", () => addresses);
  for (const hostname of ["0.0.0.0", "::"]) {
    assertEquals((await greet("--hostname", hostname)).slice(0, -2), [
      "The chat is at http://localhost:4567",
      "On your network: http://192.0.2.7:4567",
    ]);
  }
});

Deno.test("greeting() has the passwords that were made, and no others", async () => {
  const lines = await greet("--password", "--moderator-password=battery staple");
  assert(lines.some((line) => /^Password: [a-z2-9-]{14}$/.test(line)), lines.join("\n"));
  assert(!lines.join("\n").includes("battery"));
  const others = await greet("--password=correct horse", "--moderator-password");
  assert(!others.join("\n").includes("correct"));
  const line = others.find((line) => line.startsWith("Moderator's password: "))!;
  assertMatch(line, /^[^:]+: [a-z2-9-]{14} \(sign in at http:\/\/localhost:4567\/session\)$/);
});

Deno.test("greeting() leads to HTTPS, and to the names of the certificate first", async () => {
  using _interfaces = replaced(
    Deno,
    "networkInterfaces",
    () => [{ family: "IPv4", address: "192.0.2.7" }],
  );
  const flags = ["--tls-cert=cert.pem", "--tls-key=key.pem", "--password=12345678", "--hostname"];
  const greetBy = async (hostname: string) => {
    const config = parseConfig([...flags, hostname], () => undefined);
    const hosts = outerHosts(hostname, ["localhost", "chat.example"]);
    return (await greeting(config, 4567, hosts)).split("\n").slice(0, -1);
  };
  assertEquals(await greetBy("0.0.0.0"), [
    "The chat is at https://localhost:4567",
    "On your network: https://chat.example:4567",
    "On your network: https://192.0.2.7:4567",
  ]);
  assertEquals(await greetBy("192.0.2.7"), ["The chat is at https://192.0.2.7:4567"]);
  assertEquals((await greetBy("127.0.0.1"))[0], "The chat is at https://localhost:4567");
});

Deno.test("greeting() does without addresses that the system does not tell", async () => {
  using _interfaces = replaced(Deno, "networkInterfaces", () => {
    throw new Deno.errors.NotSupported("Address family not supported by protocol (os error 97)");
  });
  assertEquals((await greet("--hostname", "0.0.0.0")).slice(0, -2), [
    "The chat is at http://localhost:4567",
  ]);
});

Deno.test("greeting() has the address as a QR code for a person at a terminal", async () => {
  using _terminal = replaced(Deno.stdout, "isTerminal", () => true);
  const lines = await greet("--hostname", "192.0.2.7");
  const code = lines.slice(1, -2);
  assert(code.length > 10 && code.every((line) => /^[ ▀▄█]+$/.test(line)), code.join("\n"));
  assertEquals((await greet()).length, 3);
});

Deno.test("requestLine() has the path alone, and no more than can be read", () => {
  const line = (path: string, method = "GET") =>
    requestLine(new Request(`http://localhost${path}`, { method }), new Response(), 1.25, "::1");
  assertMatch(line("/chat?since=all"), /^\d\d:\d\d:\d\d 200 GET \/chat 1\.3 ms ::1$/);
  assert(line(`/${"x".repeat(60_000)}`).length < 200);
  assert(line("/chat", "X".repeat(60_000)).length < 200);
});

Deno.test("acceptError() says that streams go on", () => {
  assertMatch(acceptError("REASON"), /^[\d:]+ Cannot accept connections: REASON\. Open streams/);
});

Deno.test("what is said of a certificate has its last day, or the reason and what is in use", () => {
  const certificate = { cert: "", key: "", names: [], expires: new Date("2027-02-03T04:05:06Z") };
  assertMatch(certificateExpired(certificate), /^Expired: .*, on 2027-02-03\. .* SIGHUP\.$/);
  assertMatch(certificateRenewed(certificate), /^[\d:]+ New connections .* until 2027-02-03\.$/);
  assertMatch(
    certificateUnusable(new Error("REASON")),
    /^[\d:]+ Cannot renew the certificate: REASON\. The old one stays in use\.$/,
  );
});

Deno.test("what is said of the store has the time, and the reason or how long it was away", () => {
  assertMatch(
    storeAway("REASON"),
    /^[\d:]{8} The message log can't be reached: REASON\. Posts are refused until it is back\.$/,
  );
  assertMatch(storeBack(3210), /^[\d:]{8} The message log is back, after 3\.2 s\.$/);
  assertMatch(storeWarning("REASON"), /^[\d:]{8} REASON$/);
});

Deno.test("startError() is one line that says what to do", () => {
  assertEquals(startError(new Error("the reason")), "Cannot start: the reason");
  const denied = new Deno.errors.NotCapable('Requires env access to "PORT"');
  assertStringIncludes(startError(denied), "use deno task start");
});
