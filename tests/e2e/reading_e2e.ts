/** How the conversation looks and moves, and that nothing in it can do harm. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { numbered, post, postAll } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";

const browser = useBrowser();
const SMALL = { viewport: { width: 600, height: 500 } };

function fill(url: string, count: number): Promise<void> {
  return postAll(url, numbered("message", count));
}

/** Where the text is on the screen. */
async function top(visitor: Visitor, text: string): Promise<number> {
  const box = await visitor.log.getByText(text, { exact: true }).boundingBox();
  return box!.y;
}

/** Scrolls, and waits until the page has been told of it. */
function scrollTo(visitor: Visitor, position: number): Promise<void> {
  return visitor.log.evaluate((log, position) => {
    log.scrollTop = position < 0 ? log.scrollHeight + position : position;
    return new Promise<void>((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  }, position);
}

/** Scrolls up until the newest messages are cut off. */
async function scrollUntilCut(visitor: Visitor): Promise<void> {
  while (!await visitor.page.getByRole("button", { name: "Newest messages" }).isVisible()) {
    await scrollTo(visitor, 0);
    await visitor.page.waitForFunction(() => document.querySelector("[aria-busy=false]"));
  }
}

function fromEnd(visitor: Visitor): Promise<number> {
  return visitor.log.evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
}

/** To the pixel: what is laid out has fractions of one. */
function assertNear(actual: number, expected: number): void {
  assert(Math.abs(actual - expected) <= 1, `${actual} is not ${expected}`);
}

Deno.test("own messages are told apart, here and after a reload", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.send("mine", "ann");
  await ann.see("mine");
  // Somebody else may use the same name.
  await post(chat.url, "not mine", "ann");
  const own = ann.page.locator(".transcript .own .text");
  await ann.see("not mine");
  assertEquals(await own.allTextContents(), ["mine"]);
  assertEquals((await ann.log.getByText("ann").last().boundingBox())!.width > 10, true);
  await ann.page.reload();
  await ann.see("not mine");
  assertEquals(await own.allTextContents(), ["mine"]);
});

Deno.test("messages of one person are one group, days have headings, times are local", async () => {
  await using chat = await ChatProcess.start();
  const at = (time: string, n: number, nickname: string) => ({
    id: `${Date.parse(time)}-0`,
    nickname,
    message: `message ${n}`,
    time,
  });
  await using ann = await Visitor.arrive(browser(), "about:blank", { timezoneId: "Asia/Tokyo" });
  await ann.page.route(/\/chat(\?|$)/, (route) =>
    route.fulfill({
      json: [
        at("2026-03-01T14:50:00.000Z", 1, "ben"),
        at("2026-03-01T14:51:00.000Z", 2, "ben"),
        // Past midnight in Tokyo.
        at("2026-03-01T15:01:00.000Z", 3, "ben"),
        at("2026-03-01T15:02:00.000Z", 4, "Chiara"),
        at("2026-03-01T15:03:00.000Z", 5, "ben"),
        at("2026-03-01T15:30:00.000Z", 6, "ben"),
      ],
    }));
  await ann.page.goto(chat.url);
  await ann.see("message 6");
  const texts = (selector: string) => ann.page.locator(selector).allTextContents();
  assertEquals(await texts(".continued .text"), ["message 2"]);
  assertEquals(await texts(".day"), ["Sunday, 1 March 2026", "Monday, 2 March 2026"]);
  const first = ann.page.locator("time").first();
  assertEquals(await first.textContent(), "23:50");
  assertMatch((await first.getAttribute("title"))!, /Sunday, 1 March 2026.* 23:50:00/);
  assertEquals(await first.getAttribute("datetime"), "2026-03-01T14:50:00.000Z");
});

Deno.test("only http and https addresses are links, and they give nothing away", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  const text = "see (https://deno.com/a_(b)), http://example.com. " +
    "javascript:alert(1) data:text/html,hi <a href=x> file:///etc https:// " +
    "https://x.example/\u202emoc.knab";
  await post(chat.url, text);
  await ann.see(text);
  const links = await ann.log.locator("a").evaluateAll((links) =>
    links.map((link) => [link.textContent, link.getAttribute("href")])
  );
  assertEquals(links, [
    ["https://deno.com/a_(b)", "https://deno.com/a_(b)"],
    ["http://example.com", "http://example.com/"],
    ["https://x.example/", "https://x.example/"],
  ]);
  for (const link of await ann.log.locator("a").all()) {
    assertEquals(await link.getAttribute("rel"), "noopener noreferrer nofollow");
    assertEquals(await link.getAttribute("target"), "_blank");
  }
});

