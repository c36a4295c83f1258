import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HELP, parseOptions } from "./options.ts";

Deno.test("parseOptions() has a default for every option, and HELP lists them all", () => {
  const options = parseOptions([]);
  assertEquals(options.readers, [1000]);
  assertEquals([options.publishers, options.messages, options.rate], [20, 400, 0]);
  assertEquals(options.rooms, 1);
  for (const name of Object.keys(options)) {
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    assertStringIncludes(HELP, `--${flag} `);
  }
});

Deno.test("parseOptions() accepts a list of numbers of readers", () => {
  assertEquals(parseOptions(["--readers", "100,1000,5000"]).readers, [100, 1000, 5000]);
});

Deno.test("parseOptions() takes many message logs, and many instances on those that can be shared", () => {
  const logs = ["--message-log", "redis://127.0.0.1", "--message-log", "redis://127.0.0.1/1"];
  const options = parseOptions([...logs, "--instances", "1,2"]);
  assertEquals(options.messageLog, ["redis://127.0.0.1", "redis://127.0.0.1/1"]);
  assertEquals(options.instances, [1, 2]);
  for (const url of ["memory:", "sqlite:chat.db"]) {
    assertThrows(
      () => parseOptions([...logs, "--message-log", url, "--instances", "2"]),
      RangeError,
      "or name a Redis",
    );
  }
  for (const flags of [["--baseline"], ["--return", "5"], ["--tls"]]) {
    const many = [...logs, "--instances", "2"];
    assertThrows(() => parseOptions([...many, ...flags]), RangeError, "for one instance");
  }
  assertThrows(() => parseOptions([...logs, "--apart"]), RangeError, "for many instances");
});

Deno.test("parseOptions() rejects unknown flags and values out of range", () => {
  assertThrows(() => parseOptions(["--reader", "1"]), TypeError);
  assertThrows(() => parseOptions(["--readers", "10,"]), RangeError, "--readers must be");
  assertThrows(() => parseOptions(["--size", "3"]), RangeError, "--size must be");
  assertThrows(
    () => parseOptions(["--messages", "20", "--return", "21"]),
    RangeError,
    "--return must be a whole number from 0 to 20",
  );
  assertThrows(
    () => parseOptions(["--readers", "50,10", "--rooms", "11"]),
    RangeError,
    "--rooms must be a whole number from 1 to 10",
  );
  for (const flags of [["--baseline"], ["--return", "5"]]) {
    assertThrows(() => parseOptions(["--rooms", "2", ...flags]), RangeError, "for one room");
  }
  for (const flags of [["--baseline"], ["--return", "5"]]) {
    assertThrows(() => parseOptions(["--http2", ...flags]), RangeError, "for plain HTTP");
  }
  assertThrows(() => parseOptions(["--messages", "9999999"]), RangeError, "at most 1000000000");
});
