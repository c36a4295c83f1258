/** How the page is laid out: at every size, in every state, and that nothing moves between them. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { BrowserContextOptions, Locator } from "playwright-core";
import { numbered, post, postAll } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";

const browser = useBrowser();
const WIDE = { viewport: { width: 1000, height: 680 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const SIZES: BrowserContextOptions[] = [
  WIDE,
  PHONE,
  { viewport: { width: 740, height: 170 } },
  { viewport: { width: 427, height: 240 } },
  // 1280 × 1024 at 400 %.
  { viewport: { width: 320, height: 256 } },
];

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

async function boxOf(locator: Locator): Promise<Box> {
  return (await locator.boundingBox())!;
}

/** By how much one box lies over the other, up and down. */
function overlap(a: Box, b: Box): number {
  return Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
}

/** To the pixel: what is laid out has fractions of one. */
function assertNear(actual: number, expected: number, what?: string): void {
  assert(Math.abs(actual - expected) <= 1, `${what ?? "it"} is ${actual}, not ${expected}`);
}

function send({ page }: Visitor) {
  return page.getByRole("button", { name: "Send" });
}

async function tapSend(ann: Visitor, message: string): Promise<void> {
  await ann.message.fill(message);
  await send(ann).click();
}

for (const size of SIZES) {
  const { width, height } = size.viewport!;
  Deno.test(`nothing covers anything, in any state, at ${width} × ${height}`, async () => {
    await using chat = await ChatProcess.start();
    await using network = new FlakyNetwork(chat.port);
    await using ann = await Visitor.arrive(browser(), network.url, size);
    const check = async (state: string) => {
      const [header, log, form] = await Promise.all(
        ["header", ".conversation", "form"].map((selector) => boxOf(ann.page.locator(selector))),
      );
      assert(overlap(header, log) <= 0, `${state}: the header covers the log`);
      assert(overlap(log, form) <= 0, `${state}: the form covers the log`);
      assert(log.height >= 48, `${state}: the log has ${log.height} pixels`);
      // Two lines of text at least are there to be read.
      const wide = await ann.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert(wide <= 0, `${state}: ${wide} pixels too wide`);
    };
    await ann.connection("1 online");
    await check("empty");
    await postAll(chat.url, numbered("message", 30));
    await ann.see("message 30");
    await ann.nickname.fill("ann");
    await check("busy");
    await ann.message.fill("word ".repeat(801));
    await send(ann).click();
    await ann.page.getByRole("alert").getByText("Too long by").waitFor();
    await check("too long");
    await ann.message.fill("");

    await ann.log.evaluate((log) => {
      log.scrollTop = 100;
      return new Promise<void>((resolve) => log.onscroll = () => resolve());
    });
    await post(chat.url, "below");
    const newer = ann.page.getByRole("button", { name: "1 new message" });
    await newer.waitFor();
    await check("new message below");
    // Where there is room it lies over the last lines, which fade out above it.
    if (height < 400) {
      assert(overlap(await boxOf(newer), await boxOf(ann.log)) <= 0, "it covers messages");
    }
    await newer.click();

    network.cut();
    await ann.connection("Reconnecting");
    await tapSend(ann, "meanwhile");
    await ann.unsent.getByText("Waiting for the connection").waitFor();
    await check("waiting");
  });
}

for (const size of [WIDE, PHONE, SIZES.at(-1)!]) {
  const { width } = size.viewport!;
  Deno.test(`nothing moves with the state of the connection, nor in the form, ${width} wide`, async () => {
    await using chat = await ChatProcess.start();
    await using network = new FlakyNetwork(chat.port);
    await using ann = await Visitor.arrive(browser(), network.url, size);
    const measure = () =>
      ann.page.evaluate(() =>
        ["header", "h1", ".connection", ".state", ".notify", "form", ".box", ".submit button"].map(
          (selector) => {
            const { left, top } = document.querySelector(selector)!.getBoundingClientRect();
            const { height } = document.querySelector(selector)!.getBoundingClientRect();
            return `${selector}: ${left}, ${top}, ${height} high`;
          },
        )
      );
    await ann.connection("1 online");
    const live = await measure();
    await ann.nickname.fill("ann");
    await tapSend(ann, "hello");
    await ann.see("hello");
    assertEquals(await measure(), live, "named");
    network.cut();
    await ann.connection(/in \d+ s/);
    assertEquals(await measure(), live, "reconnecting");
    await ann.page.context().setOffline(true);
    await ann.connection("Offline");
    assertEquals(await measure(), live, "offline");
  });
}

