import { assertEquals, assertThrows } from "@std/assert";
import { readOptions, reasonToIgnore } from "./options.ts";

Deno.test("readOptions() takes the address of a server, under a path or not", () => {
  assertEquals(readOptions(["http://localhost:4567"]).url.href, "http://localhost:4567/");
  assertEquals(readOptions(["https://a.example/b"]).url.href, "https://a.example/b/");
  const { keep, patienceMs } = readOptions([
    "http://a.example",
    "--keep",
    "60",
    "--patience",
    "0.5",
  ]);
  assertEquals([keep, patienceMs], [60, 500]);
});

Deno.test("readOptions() refuses what it can't use, and says what it takes", () => {
  const cases: [args: string[], message: string][] = [
    [[], "the address of one server is wanted"],
    [["localhost:4567"], "the address of one server is wanted"],
    [["http://a.example", "http://b.example"], "the address of one server is wanted"],
    [["http://a.example", "--keep", "101"], "--keep must be a number from 20 to 100"],
    [["http://a.example", "--keep", "19"], "--keep must be a number from 20 to 100"],
    [["http://a.example", "--rate-limit", "0"], "--rate-limit must be a number from 1 to 2000"],
    [["http://a.example", "--patience", "long"], "--patience must be a number"],
    [["http://a.example", "--without", "rooms,cellars"], 'received "cellars"'],
  ];
  for (const [args, message] of cases) assertThrows(() => readOptions(args), RangeError, message);
});

Deno.test("reasonToIgnore() names the option that keeps a rule from being checked", () => {
  const options = readOptions(["http://a.example", "--without", "rooms, slow", "--keep", "60"]);
  assertEquals(reasonToIgnore([], options), undefined);
  assertEquals(reasonToIgnore(["history", "keep"], options), undefined);
  assertEquals(reasonToIgnore(["history", "rooms"], options), "--without rooms");
  assertEquals(reasonToIgnore(["slow"], options), "--without slow");
  assertEquals(reasonToIgnore(["moderatorPassword"], options), "needs --moderator-password");
  assertEquals(reasonToIgnore(["open"], options), undefined);
  const guarded = readOptions(["http://a.example", "--password", "p"]);
  assertEquals(reasonToIgnore(["open"], guarded), "the server has a password");
});
