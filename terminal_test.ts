/** How events become lines, and that a terminal that takes nothing harms nobody. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { LogUnavailableError } from "./message_log/message_log.ts";
import { type Style, Terminal } from "./terminal.ts";
import type { ServerEvent } from "./server_events.ts";
import { RecordedTerminal } from "./tests/recorded_terminal.ts";
import { replaced } from "./tests/replaced.ts";

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
  assertMatch(output.text, /x\n[\d:]{8} \(lines that could not be printed: 1976\)\n$/);
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
  assertMatch(output.text, /^five\n[\d:]{8} \(lines that could not be printed: 4\)\n$/);
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
  assertMatch(text, /^one\ntw\nthree\n[\d:]{8} \(lines that could not be printed: 1\)\n$/);
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
  for (let n = 0; n < 100; n++) terminal.fail("request_failed", new Error(`reason ${n}`));
  now += 1000;
  terminal.fail("request_failed", new Error("reason 100"));
  terminal.fail("request_failed", new Error("reason 101"));
  const lines = (await terminal.errors()).split("\n").filter((line) => /^\d\d:/.test(line))
    .map((line) => line.slice("00:00:00 ".length));
  assertEquals(lines, [
    "Cannot answer a request: Error: reason 0",
    "Cannot answer a request (failures since the last line: 99): Error: reason 100",
    "Failures since the last line: 1",
  ]);
});

/** What a terminal of a style prints of an event. */
async function linesOf(style: Style, event: ServerEvent): Promise<string[]> {
  const terminal = new RecordedTerminal(style);
  terminal.report(event);
  const text = await terminal.output() + await terminal.errors();
  assert(text.endsWith("\n"), text);
  return text.slice(0, -1).split("\n");
}

const AWAY = { event: "store_away", reason: "REASON" } as const;
const LISTENING = {
  event: "listening",
  version: "1.2.3",
  url: "http://localhost:4567",
  urls: ["http://192.0.2.7:4567"],
  hostname: "0.0.0.0",
  log: "sqlite:chat.db",
  open: true,
} as const;