Deno.test("the page loads without a shift, for whoever has been here before", async () => {
  await using chat = await ChatProcess.start();
  await postAll(chat.url, numbered("message", 60));
  await using ann = await Visitor.arrive(browser(), chat.url, PHONE);
  await ann.nickname.fill("ann");
  await ann.connection("Live");
  await ann.page.addInitScript(() => {
    const shifts: string[] = [];
    Object.assign(globalThis, { shifts });
    new PerformanceObserver((list) => {
      for (
        const entry of list.getEntries() as (PerformanceEntry & { sources: { node?: Node }[] })[]
      ) {
        shifts.push(
          ...entry.sources.map(({ node }) =>
            (node as Element)?.outerHTML ?? JSON.stringify(list.getEntries())
          ),
        );
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await ann.page.reload();
  await ann.see("message 60");
  await ann.connection("1 online");
  const shifts = await ann.page.evaluate(() =>
    new Promise<string[]>((resolve) =>
      requestAnimationFrame(() =>
        setTimeout(() => resolve((globalThis as unknown as { shifts: string[] }).shifts))
      )
    )
  );
  assertEquals(shifts, []);
});

Deno.test("writing takes one row: Send is as high as the box, and stays at its foot when it grows", async () => {
  await using chat = await ChatProcess.start();
  for (const size of [WIDE, PHONE]) {
    await using ann = await Visitor.arrive(browser(), chat.url, size);
    const box = ann.page.locator(".box");
    const form = await boxOf(ann.page.locator("form"));
    assert(form.height <= 80, `the form takes ${form.height} pixels`);
    const [{ y, height }, button] = [await boxOf(box), await boxOf(send(ann))];
    assertNear(button.y, y);
    assertNear(button.height, height);

    await ann.message.fill("one\ntwo\nthree");
    const grown = await boxOf(box);
    const line = (grown.height - height) / 2;
    assert(line >= 20 && line <= 30, `a line adds ${line} pixels`);
    await ann.message.fill("line\n".repeat(100));
    const full = await boxOf(box);
    assertNear(full.height, height + 7 * line);
    const foot = await boxOf(send(ann));
    assertNear(foot.y + foot.height, full.y + full.height);
    // The counter has room above Send, and widens nothing.
    await ann.message.fill("x".repeat(4001));
    assertEquals((await boxOf(send(ann))).x, button.x);
  }
});

Deno.test("a message stays where it is when the server has it", async () => {
  await using chat = await ChatProcess.start();
  await post(chat.url, "hello");
  for (const size of [WIDE, PHONE]) {
    await using ann = await Visitor.arrive(browser(), chat.url, size);
    await ann.see("hello");
    await ann.nickname.fill("ann");
    // The first of a group has a line for the time, those after it have none.
    for (const text of ["a first message, long enough for more than one line on a phone", "more"]) {
      const release = await ann.holdPosts();
      await tapSend(ann, text);
      await ann.unsent.getByText("Sending…").waitFor();
      const sending = await boxOf(ann.unsent.locator(".bubble"));
      release();
      await ann.unsent.waitFor({ state: "detached" });
      const sent = await boxOf(ann.page.locator(".transcript .own .bubble").last());
      for (const side of ["x", "y", "width", "height"] as const) {
        assertNear(sent[side], sending[side], `${text}: ${side}`);
      }
      await ann.page.unrouteAll();
    }
  }
});

Deno.test("no line is cut through its letters under the header or over the form", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, WIDE);
  for (let n = 1; n <= 30; n++) await post(chat.url, `message ${n}\nand its second line`, `p${n}`);
  await ann.log.getByText("message 30").waitFor();
  /** How far the pixels of a row differ from the first of them, which is background. */
  const contrast = async (y: number) => {
    const { x, width } = await boxOf(ann.page.locator("header"));
    const png = await ann.page.screenshot({ clip: { x, y, width, height: 1 } });
    return await ann.page.evaluate(async (bytes) => {
      const image = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
      const context = new OffscreenCanvas(image.width, 1).getContext("2d")!;
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, image.width, 1);
      return Math.max(...data.map((value, index) => Math.abs(value - data[index % 4])));
    }, [...png]);
  };
  const { y, height } = await boxOf(ann.log);
  for (let scroll = 200; scroll < 230; scroll += 5) {
    await ann.log.evaluate((log, scroll) => {
      log.scrollTop = scroll;
      return new Promise<void>((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    }, scroll);
    assert(await contrast(y) <= 16, `cut at the top, scrolled by ${scroll}`);
    assert(await contrast(y + height - 1) <= 16, `cut at the foot, scrolled by ${scroll}`);
  }
});

Deno.test("a group says who and when once, and the time of each is found by its message", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, WIDE);
  await post(chat.url, "one");
  await post(chat.url, "two");
  await ann.see("two");
  const times = ann.page.locator(".transcript time");
  const areSeen = async () =>
    await times.evaluateAll((times) =>
      times.map((time) => time.checkVisibility() && time.parentElement!.offsetHeight > 1)
    );
  assertEquals(await areSeen(), [true, false]);
  const before = await boxOf(ann.page.locator(".bubble").last());
  await ann.log.getByText("two").hover();
  assertEquals(await areSeen(), [true, true]);
  assertEquals(await boxOf(ann.page.locator(".bubble").last()), before);
  const [time, bubble] = [await boxOf(times.last()), before];
  assert(time.x >= bubble.x + bubble.width, "the time lies over the message");
  // Own messages say when, for their side says who.
  await ann.send("three", "ann");
  await ann.see("three");
  assertMatch(await ann.page.locator(".own .byline").innerText(), /^\s*ann,\s*\d\d:\d\d$/);
  assert(
    (await boxOf(ann.page.locator(".own .author"))).width <= 1 ||
      (await boxOf(ann.page.locator(".own .who"))).width <= 1,
  );
});

Deno.test("lines between messages have as much room above as below", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), "about:blank", WIDE);
  const at = (time: string, nickname: string) => ({
    id: `${Date.parse(time)}-1`,
    nickname,
    message: "hello",
    time,
  });
  await ann.page.route(
    /\/chat(\?|$)/,
    (route) =>
      route.fulfill({
        json: [at("2026-03-01T12:00:00.000Z", "ben"), at("2026-03-02T12:00:00.000Z", "ben")],
      }),
    { times: 1 },
  );
  await ann.page.goto(chat.url);
  await ann.connection("Live");
  await ann.look(false);
  await post(chat.url, "missed");
  await ann.see("missed");
  await ann.look(true);
  /** The room from a line's words to what is above and below. */
  const room = (line: Locator) =>
    line.evaluate((line) => {
      const boxes = [...document.querySelectorAll(".bubble, .byline")]
        .map((element) => element.getBoundingClientRect());
      const range = document.createRange();
      range.selectNodeContents(line);
      const { top, bottom } = range.getBoundingClientRect();
      return [
        Math.min(...boxes.map((box) => top - box.bottom).filter((room) => room > 0)),
        Math.min(...boxes.map((box) => box.top - bottom).filter((room) => room > 0)),
      ];
    });
  for (const selector of [".day:not(:first-child > *)", ".mark"]) {
    const [above, below] = await room(ann.page.locator(selector).first());
    assertNear(above, below, selector);
  }
});