Deno.test("markup is text, and nothing breaks the layout", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, {
    viewport: { width: 320, height: 640 },
  });
  const markup =
    "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>";
  await post(chat.url, markup, "<b>ben</b>");
  await post(chat.url, "x".repeat(4000), "n".repeat(40));
  await post(chat.url, `https://example.com/${"y".repeat(3000)}`);
  await post(chat.url, "Z\u0351\u0346\u0302".padEnd(1000, "\u0301\u0300\u0302"));
  await post(chat.url, "\u202eturned \u2066round", "\u202eevil");
  await post(chat.url, "    function f() {\n        return 1;\n    }".padStart(60));
  await ann.see("\u202eturned \u2066round");
  assertEquals(await ann.page.title(), "Simple Chat");
  assertEquals(await ann.log.locator("img, b, script").count(), 0);
  assertEquals(await ann.page.locator(".author").first().textContent(), "<b>ben</b>");
  const widths = await ann.page.evaluate(() =>
    [document.documentElement, document.querySelector("[role=log]")!].map((element) =>
      element.scrollWidth - element.clientWidth
    )
  );
  assertEquals(widths, [0, 0]);
  // The marks of a letter stay in its message, and an override in its name or text.
  const styles = await ann.page.locator(".bubble, .author, .text").evaluateAll((elements) =>
    elements.map((element) => {
      const { overflow, unicodeBidi } = getComputedStyle(element);
      return element.className === "bubble" ? overflow : unicodeBidi;
    })
  );
  assertEquals(new Set(styles), new Set(["hidden", "isolate"]));
});

Deno.test("the view goes along at the end, and stays where it is when scrolled up", async () => {
  await using chat = await ChatProcess.start();
  await fill(chat.url, 40);
  await using ann = await Visitor.arrive(browser(), chat.url, SMALL);
  await ann.see("message 40");
  await ann.connection("Live");
  assertNear(await fromEnd(ann), 0);
  await post(chat.url, "at the end");
  await ann.see("at the end");
  assertNear(await fromEnd(ann), 0);

  await scrollTo(ann, -1500);
  const before = await top(ann, "message 25");
  await post(chat.url, "unseen one");
  await ann.page.getByRole("button", { name: "1 new message" }).waitFor();
  await post(chat.url, "unseen two");
  const button = ann.page.getByRole("button", { name: "2 new messages" });
  await button.waitFor();
  assertNear(await top(ann, "message 25"), before);
  await button.click();
  assertNear(await fromEnd(ann), 0);
  assert(await button.isHidden());
});

Deno.test("a message that is drawn while the reader scrolls up does not take the view back", async () => {
  await using chat = await ChatProcess.start();
  await fill(chat.url, 40);
  await using ann = await Visitor.arrive(browser(), chat.url, SMALL);
  await ann.see("message 40");
  await ann.connection("Live");
  // The scroll event comes with the next frame: after what is drawn by a timer now.
  await ann.page.evaluate(() => {
    const log = document.querySelector("[role=log]")!;
    const { setTimeout } = globalThis;
    globalThis.setTimeout = ((callback: () => void, ms?: number) =>
      setTimeout(() => {
        if (log.scrollTop + log.clientHeight > log.scrollHeight - 10) log.scrollTop -= 1500;
        callback();
      }, ms)) as typeof setTimeout;
  });
  await post(chat.url, "unseen");
  await ann.page.getByText("unseen").waitFor();
  assert(await fromEnd(ann) > 1000);
});

Deno.test("scrolling up brings older messages, and the view does not move", async () => {
  await using chat = await ChatProcess.start();
  await fill(chat.url, 120);
  await using ann = await Visitor.arrive(browser(), chat.url, SMALL);
  await ann.see("message 120");
  await ann.connection("Live");
  assertEquals((await ann.texts)[0], "message 71");
  // In one step: the older messages may be there at the next.
  const before = await ann.log.evaluate((log) => {
    log.scrollTop = 100;
    const texts = [...log.querySelectorAll(".text")];
    return texts.find(({ textContent }) => textContent === "message 74")!
      .getBoundingClientRect().top;
  });
  await ann.log.getByText("message 21", { exact: true }).waitFor();
  assertNear(await top(ann, "message 74"), before);
  await scrollTo(ann, 0);
  await ann.log.getByText("message 1", { exact: true }).waitFor();
  assertEquals(await ann.texts, Array.from({ length: 120 }, (_, n) => `message ${n + 1}`));
});

