/** What holds for any text that somebody posts. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { MAX_MESSAGE_LENGTH, MAX_NICKNAME_LENGTH, type Post } from "../chat_message.ts";
import { HttpError } from "../routes/http_error.ts";
import { postMessage } from "../routes/post.ts";
import { isBlank, normaliseMessage, normaliseNickname } from "../routes/post_text.ts";

/** Characters that mean something to normalisation, among any others and halves of pairs. */
const character = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
  fc.nat(0xffff).map((code) => String.fromCharCode(code)),
  fc.constantFrom(..."a \t\n\r\0\x7f\x85\xa0\u200b\u2028\u2800\u3164\ufeff\ud83d\udc4b👋"),
  fc.constantFrom(..."\u0301\u0316\u0327\u0344\u0345\u0f77\u0958\u1100\u1161\u11a8\u{1d15e}\u212b"),
);
/** Some are repeated beyond every limit. */
const text = fc.array(
  fc.tuple(
    fc.array(character, { maxLength: 8 }).map((characters) => characters.join("")),
    fc.oneof(
      { arbitrary: fc.constant(1), weight: 8 },
      { arbitrary: fc.integer({ min: 28, max: 42 }), weight: 2 },
      { arbitrary: fc.integer({ min: 1980, max: 4010 }), weight: 1 },
    ),
  ).map(([text, count]) => text.repeat(count)),
  { maxLength: 6 },
).map((parts) => parts.join(""));

Deno.test("text is normalised once and for all, whatever it is", () => {
  fc.assert(fc.property(text, (text) => {
    for (const normalise of [normaliseMessage, normaliseNickname]) {
      const normal = normalise(text);
      assertEquals(normalise(normal), normal);
      assertEquals(normal.normalize("NFC"), normal);
      assert(normal.isWellFormed());
      assertEquals(normal.trim(), normal);
      assertEquals(/[^\P{Cc}\t\n]/u.exec(normal), null);
      assertEquals(/\p{M}{31}/u.exec(normal), null);
      assertEquals(isBlank(normal), isBlank(text.replace(/\p{Cc}/gu, "")));
    }
    assertEquals(/[^\S ]| {2}/u.exec(normaliseNickname(text)), null);
  }));
});

Deno.test("what is posted is within the limits and not blank, or is refused", async () => {
  await fc.assert(fc.asyncProperty(text, text, async (nickname, message) => {
    const posts: Post[] = [];
    const log = {
      append: (post: Post) => {
        posts.push(post);
        return Promise.resolve({ entry: { id: "1-1", json: "{}" }, repeated: false });
      },
    };
    const body = JSON.stringify({ nickname, message });
    const headers = { "content-type": "application/json" };
    try {
      await postMessage(
        new Request("http://localhost/chat", { method: "POST", headers, body }),
        { room: "", log, author: {} },
      );
    } catch (error) {
      assert(error instanceof HttpError, `${error}`);
      assertMatch(`${error.status}`, /^(413|422)$/);
      return assertEquals(posts, []);
    }
    const [post] = posts;
    assert(!isBlank(post.message) && [...post.message].length <= MAX_MESSAGE_LENGTH);
    assert(!isBlank(post.nickname) && [...post.nickname].length <= MAX_NICKNAME_LENGTH);
  }));
});
