/** What becomes of the text of a post. */

import { type Fields, type Room, unique } from "./chat.ts";
import { expectSame, type Rule } from "./rule.ts";

/** What is stored of fields. */
async function store(room: Room, fields: Fields) {
  return await room.store(fields);
}

/** A rule that messages become others. */
function becomes(
  id: string,
  name: string,
  texts: readonly [posted: string, stored: string][],
): Rule {
  return {
    id,
    name,
    async check({ room }) {
      for (const [posted, stored] of texts) {
        const { message } = await store(room, { message: posted });
        expectSame(`what was stored of ${JSON.stringify(posted)}`, message, stored);
      }
    },
  };
}

export const TEXT: readonly Rule[] = [
  {
    id: "T1",
    name: "any other text arrives as it was sent",
    async check({ room }) {
      const events = await room.listen();
      const texts = [
        "two\nlines\n\nand four",
        "a  inner   spaces\tand a tab",
        "data: injected\n\nevent: online\ndata: 99",
        "\u{1f469}\u200d\u{1f469}\u200d\u{1f467} \u{1f1ea}\u{1f1fa} \ud55c\uad6d\uc5b4 \u05e9\u05dc\u05d5\u05dd",
        "<img src=x onerror=alert(1)> &amp; \"quotes\" \\ 'single'",
        "\u202eabc\u202c",
      ];
      for (const text of texts) {
        await room.send(text);
        expectSame("the message", (await events.nextMessage()).message, text);
      }
    },
  },
  becomes("T2", "control characters are removed, except line breaks and tabs", [
    ["a\u0000b\u0007c\u007fd\u0085e", "abcde"],
    ["a\tb\nc", "a\tb\nc"],
  ]),
  becomes("T3", "line breaks become LF", [["a\r\nb\rc\nd", "a\nb\nc\nd"]]),
  becomes("T4", "of a run of combining marks the first 30 are kept", [
    [`a${"\u0316".repeat(40)}b`, `a${"\u0316".repeat(30)}b`],
    [`a${"\u0316".repeat(30)}b`, `a${"\u0316".repeat(30)}b`],
  ]),
  becomes("T5", "text is brought to normalisation form C", [["cafe\u0301", "caf\u00e9"]]),
  becomes("T6", "text is trimmed", [[" \n\u3000 padded \t\n ", "padded"]]),
  {
    id: "T7",
    name: "in a nickname any run of white space becomes one space",
    async check({ room }) {
      const nickname = "  two \r\n lines\tand\u2028more ";
      const stored = await store(room, { message: unique("hi"), nickname });
      expectSame("the nickname", stored.nickname, "two lines and more");
    },
  },
  {
    id: "T8",
    name: "text is normalised before it is measured",
    async check({ room }) {
      const { message } = await store(room, { message: ` ${"x".repeat(4000)}\r\n\u0000 ` });
      expectSame("the length of the message", `${message}`.length, 4000);
      const { nickname } = await store(room, { message: "hi", nickname: "e\u0301".repeat(40) });
      expectSame("the nickname", nickname, "\u00e9".repeat(40));
    },
  },
  {
    id: "T9",
    name: "a message that would show nothing is refused",
    async check({ room }) {
      for (const message of ["", " \r\n\u0000\u200b ", "\u2800\u3164\ufeff"]) {
        await (await room.post({ message })).expectProblem(422, "message");
      }
    },
  },
  {
    id: "T10",
    name: "a nickname that would show nothing counts as absent",
    async check({ room }) {
      for (const nickname of ["\u200b", "\u2800\uffa0", "\u0000"]) {
        const stored = await store(room, { message: unique("hi"), nickname });
        expectSame("the nickname", stored.nickname, "anonymous");
      }
    },
  },
];