Deno.test("the page holds a thousand messages, and those cut off come back", async () => {
  await using chat = await ChatProcess.start();
  await fill(chat.url, 100);
  await using ann = await Visitor.arrive(browser(), chat.url, SMALL);
  await ann.see("message 100");
  await ann.connection("Live");
  await postAll(chat.url, numbered("message", 1100, 101));
  await ann.see("message 1100");
  /** First and last of the messages in the page, which have no holes and are not too many. */
  const shown = async () => {
    const texts = await ann.texts;
    const [first, last] = [texts[0], texts.at(-1)!].map((text) => Number(text.split(" ")[1]));
    assertEquals(texts, Array.from(texts, (_, n) => `message ${first + n}`));
    assert(texts.length <= 1000 && texts.length >= 900, `${texts.length} messages`);
    return [first, last];
  };
  const scrollUntil = async (position: number, message: number) => {
    while (!(await shown()).includes(message)) {
      await scrollTo(ann, position);
      await ann.page.waitForFunction(() => document.querySelector("[aria-busy=false]"));
    }
  };
  assert((await shown())[0] > 100);
  // Up: the beginning comes back, the newest make room.
  await scrollUntil(0, 1);
  assert((await shown())[1] < 1100);
  await post(chat.url, "message 1101");
  await ann.page.getByRole("button", { name: "1 new message" }).waitFor();
  // Down: they come back, too.
  await scrollUntil(-1, 1101);
  assert((await shown())[0] > 1);
  // And at once, with the button.
  await scrollUntil(0, 1);
  await ann.page.locator(".newer").click();
  await ann.see("message 1101");
  assertNear(await fromEnd(ann), 0);
});

Deno.test("a link reads as the address that it leads to, whatever is around it", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await post(chat.url, "\u202ehttps://a.example/moc.knab");
  await post(chat.url, "שלום https://a.example/b אבג");
  await ann.log.locator("a").nth(1).waitFor();
  // Each letter of an address is to the right of the one before.
  const isInOrder = await ann.log.locator("a").evaluateAll((links) =>
    links.map((link) => {
      const text = link.firstChild as Text;
      const range = document.createRange();
      const lefts = Array.from(text.data, (_, n) => {
        range.setStart(text, n);
        range.setEnd(text, n + 1);
        return range.getBoundingClientRect().left;
      });
      return lefts.every((left, n) => n === 0 || left > lefts[n - 1]);
    })
  );
  assertEquals(isInOrder, [true, true]);
});

Deno.test("a message of thousands of lines is folded, and unfolds where it is", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, SMALL);
  await post(chat.url, "not long\n".repeat(12));
  await post(chat.url, `first${"\n".repeat(3990)}last`);
  await fill(chat.url, 2);
  await ann.see("message 2");
  const height = () =>
    ann.page.locator(".entry").nth(1).evaluate((entry) => entry.getBoundingClientRect().height);
  assertEquals(await ann.page.locator(".entry").nth(0).getByRole("button").count(), 0);
  const folded = await height();
  assert(folded > 300 && folded < 700, `${folded} px`);
  const button = ann.page.getByRole("button", { name: "Show all", expanded: false });
  // At the end, where the view goes along with what comes, it stays for this.
  await button.scrollIntoViewIfNeeded();
  const text = ann.page.locator(".entry").nth(1).locator(".text");
  const before = (await text.boundingBox())!.y;
  await button.press("Enter");
  assert(await height() > 90_000);
  assertNear((await text.boundingBox())!.y, before);
  // Whoever has read to its end is not left somewhere else.
  const less = ann.page.getByRole("button", { name: "Show less", expanded: true });
  await less.scrollIntoViewIfNeeded();
  const end = (await less.boundingBox())!.y;
  await less.press("Enter");
  assertEquals(await height(), folded);
  assertNear((await button.boundingBox())!.y, end);
});