Deno.test("a long title is on the page whole, and covers neither the connection nor the button", async () => {
  const title = "Introduction to programming with functions, second term, room 4";
  await using chat = await ChatProcess.start(["--title", title]);
  for (const size of [WIDE, PHONE]) {
    await using ann = await Visitor.arrive(browser(), chat.url, size);
    await ann.connection("1 online");
    const boxes = await Promise.all(
      ["h1", ".connection", ".notify"].map((each) => boxOf(ann.page.locator(each))),
    );
    for (const [index, one] of boxes.entries()) {
      assert(one.width > 60 && one.x + one.width <= size.viewport.width);
      for (const other of boxes.slice(index + 1)) {
        const isBeside = one.x + one.width <= other.x || other.x + other.width <= one.x;
        assert(isBeside || overlap(one, other) <= 0, "one covers the other");
      }
    }
  }
});

Deno.test("the empty room says where it is, and at localhost that others can't get there", async () => {
  await using chat = await ChatProcess.start();
  const hint = "the terminal says how to let others in";
  for (const [host, isLocal] of [["localhost", true], ["chat.test", false]] as const) {
    const url = `http://${host}:${chat.port}/`;
    await using ann = await Visitor.arrive(browser(), url);
    await ann.log.getByText(url).waitFor();
    assertEquals(await ann.log.getByText(hint).isVisible(), isLocal);
  }
});

