/** How the conversation looks and moves, and that nothing in it can do harm. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ChatProcess } from "../chat_process.ts";
import { post, useBrowser, Visitor } from "./browser.ts";

const browser = useBrowser();
const SMALL = { viewport: { width: 600, height: 500 } };

async function fill(url: string, count: number): Promise<void> {
  for (let n = 1; n <= count; n++) await post(url, `message ${n}`);
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

Deno.test("every nickname has a stable colour with enough contrast in both schemes", async () => {
  await using chat = await ChatProcess.start();
  for (const colorScheme of ["light", "dark"] as const) {
    await using ann = await Visitor.arrive(browser(), chat.url, { colorScheme });
    await ann.connection("Live");
    if (colorScheme === "light") await post(chat.url, "hello", "ben");
    await ann.see("hello");
    const { least, hue } = await ann.page.locator(".author").first().evaluate((author) => {
      const context = document.createElement("canvas").getContext("2d")!;
      const luminance = (color: string) => {
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((value) => {
          const part = value / 255;
          return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const element = author as HTMLElement;
      const hue = element.style.getPropertyValue("--hue");
      const background = luminance(getComputedStyle(document.body).backgroundColor);
      let least = Infinity;
      for (let hue = 0; hue < 360; hue++) {
        element.style.setProperty("--hue", String(hue));
        const [light, dark] = [luminance(getComputedStyle(element).color), background]
          .toSorted((a, b) => b - a);
        least = Math.min(least, (light + 0.05) / (dark + 0.05));
      }
      return { least, hue };
    });
    assert(least >= 4.5, `${colorScheme}: ${least}`);
    assertEquals(hue, String((((98 * 31 + 101) * 31 + 110) * 137) % 360));
  }
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

Deno.test("scrolling up brings older messages, and the view does not move", async () => {
  await using chat = await ChatProcess.start();
  await fill(chat.url, 120);
  await using ann = await Visitor.arrive(browser(), chat.url, SMALL);
  await ann.see("message 120");
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
  for (let n = 101; n <= 1100; n++) await post(chat.url, `message ${n}`);
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

Deno.test("whoever comes back to the tab sees where they had read to", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  await post(chat.url, "seen");
  await ann.see("seen");
  await ann.look(false);
  await post(chat.url, "missed one");
  await post(chat.url, "missed two");
  await ann.see("missed two");
  assertEquals(await ann.page.title(), "(2) Simple Chat");
  await ann.look(true);
  assertEquals(await ann.page.title(), "Simple Chat");
  assertEquals(
    await ann.page.locator(".transcript > *").allInnerTexts().then((lines) =>
      lines.map((line) => line.match(/seen|missed \w+|New since you left/)?.[0])
    ),
    ["seen", "New since you left", "missed one", "missed two"],
  );
});

Deno.test("a notification and a sound come when hidden, and only if asked for", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), "about:blank", {
    permissions: ["notifications"],
  });
  await ann.page.addInitScript(() => {
    const calls: string[] = [];
    Object.assign(globalThis, { calls });
    class FakeNotification extends EventTarget {
      static permission = "granted";
      static requestPermission() {
        calls.push("asked");
      }
      constructor(title: string, { body }: { body: string }) {
        super();
        calls.push(`${title}: ${body}`);
      }
    }
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...args) {
      calls.push("sound");
      start.apply(this, args);
    };
    Object.assign(globalThis, { Notification: FakeNotification });
  });
  const calls = () => ann.page.evaluate(() => (globalThis as unknown as { calls: string[] }).calls);
  await ann.page.goto(chat.url);
  await ann.connection("Live");
  await ann.look(false);
  await post(chat.url, "unasked");
  await ann.see("unasked");
  assertEquals(await calls(), []);
  await ann.look(true);
  await ann.page.getByRole("button", { name: "Notify" }).click();
  await post(chat.url, "visible");
  await ann.see("visible");
  assertEquals(await calls(), ["asked"]);
  await ann.look(false);
  await post(chat.url, "hidden");
  await ann.see("hidden");
  assertEquals(await calls(), ["asked", "sound", "ben: hidden"]);
  await ann.page.getByRole("button", { name: "Notify", pressed: true }).click();
  await post(chat.url, "off again");
  await ann.see("off again");
  assertEquals((await calls()).length, 3);
});
