/** What the page's scripts know of messages, without a page. */

import { assertEquals } from "@std/assert";
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

Deno.test("splitLinks() takes little time for texts made to take long", () => {
  for (const text of ["https://".repeat(500), `https://a${"(".repeat(3990)}`, "a:".repeat(2000)]) {
    const start = performance.now();
    splitLinks(text);
    const took = performance.now() - start;
    assertEquals(took < 100, true, `${took} ms for ${text.slice(0, 20)}`);
  }
});

Deno.test("hueOf() is stable, and far apart for names that are alike", () => {
  assertEquals(hueOf("ann"), hueOf("ann"));
  for (const [a, b] of [["ann", "anm"], ["a", "b"], ["user1", "user2"]]) {
    const distance = Math.abs(hueOf(a) - hueOf(b));
    assertEquals(Math.min(distance, 360 - distance) > 60, true, `${a} ${b}: ${distance}`);
  }
});

Deno.test("continues() groups what one person says within five minutes of a day", () => {
  const at = (time: string, nickname = "ann") => ({ id: "1-0", message: "", nickname, time });
  const noon = at("2026-03-01T12:00:00.000Z");
  assertEquals(continues(noon, at("2026-03-01T12:04:59.000Z")), true);
  assertEquals(continues(noon, at("2026-03-01T12:05:00.000Z")), false);
  assertEquals(continues(noon, at("2026-03-01T12:01:00.000Z", "ben")), false);
  const night = new Date(2026, 2, 1, 23, 59).toISOString();
  const morning = new Date(2026, 2, 2, 0, 1).toISOString();
  assertEquals(isSameDay(at(night), at(morning)), false);
  assertEquals(continues(at(night), at(morning)), false);
});
