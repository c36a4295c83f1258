/** Messages as text. */

import { assertEquals } from "@std/assert";
import { type ChatMessage, messageJson } from "./chat_message.ts";

Deno.test("messageJson() is one line, wherever a client may think that lines end", () => {
  const message: ChatMessage = {
    id: "1-1",
    nickname: "a\u2028b",
    message: "c\u2029d\\u2028\ne\u2028\u2029",
    timestamp: "14:41:34",
    time: "2025-11-23T14:41:34.123Z",
  };
  const json = messageJson(message);
  assertEquals(json.match(/[\p{Cc}\p{Zl}\p{Zp}]/u), null);
  assertEquals(JSON.parse(json), message);
});
