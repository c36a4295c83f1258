/** What becomes of text, whatever somebody writes. */

import { assert, assertEquals } from "@std/assert";
import { isBlank, normaliseMessage, normaliseNickname } from "./post_text.ts";

Deno.test("normaliseMessage() keeps what languages, emoji and code need", () => {
  const texts = [
    "two\nlines\n\nand\ttabs",
    "a  inner   spaces",
    "👩‍👩‍👧‍👦 🇪🇺 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "שָׁלוֹם עֲלֵיכֶם \u202eabc\u202c مُرَحَّبًا",
    "क्ष्म्य ཧཱུྃ ကျွန်ုပ် ᬅᬓ᭄ᬱᬭ",
    "\u201cline\u2028and\u2029paragraph\u201d",
  ].map((text) => text.normalize("NFC"));
  for (const text of texts) assertEquals(normaliseMessage(text), text);
});

Deno.test("normaliseMessage() leaves at most 30 marks in a run, and normalises the same once and twice", () => {
  const marks = /\p{M}{31}/u;
  const texts = [
    `a${"\u0301".repeat(31)}b`,
    `${"\u0345".repeat(40)}a${"\u0345\u0300\u0316\u0334".repeat(40)}b`,
    // Each is two or more marks once normalised.
    `a${"\u0344".repeat(30)}b`,
    `\u0958${"\u0345".repeat(30)}b`,
    `${"\u{1d160}".repeat(40)}`,
    `\u1100${"\u0301".repeat(31)}\u1161`,
    ` \u0301 \u0000\u0301\r\u0001\n\u{e0001}`,
    `a${"\u0301\u0000".repeat(40)}`,
  ];
  for (const text of texts) {
    for (const normalise of [normaliseMessage, normaliseNickname]) {
      const once = normalise(text);
      assert(!marks.test(once), JSON.stringify(text));
      assertEquals(once, once.normalize("NFC"));
      assertEquals(normalise(once), once);
    }
  }
  assertEquals(normaliseMessage(`a${"\u0316".repeat(30)}b`), `a${"\u0316".repeat(30)}b`);
});

Deno.test("isBlank() is true of text that shows nothing, and of no other", () => {
  const blank = [
    "",
    " \u00a0\u1680\u2003\u202f\u3000\ufeff\n\t",
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180e\u200b\u200f\u202e\u2060\u2061\u2064\u206f",
    "\u2800",
    "\u3164\uffa0",
    "\ufe0f\u{e0100}\u{e0041}",
    "\ufff9\ufffa\ufffb\ufffc",
    "\u{1d159}\u{1d173}\u{1bca0}",
    "\u{13430}\u{13441}\u{13442}\u{16fe4}\u{11d45}\u{11d97}",
  ];
  for (const text of blank) assert(isBlank(text), JSON.stringify(text));
  for (
    const text of ["\u2801", "\u0301", "\u200b.", "\u303f", "ᅟa", "🏴", "\ufffd", "\u{1d15a}"]
  ) {
    assert(!isBlank(text), JSON.stringify(text));
  }
});