Deno.test("what is copied has each text on lines of its own, and who said it and when before it", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, {
    timezoneId: "Asia/Tokyo",
    locale: "en-GB",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const at = (id: string, nickname: string, message: string) => ({
    id,
    nickname,
    message,
    time: "2026-03-01T05:41:00.000Z",
  });
  await ann.page.route(/\/chat(\?|$)/, (route) =>
    route.fulfill({
      json: [
        at("1-1", "ann", "hello"),
        at("1-2", "ann", "see https://deno.com"),
        at("1-3", "ben", "two\nlines"),
      ],
    }));
  await ann.page.goto(chat.url);
  await ann.see("hello");
  const copy = async (from: [text: number, offset: number], to: [text: number, offset: number]) => {
    await ann.page.evaluate(([from, to]) => {
      const texts = document.querySelectorAll(".transcript .text");
      const ends = [from, to].map(([text, offset]) => [texts[text].firstChild!, offset] as const);
      getSelection()!.setBaseAndExtent(...ends[0], ...ends[1]);
    }, [from, to] as const);
    await ann.page.keyboard.press("Control+c");
    return await ann.page.evaluate(() => navigator.clipboard.readText());
  };
  // The browser's own copying: within a group too, no time runs into a text.
  assertEquals(
    (await copy([0, 2], [2, 9])).split(/\n+/),
    ["llo", "ann,14:41", "see https://deno.com", "ben, 14:41", "two", "lines"],
  );
  assertEquals(await copy([0, 1], [0, 4]), "ell");
});