Deno.test("Terminal.report() writes text with the time of day, but for the start", async () => {
  const [line] = await linesOf("text", AWAY);
  assertMatch(line, /^\d\d:\d\d:\d\d The message log can't be reached: REASON\./);
  assertEquals((await linesOf("text", LISTENING))[0], "The chat is at http://localhost:4567");
  const failed = await linesOf("text", { event: "start_failed", reason: "REASON" });
  assertEquals(failed, ["Cannot start: REASON"]);
});

Deno.test("Terminal.report() gives each line for the journal a priority and no time", async () => {
  const [line] = await linesOf("journal", AWAY);
  assert(line.startsWith("<3>The message log can't be reached: REASON."), line);
  assertEquals(
    await linesOf("journal", { event: "store_endangered", reason: "REASON" }),
    ["<4>REASON"],
  );
  const start = await linesOf("journal", LISTENING);
  assertEquals(start.length, 4);
  for (const line of start) assert(line.startsWith("<6>"), line);
  const error = "Error: REASON\n    at file.ts:1:1\n\nCaused by: another";
  const failure = await linesOf("journal", { event: "request_failed", error });
  assertEquals(failure.length, 4);
  for (const line of failure) assert(line.startsWith("<3>"), line);
});

Deno.test("Terminal.report() writes one line of JSON with time, level, event and members", async () => {
  const error = "Error: REASON\n    at file.ts:1:1";
  for (const event of [AWAY, LISTENING, { event: "request_failed", error } as const]) {
    const [line, ...others] = await linesOf("json", event);
    assertEquals(others, []);
    const { time, level, ...members } = JSON.parse(line);
    assertMatch(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assertEquals(level, event === LISTENING ? "info" : "error");
    assertEquals(members, event);
    assertEquals(Object.keys(JSON.parse(line)).slice(0, 3), ["time", "level", "event"]);
  }
});

Deno.test("Terminal.report() writes what is well to standard output, all else to standard error", async () => {
  const terminal = new RecordedTerminal("json");
  terminal.report({ event: "store_back", ms: 1 });
  terminal.report({ event: "store_endangered", reason: "REASON" });
  terminal.report(AWAY);
  assertEquals((await terminal.output()).match(/"event":"\w+"/g), ['"event":"store_back"']);
  assertEquals((await terminal.errors()).match(/"event":"\w+"/g), [
    '"event":"store_endangered"',
    '"event":"store_away"',
  ]);
});

// An end of line in each of its forms, a terminal's escapes in both of theirs, a tab, a text that turns
// around, and what would pass for a line of the journal or of JSON.
const HOSTILE =
  '\r\n<0>x\x1b[2J\x9b31m\x07\0\t\v\x85\u2028\u2029\u202e\u2066{"event":"x"}\x7f\ud800';

Deno.test("nothing in an event breaks its line or steers the terminal", async () => {
  const events: ServerEvent[] = [
    {
      event: "request",
      method: `G${HOSTILE}`,
      path: `/${HOSTILE}`,
      status: 200,
      ms: 1,
      address: HOSTILE,
    },
    { event: "variables_ignored", variables: [`CHAT_${HOSTILE}`] },
    {
      event: "requests_refused",
      requests: 2,
      addresses: [{ address: HOSTILE, requests: 1 }],
      others: 1,
      reasons: ["--rate-limit"],
    },
    { event: "proxy_untrusted", address: HOSTILE },
    { event: "start_failed", reason: `--title must be text, received "${HOSTILE}"` },
    { event: "store_away", reason: HOSTILE },
  ];
  for (const event of events) {
    for (const style of ["text", "journal", "json"] as const) {
      const [line, ...others] = await linesOf(style, event);
      assertEquals(others, [], line);
      assertEquals(
        line.match(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu),
        null,
        line,
      );
    }
    const [line] = await linesOf("json", event);
    const { time: _time, level: _level, ...members } = JSON.parse(line);
    assertEquals(members, event);
  }
});

Deno.test("the lines of an error can't pass for events", async () => {
  const error = `Error: ${HOSTILE}\n12:00:00 200 GET /\n    at file.ts:1:1`;
  const lines = await linesOf("text", { event: "request_failed", error });
  assertEquals(lines.length, 4);
  for (const line of lines.slice(1)) assert(line.startsWith("  "), line);
  assertEquals(lines.join("").match(/\p{Cc}/gu), null);
  const inJournal = await linesOf("journal", { event: "request_failed", error });
  for (const line of inJournal.slice(1)) assert(line.startsWith("<3>  "), line);
});

Deno.test("lines that could not be printed are counted in the style of the others", async () => {
  for (const style of ["journal", "json"] as const) {
    const output = new SlowOutput();
    const terminal = new Terminal(output, output, { output: style, errors: style });
    terminal.report({ event: "store_back", ms: 1 });
    await output.take(new Error("No space left on device"));
    terminal.report({ event: "store_back", ms: 2 });
    await output.take();
    await terminal.close();
    const lines = output.text.trimEnd().split("\n");
    if (style === "journal") {
      assertEquals(lines[1], "<4>(lines that could not be printed: 1)");
    } else {
      assertEquals(lines.map((line) => JSON.parse(line).event), ["store_back", "lines_lost"]);
      assertEquals(JSON.parse(lines[1]).lines, 1);
    }
  }
});

Deno.test("an error that is reported has its stack, or the cause where the log is unavailable", async () => {
  const errors = [
    new Error("REASON", { cause: new Error("CAUSE") }),
    new LogUnavailableError("The log can't be used", { cause: new Error("disk full") }),
    "no error at all",
    undefined,
  ];
  const texts = await Promise.all(errors.map(async (error) => {
    const terminal = new RecordedTerminal("json");
    terminal.fail("unexpected_error", error);
    return JSON.parse(await terminal.errors()).error;
  }));
  assertMatch(texts[0], /^Error: REASON\n +at .*terminal_test\.ts.*cause\]: Error: CAUSE/s);
  assertEquals(texts.slice(1), [
    "The log can't be used: disk full",
    '"no error at all"',
    "undefined",
  ]);
});
