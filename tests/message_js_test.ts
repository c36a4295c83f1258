/** What the page knows of messages, without a page. */

import { assertEquals, assertNotEquals } from "@std/assert";
import { compareIds, continues, hueOf, isSameDay, splitLinks } from "../static/message.js";

Deno.test("compareIds() orders by time, then by sequence, both as numbers", () => {
  const ids = ["1763908894123-10", "1763908894123-9", "999-0", "1763908894124-0"];
  assertEquals(ids.toSorted(compareIds), [
    "999-0",
    "1763908894123-9",
    "1763908894123-10",
    "1763908894124-0",
  ]);
  assertEquals(compareIds("5-1", "5-1"), 0);
});

Deno.test("splitLinks() finds http and https addresses and keeps the text", () => {
  const cases: [text: string, links: string[]][] = [
    ["no link", []],
    ["https://deno.com", ["https://deno.com"]],
    ["see http://a.example/b?c=d#e, and HTTPS://F.example!", [
      "http://a.example/b?c=d#e",
      "HTTPS://F.example",
    ]],
    ["(https://a.example/x_(y))", ["https://a.example/x_(y)"]],
    ['[https://a.example] "https://b.example" <https://c.example>', [
      "https://a.example",
      "https://b.example",
      "https://c.example",
    ]],
    ["https://a.example/\u202eevil", ["https://a.example/"]],
    // Other punctuation and symbols end an address, with or without a space.
    ["https://a.example。次の文", ["https://a.example"]],
    ["（https://a.example/x）「https://b.example/あ」と", [
      "https://a.example/x",
      "https://b.example/あ",
    ]],
    ["“https://a.example/x”, «https://b.example/»", ["https://a.example/x", "https://b.example/"]],
    ["https://a.example/x… https://b.example/—yes", ["https://a.example/x", "https://b.example/"]],
    ["https://a.example/x، https://b.example/x।", ["https://a.example/x", "https://b.example/x"]],
    ["https://a.example/x🎉 https://b.example’s", ["https://a.example/x", "https://b.example"]],
    ["https://a.example?x=1！https://b.example\u200bx", [
      "https://a.example?x=1",
      "https://b.example",
    ]],
    // What joins words is part of it.
    ["https://fr.example/wiki/L’Équipe’ https://en.example/wiki/Michelson–Morley–", [
      "https://fr.example/wiki/L’Équipe",
      "https://en.example/wiki/Michelson–Morley",
    ]],
    ["https://ja.example/ジョン・レノン・", ["https://ja.example/ジョン・レノン"]],
    ["https://a.example/x([{", ["https://a.example/x"]],
    ["https://a.example/a|b^c", ["https://a.example/a|b^c"]],
    ["javascript:alert(1) data:text/html,x ftp://x file:///x xhttps://a", []],
    ["https:// https://. http://[", []],
    ["https://müller.example/ü", ["https://müller.example/ü"]],
  ];
  for (const [text, links] of cases) {
    const parts = splitLinks(text);
    assertEquals(parts.map((part) => part.text).join(""), text);
    assertEquals(parts.filter(({ href }) => href).map((part) => part.text), links);
    for (const { href } of parts) {
      if (href) assertEquals(/^https?:\/\//.test(href), true, href);
    }
  }
});

Deno.test("splitLinks() takes at most 2 ms for a text made to take long", () => {
  const address = "https://a.example/";
  const texts = [
    "https://".repeat(500),
    `${address}${"(".repeat(3980)}`,
    `${address}${")]}".repeat(1326)}`,
    `${address}x${")".repeat(1990)}${"(".repeat(1990)}`,
    `${address}${"’".repeat(3980)}`,
    "a:".repeat(2000),
  ];
  for (const text of texts) {
    // Many, for the compiler to have seen it and for what else the machine does.
    const start = performance.now();
    for (let n = 0; n < 50; n++) splitLinks(text);
    const took = (performance.now() - start) / 50;
    assertEquals(took < 2, true, `${took} ms for ${text.slice(0, 30)}`);
  }
});

Deno.test("hueOf() is stable, differs for names that are alike, and uses all colours", () => {
  assertEquals(hueOf({ nickname: "ann" }), hueOf({ nickname: "ann" }));
  for (const [a, b] of [["ann", "anm"], ["a", "b"], ["user1", "user2"]]) {
    assertNotEquals(hueOf({ nickname: a }), hueOf({ nickname: b }), `${a} ${b}`);
  }
  const counts = new Map<number, number>();
  for (let n = 0; n < 800; n++) {
    const hue = hueOf({ nickname: `user${n}` });
    counts.set(hue, (counts.get(hue) ?? 0) + 1);
  }
  assertEquals([...counts.keys()].toSorted(), [0, 1, 2, 3, 4, 5, 6, 7]);
  for (const [hue, count] of counts) assertEquals(count > 50, true, `${hue}: ${count} of 800`);
});

Deno.test("continues() groups what one person says within five minutes of a day", () => {
  const at = (time: string, nickname = "ann") => ({ id: "1-0", message: "", nickname, time });
  const noon = at("2026-03-01T12:00:00.000Z");
  assertEquals(continues(noon, at("2026-03-01T12:04:59.000Z")), true);
  assertEquals(continues(noon, at("2026-03-01T12:05:00.000Z")), false);
  assertEquals(continues(noon, at("2026-03-01T12:01:00.000Z", "ben")), false);
  // Different people may give no name.
  const nameless = at("2026-03-01T12:00:00.000Z", "anonymous");
  assertEquals(continues(nameless, nameless), false);
  const night = new Date(2026, 2, 1, 23, 59).toISOString();
  const morning = new Date(2026, 2, 2, 0, 1).toISOString();
  assertEquals(isSameDay(at(night), at(morning)), false);
  assertEquals(continues(at(night), at(morning)), false);
});