Deno.test("on paper is the whole conversation, and nothing to press", async () => {
  await using chat = await ChatProcess.start();
  await postAll(chat.url, numbered("message", 45));
  await post(chat.url, "a line\n".repeat(60));
  await using ann = await Visitor.arrive(browser(), chat.url, { ...PHONE, colorScheme: "dark" });
  await ann.see("message 45");
  await ann.page.getByRole("button", { name: "Show all" }).waitFor();
  await ann.page.emulateMedia({ media: "print" });
  const [first, last] = await Promise.all(
    [ann.page.locator(".entry").first(), ann.page.locator(".entry").last()].map(boxOf),
  );
  const page = await ann.page.evaluate(() => document.documentElement.scrollHeight);
  assert(first.y >= 0 && last.y + last.height <= page, "not all of it is on the page");
  const lines = await ann.page.locator(".entry").last().locator(".text").evaluate((text) =>
    text.getBoundingClientRect().height / parseFloat(getComputedStyle(text).lineHeight)
  );
  assert(lines >= 60, `${lines} lines of a long message`);
  for (const button of await ann.page.locator("button:not(h1 *), textarea, input").all()) {
    assert(await button.isHidden(), await button.innerHTML());
  }
});

Deno.test("on a touch screen everything is large enough for a finger, and no field zooms", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url, PHONE);
  await ann.connection("Live");
  await ann.nickname.fill("ann");
  network.cut();
  await ann.connection("Reconnecting");
  await tapSend(ann, "meanwhile");
  await ann.unsent.getByText("Waiting").waitFor();
  const targets = await ann.page.locator("button:visible, .name, .box").all();
  assertEquals(targets.length, 8);
  for (const target of targets) {
    const { width, height } = await boxOf(target);
    assert(Math.min(width, height) >= 44, `${await target.innerHTML()}: ${width} × ${height}`);
  }
  // Nothing lies over the small field's large target.
  const hits = await ann.page.locator(".name").evaluate((name) => {
    const { left, right, top, bottom } = name.getBoundingClientRect();
    return [top + 1, bottom - 1].flatMap((y) => [left + 1, right - 1].map((x) => [x, y]))
      .map(([x, y]) => name.contains(document.elementFromPoint(x, y)));
  });
  assertEquals(hits, [true, true, true, true]);
  const sizes = await ann.page.locator("input, textarea").evaluateAll((fields) =>
    fields.map((field) => parseFloat(getComputedStyle(field).fontSize))
  );
  assert(sizes.every((size) => size >= 16), `${sizes}`);
  assertEquals(await ann.message.getAttribute("enterkeyhint"), "enter");
});