Deno.test("the topmost message stays where it is when the window is turned or text enlarged", async () => {
  await using chat = await ChatProcess.start();
  const sentence = "a sentence that takes more lines the narrower the window is ".repeat(4);
  await postAll(chat.url, numbered("message", 40).map((text) => `${text}: ${sentence}`));
  await using ann = await Visitor.arrive(browser(), chat.url, {
    viewport: { width: 400, height: 800 },
  });
  await ann.page.getByText("message 40:").waitFor();
  await ann.connection("Live");
  /** The topmost message, and which part of it is above the top of the conversation. */
  const topmost = () =>
    ann.log.evaluate((log) => {
      const { top } = log.getBoundingClientRect();
      const texts = [...log.querySelectorAll(".text")];
      const text = texts.find((text) => text.getBoundingClientRect().bottom > top)!;
      const box = text.getBoundingClientRect();
      return [text.textContent!.split(":")[0], (top - box.top) / box.height] as const;
    });
  /** Scrolls until so much of it is. */
  const scrollInto = (part: number) =>
    ann.log.evaluate((log, part) => {
      const text = [...log.querySelectorAll(".text")].at(-20)!;
      const { top, height } = text.getBoundingClientRect();
      log.scrollTop += top - log.getBoundingClientRect().top + part * height;
      return new Promise<void>((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    }, part);
  const changes: [string, () => Promise<void>][] = [
    ["turned", () => ann.page.setViewportSize({ width: 800, height: 400 })],
    ["back", () => ann.page.setViewportSize({ width: 400, height: 800 })],
    [
      // So much that it is scrolled to its end when it is laid out.
      "made tiny",
      () =>
        ann.log.evaluate((log) => {
          document.documentElement.style.fontSize = "30%";
          log.getBoundingClientRect();
        }),
    ],
    [
      "enlarged",
      () => ann.page.evaluate(() => void (document.documentElement.style.fontSize = "150%")),
    ],
    [
      "reduced",
      () => ann.page.evaluate(() => void (document.documentElement.style.fontSize = "")),
    ],
  ];
  for (const part of [0, 0.4, 0.8]) {
    await scrollInto(part);
    const [message] = await topmost();
    for (const [name, change] of changes) {
      await change();
      // Painted, and whatever scrolls because of it has scrolled.
      await ann.page.evaluate(() =>
        new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
      );
      const [now, above] = await topmost();
      assertEquals(now, message, `${name}, ${part} above`);
      assert(Math.abs(above - part) < 0.05, `${name}: ${above} is above, not ${part}`);
    }
  }
});

Deno.test("older messages that can't be loaded are loaded when the connection is back, or at a click", async () => {
  await using chat = await ChatProcess.start();
  await fill(chat.url, 160);
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url, SMALL);
  await ann.see("message 160");
  await ann.connection("Live");
  network.cut();
  await ann.connection("Reconnecting");
  await scrollTo(ann, 0);
  await ann.page.getByRole("button", { name: "Older messages could not be loaded." }).waitFor();
  network.mend();
  await ann.see("message 61");

  // And while the stream is as it should be.
  const answer = Promise.withResolvers<void>();
  let isRefused = true;
  await ann.page.route(/before=/, async (route) => {
    if (isRefused) return route.abort();
    await answer.promise;
    await route.continue();
  });
  await scrollTo(ann, 0);
  const button = ann.page.getByRole("button", { name: "Older messages could not be loaded." });
  await button.waitFor();
  isRefused = false;
  await button.click();
  await ann.page.getByRole("button", { name: "Loading older messages…" }).waitFor();
  answer.resolve();
  await ann.see("message 11");
  await ann.page.unrouteAll();
  await scrollTo(ann, 0);
  await ann.see("message 1");
  assert(await ann.page.locator(".older").isHidden());
});

Deno.test("the newest messages come also if older ones are loading when they are asked for", async () => {
  await using chat = await ChatProcess.start();
  await fill(chat.url, 1100);
  await using ann = await Visitor.arrive(browser(), chat.url, SMALL);
  await ann.see("message 1100");
  await ann.connection("Live");
  await scrollUntilCut(ann);
  const release = await ann.hold(/before=/);
  await scrollTo(ann, 0);
  await ann.page.getByRole("button", { name: "Loading older messages…" }).waitFor();
  await ann.page.locator(".newer").click();
  release();
  await ann.see("message 1100");
  assertNear(await fromEnd(ann), 0);
});

Deno.test("what comes while the newest messages are loading comes after them", async () => {
  await using chat = await ChatProcess.start();
  await fill(chat.url, 1100);
  await using ann = await Visitor.arrive(browser(), chat.url, SMALL);
  await ann.see("message 1100");
  await ann.connection("Live");
  await scrollUntilCut(ann);
  const answer = await ann.holdAnswer(/\/chat\?removed=$/);
  await ann.page.locator(".newer").click();
  await answer.whenThere();
  await post(chat.url, "newer");
  await ann.page.getByRole("button", { name: "1 new message" }).waitFor();
  answer.release();
  await ann.see("newer");
  assertEquals((await ann.texts).slice(-2), ["message 1100", "newer"]);
  assertNear(await fromEnd(ann), 0);
});

Deno.test("a page that can't keep up shows the newest messages, and asks for none again", async () => {
  await using chat = await ChatProcess.start();
  await fill(chat.url, 100);
  await using ann = await Visitor.arrive(browser(), chat.url, SMALL);
  await ann.see("message 100");
  await ann.connection("Live");
  const asked: string[] = [];
  ann.page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  const release = await ann.hold("**/nothing");
  // It does nothing else until that is answered.
  const stopped = ann.page.evaluate(() => {
    const request = new XMLHttpRequest();
    request.open("GET", "nothing", false);
    request.send();
  });
  await postAll(chat.url, numbered("message", 1500, 101));
  release();
  await stopped;
  await ann.see("message 1500");
  assertNear(await fromEnd(ann), 0);
  assertEquals(asked, ["/nothing"]);
});

Deno.test("a gap is a line before what came after it, also in a tab that catches up late", async () => {
  await using chat = await ChatProcess.start(["--keep", "5", "--heartbeat", "3600"]);
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  await post(chat.url, "seen");
  await ann.see("seen");
  const other = await ann.openTab();
  await other.connection("Live");
  await ann.turn("pagehide");
  await postAll(chat.url, numbered("missed", 2000));
  await other.see("missed 2000");
  // What it missed takes a while, and meanwhile more comes through the stream.
  const answer = await ann.holdAnswer(/since=/);
  await ann.turn("pageshow");
  await answer.whenThere();
  await post(chat.url, "newer");
  await ann.see("newer");
  answer.release();
  await ann.see("missed 2000");
  const lines = await ann.page.locator(".transcript > :not(.mark)").allInnerTexts();
  assertEquals(lines[1], "1,995 messages are no longer kept");
  assertEquals(await ann.texts, [
    "seen",
    ...[1996, 1997, 1998, 1999, 2000].map((n) => `missed ${n}`),
    "newer",
  ]);
});

Deno.test("both fields take the direction of what is typed, and no name is translated", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.nickname.fill("ליאור");
  await ann.message.fill("שלום");
  for (const field of [ann.nickname, ann.message]) {
    assertEquals(await field.evaluate((field) => getComputedStyle(field).direction), "rtl");
  }
  await ann.message.press("Enter");
  await ann.see("שלום");
  assertEquals(await ann.page.locator(".author").first().getAttribute("translate"), "no");
});
