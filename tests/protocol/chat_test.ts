import { assertEquals } from "@std/assert";
import { describedIn, summary } from "./chat.ts";

Deno.test("describedIn() leaves out what a server adds to a message", () => {
  const message = { id: "1-1", nickname: "ann", message: "hi", timestamp: "1", time: "2", by: "3" };
  const expected = { ...message, moderator: undefined };
  assertEquals(describedIn({ colour: "red", ...message }), expected);
  assertEquals(describedIn(null).id, undefined);
});

Deno.test("summary() reads a gap however its JSON is written", () => {
  const of = (data: string) => summary([{ event: "gap", data }]);
  assertEquals(of('{"missed":4}'), ["gap 4"]);
  assertEquals(of('{ "since": "1-1", "missed": null }'), ["gap null"]);
});
