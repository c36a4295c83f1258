import { assertEquals, assertThrows } from "@std/assert";
import { readOptions } from "./options.ts";

Deno.test("readOptions() leaves to the server what it does not know", () => {
  const args = ["--keep", "5", "--short", "--checkout", "/tmp/a", "--verbose", "--rate-limit=0"];
  assertEquals(readOptions(args), {
    short: true,
    checkout: "/tmp/a",
    flags: ["--keep", "5", "--verbose", "--rate-limit=0"],
  });
  assertEquals(readOptions(["--checkout=/tmp/a", "--port", "1"]), {
    short: false,
    checkout: "/tmp/a",
    flags: ["--port", "1"],
  });
});

Deno.test("readOptions() lets no server be reached from elsewhere", () => {
  for (
    const args of [["--hostname", "0.0.0.0"], ["--hostname=::"], ["--short", "--hostname=10.0.0.1"]]
  ) {
    assertThrows(() => readOptions(args), RangeError, "--hostname");
  }
});
