/// <reference lib="dom" />
/** A moderator at the page: what is removed is gone from every page, and who may write. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { BrowserContextOptions } from "playwright-core";
import { numbered, post, postAll } from "../chat_client.ts";
import { useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";
import { arriveAsModerator, moderate, Newcomer, startModerated } from "./moderated_chat.ts";

const browser = useBrowser();
const arrive = (url: string, options?: BrowserContextOptions) =>
  Visitor.arrive(browser(), url, options);
const arriveInCharge = (url: string, options?: BrowserContextOptions) =>
  arriveAsModerator(browser(), url, options);

/** Lines between messages. */
function lines({ page }: Visitor) {
  return page.locator(".transcript .line");
}

function dialog({ page }: Visitor) {
  return page.getByRole("dialog");
}

async function press({ page }: Visitor, name: string): Promise<void> {
  await page.getByRole("button", { name, exact: true }).click();
}

/** Opens what may be done about a message. */
async function openMenu({ page }: Visitor, text: string): Promise<void> {
  const entry = page.locator(".entry").filter({ has: page.getByText(text, { exact: true }) });
  await entry.hover();
  await entry.getByRole("button", { name: "Moderate" }).click();
  await page.getByRole("dialog").waitFor();
}

async function texts(visitor: Visitor, expected: string[]): Promise<void> {
  await visitor.page.waitForFunction((expected) => {
    const texts = [...document.querySelectorAll(".transcript .text, .transcript .removed")];
    return texts.map(({ textContent }) => textContent).join("\n") === expected;
  }, expected.join("\n"));
}

Deno.test("what is removed goes from every tab, with one line for what stood together", async () => {
  await using chat = await startModerated();
  await using ann = await arrive(chat.url);
  const tab = await ann.openTab();
  await tab.connection("Live");
  await ann.send("mine", "ann");
  await ann.see("mine");
  const sent = [];
  for (let n = 1; n <= 4; n++) sent.push(await post(chat.url, `message ${n}`));
  await ann.see("message 4");
  await moderate(chat.url, { action: "remove", id: sent[1].id });
  const removed = "A moderator removed a message";
  for (const each of [ann, tab]) {
    await texts(each, ["mine", "message 1", removed, "message 3", "message 4"]);
  }
  assertEquals(await ann.page.locator("#news").textContent(), removed);
  // What follows a line has its author again.
  assert(await ann.page.locator(".entry:has-text('message 3') .author").isVisible());
  await moderate(chat.url, { action: "remove", id: sent[2].id });
  await moderate(chat.url, { action: "remove", id: sent[0].id });
  for (const each of [ann, tab]) {
    await texts(each, ["mine", "A moderator removed 3 messages", "message 4"]);
  }
  assertEquals(await ann.page.locator(".transcript .own .text").allTextContents(), ["mine"]);
  await ann.page.reload();
  await texts(ann, ["mine", "message 4"]);
});

Deno.test("a room that is cleared is empty, and goes on", async () => {
  await using chat = await startModerated();
  await using ann = await arrive(chat.url);
  await ann.connection("Live");
  await postAll(chat.url, numbered("message", 70));
  await ann.see("message 70");
  await moderate(chat.url, { action: "clear" });
  await texts(ann, ["A moderator cleared the room"]);
  assertEquals(await ann.page.locator("#news").textContent(), "A moderator cleared the room");
  await post(chat.url, "from here on");
  await texts(ann, ["A moderator cleared the room", "from here on"]);
  assert(await ann.page.locator(".older").isHidden());
  await ann.page.reload();
  await texts(ann, ["from here on"]);
});

Deno.test("what was removed while a page had no connection is gone once it has one", async () => {
  await using chat = await startModerated();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await arrive(network.url);
  await ann.connection("Live");
  const { id } = await post(chat.url, "not for long");
  await post(chat.url, "stays");
  await ann.see("stays");
  network.cut();
  await ann.connection("Reconnecting");
  await moderate(chat.url, { action: "remove", id });
  await post(chat.url, "meanwhile");
  network.mend();
  await texts(ann, ["A moderator removed a message", "stays", "meanwhile"]);
});

Deno.test("a page that was fetched before a removal and comes after it does not bring it back", async () => {
  await using chat = await startModerated();
  const { id } = await post(chat.url, "not for long");
  await postAll(chat.url, numbered("message", 60));
  await using ann = await arrive(chat.url);
  await ann.connection("Live");
  const answer = await ann.holdAnswer(/before=/);
  await ann.log.evaluate((log) => log.scrollTop = 0);
  await answer.whenThere();
  await moderate(chat.url, { action: "remove", id });
  // The stream has brought the removal: this comes after it.
  await post(chat.url, "after it");
  await ann.page.getByRole("button", { name: "1 new message" }).waitFor();
  answer.release();
  await ann.see("message 1");
  assertEquals(await ann.page.getByText("not for long").count(), 0);
});

Deno.test("the reader stays where they are, whatever is removed above and around", async () => {
  await using chat = await startModerated();
  const sent = [];
  for (let n = 0; n < 50; n++) sent.push(await post(chat.url, `message ${n}\nof two lines`));
  await using ann = await arrive(chat.url);
  await ann.connection("Live");
  const entry = (n: number) => ann.page.locator(".entry", { hasText: `message ${n}\n` });
  const top = async (n: number) => (await entry(n).locator(".text").boundingBox())!.y;
  await entry(20).evaluate((entry) => {
    entry.scrollIntoView();
    return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  });
  const before = await top(22);
  for (const n of [3, 4, 19, 20, 21]) {
    await moderate(chat.url, { action: "remove", id: sent[n].id });
  }
  await entry(21).waitFor({ state: "detached" });
  assert(Math.abs(await top(22) - before) <= 1, `moved by ${await top(22) - before}`);
});

Deno.test("what was removed is not counted as unread, and its notification is taken back", async () => {
  await using chat = await startModerated();
  await using ann = await arrive("about:blank");
  await ann.page.context().addInitScript(() => {
    const calls: string[] = [];
    Object.assign(globalThis, {
      calls,
      Notification: class extends EventTarget {
        static permission = "granted";
        static requestPermission(): Promise<string> {
          return Promise.resolve("granted");
        }
        constructor(readonly title: string, readonly options: { body: string }) {
          super();
          calls.push(options.body);
        }
        close() {
          calls.push(`withdrawn: ${this.options.body}`);
        }
      },
    });
  });
  await ann.page.goto(chat.url);
  await ann.connection("Live");
  await press(ann, "Notify");
  await ann.look(false);
  const { id } = await post(chat.url, "an insult");
  await ann.page.waitForFunction(() => document.title === "(1) Simple Chat");
  await post(chat.url, "something else");
  await ann.page.waitForFunction(() => document.title === "(2) Simple Chat");
  await moderate(chat.url, { action: "remove", id });
  await ann.page.waitForFunction(() => document.title === "(1) Simple Chat");
  await ann.page.getByText("1 message while you were away").first().waitFor();
  const calls = await ann.page.evaluate(() => (globalThis as unknown as { calls: string[] }).calls);
  assertEquals(calls.slice(0, 2), ["an insult", "withdrawn: an insult"]);
  await moderate(chat.url, { action: "clear" });
  await ann.page.waitForFunction(() => document.title === "Simple Chat");
  assertEquals(await ann.page.locator(".mark").count(), 0);
});

Deno.test("a reader who was far from the end finds it again though the last message is removed", async () => {
  await using chat = await startModerated();
  await postAll(chat.url, numbered("message", 1100));
  await using ann = await arrive(chat.url);
  await ann.connection("Live");
  const newest = ann.page.getByRole("button", { name: "Newest messages" });
  // Up, until the end is cut off.
  while (!await newest.isVisible()) {
    await ann.log.evaluate((log) => {
      log.scrollTop = 0;
      return new Promise(requestAnimationFrame);
    });
  }
  const { id } = await post(chat.url, "the last");
  await ann.page.getByRole("button", { name: "1 new message" }).waitFor();
  await moderate(chat.url, { action: "remove", id });
  await newest.waitFor();
  while (await newest.isVisible()) {
    await ann.log.evaluate((log) => {
      log.scrollTop = log.scrollHeight;
      return new Promise(requestAnimationFrame);
    });
  }
  assertEquals((await ann.texts).at(-1), "message 1100");
  await post(chat.url, "and on");
  await ann.see("and on");
});

Deno.test("a flood is removed in one go, and what it had pushed away comes back", async () => {
  await using chat = await startModerated();
  await using ann = await arrive(chat.url);
  await ann.connection("Live");
  await post(chat.url, "before the flood");
  const flooder = await Newcomer.arrive(chat.url);
  for (let n = 1; n <= 1200; n++) await flooder.post(`flood ${n}`, "troll");
  await ann.see("flood 1200");
  assertEquals(await ann.page.getByText("before the flood").count(), 0);
  const { by } = await flooder.post("and one more", "troll");
  await ann.see("and one more");
  await moderate(chat.url, { action: "remove", by: by! });
  await ann.see("before the flood");
  assertEquals(await ann.texts, ["before the flood"]);
  assertMatch((await lines(ann).last().textContent())!, /^A moderator removed \d+ messages$/);
});

Deno.test("a moderator's messages say so, and nobody else can look like that", async () => {
  await using chat = await startModerated();
  await using ann = await arrive(chat.url, { colorScheme: "dark", forcedColors: "active" });
  await using moran = await arriveInCharge(chat.url);
  await moran.send("Welcome", "Ms Moran");
  await ann.see("Welcome");
  await post(chat.url, "I am it", "Moderator");
  await post(chat.url, "No, I", "Ms Moran, Moderator");
  await ann.see("No, I");
  const entry = (text: string) =>
    ann.page.locator(".entry").filter({ has: ann.page.getByText(text, { exact: true }) });
  const mark = (text: string) =>
    entry(text).locator(".moderator").and(ann.page.getByText("Moderator"));
  assert(await mark("Welcome").isVisible());
  assertEquals(
    await mark("Welcome").evaluate((mark) => getComputedStyle(mark).borderTopStyle),
    "solid",
  );
  assertMatch(await entry("Welcome").ariaSnapshot(), /Ms Moran, Moderator/);
  assert(await moran.page.locator(".own .moderator").isVisible());
  for (const text of ["I am it", "No, I"]) assert(await mark(text).isHidden(), text);
  assertEquals(await entry("No, I").locator("bdi.author").textContent(), "Ms Moran, Moderator");
  await ann.page.goto(`${chat.url}/chat?html`);
  assertEquals(await ann.page.locator(".moderator").count(), 1);
  assertStringIncludes(await entry("Welcome").innerText(), "Moderator");
});

Deno.test("those who do not moderate see nothing of it, and load nothing for it", async () => {
  await using chat = await startModerated();
  await using ann = await arrive("about:blank");
  const paths: string[] = [];
  ann.page.on("request", (request) => paths.push(new URL(request.url()).pathname));
  await ann.page.goto(chat.url);
  await ann.send("hello", "ann");
  await ann.see("hello");
  assertEquals(await ann.page.locator(".act").count(), 0);
  await press(ann, "Simple Chat");
  await dialog(ann).getByRole("heading", { name: "You" }).waitFor();
  assert(await dialog(ann).getByRole("heading", { name: "Moderate this room" }).isHidden());
  assertEquals(paths.filter((path) => path.includes("moderation")), []);
});

Deno.test("a message is removed with the mouse, by touch and by keyboard alone", async () => {
  await using chat = await startModerated();
  for (const text of ["one", "two", "three", "four"]) await post(chat.url, text);
  await using moran = await arriveInCharge(chat.url);
  await openMenu(moran, "two");
  assertEquals(await dialog(moran).locator(".quoted").textContent(), "two");
  await press(moran, "Remove");
  await texts(moran, ["one", "A moderator removed a message", "three", "four"]);
  await dialog(moran).waitFor({ state: "detached" });

  const { keyboard } = moran.page;
  await moran.log.focus();
  // One stop for all messages.
  await keyboard.press("Tab");
  const focused = () => moran.page.evaluate(() => document.activeElement?.ariaLabel);
  assertEquals(await focused(), "Moderate ben: four");
  await keyboard.press("ArrowUp");
  await keyboard.press("ArrowUp");
  assertEquals(await focused(), "Moderate ben: one");
  await keyboard.press("ArrowDown");
  assertEquals(await focused(), "Moderate ben: three");
  await keyboard.press("Enter");
  await dialog(moran).waitFor();
  // Twice Enter removes nothing.
  assertEquals(await moran.page.evaluate(() => document.activeElement?.tagName), "H2");
  await keyboard.press("Tab");
  await keyboard.press("Enter");
  await texts(moran, ["one", "A moderator removed 2 messages", "four"]);
  assertEquals(await focused(), "Moderate ben: four");
  await keyboard.press("Tab");
  assert(await moran.page.evaluate(() => !document.activeElement?.matches(".act")));

  await using phone = await arriveInCharge(chat.url, {
    viewport: { width: 390, height: 844 },
    hasTouch: true,
    isMobile: true,
  });
  const button = phone.page.locator(".act").last();
  const { width, height } = (await button.boundingBox())!;
  assert(width >= 24 && height >= 24, `${width} × ${height}`);
  await button.tap();
  await phone.page.getByRole("button", { name: "Remove", exact: true }).tap();
  await texts(phone, ["one", "A moderator removed a message"]);
});

Deno.test("a mute is undone by its Undo, in the menu of a message, or in that of the room", async () => {
  await using chat = await startModerated();
  const ben = await Newcomer.arrive(chat.url);
  await ben.post("noise", "ben");
  await using moran = await arriveInCharge(chat.url);
  const undone = [
    async () => await press(moran, "Undo"),
    async () => {
      await openMenu(moran, "noise");
      await dialog(moran).getByText("Muted until").waitFor();
      await press(moran, "Unmute");
    },
    async () => {
      await press(moran, "Simple Chat");
      await dialog(moran).getByRole("button", { name: "Unmute ben" }).click();
    },
  ];
  for (const undo of undone) {
    await openMenu(moran, "noise");
    await press(moran, "10 minutes");
    await moran.page.locator(".deed").getByText(/^ben is muted until/).waitFor();
    await dialog(moran).waitFor({ state: "detached" });
    assertEquals(await ben.status("hello"), 403);
    await undo();
    await moran.page.locator(".deed").getByText("ben may write again").waitFor();
    assertEquals(await ben.status("hello"), 201);
  }
});

Deno.test("a room is closed and opened again", async () => {
  await using chat = await startModerated();
  await using moran = await arriveInCharge(chat.url);
  await press(moran, "Simple Chat");
  await press(moran, "Close the room");
  await moran.page.locator(".deed").getByText("only moderators may write").waitFor();
  const ben = await Newcomer.arrive(chat.url);
  assertEquals(await ben.status("hello"), 403);
  await moran.send("only I", "Ms Moran");
  await moran.see("only I");
  // It stays closed, and says so to whoever comes later.
  await moran.page.reload();
  await press(moran, "Open");
  await moran.page.locator(".deed").getByText("everybody may write").waitFor();
  assertEquals(await ben.status("hello"), 201);
});

Deno.test("what can't be undone is asked first", async () => {
  await using chat = await startModerated();
  const ben = await Newcomer.arrive(chat.url);
  await ben.post("noise", "ben");
  await ben.post("more noise", "ben");
  await post(chat.url, "a word", "Chiara");
  await using moran = await arriveInCharge(chat.url);
  for (const answer of ["Cancel", "Remove all"]) {
    await openMenu(moran, "noise");
    await press(moran, "Remove all by ben…");
    await dialog(moran).getByText("can't be undone").waitFor();
    await press(moran, answer);
    await dialog(moran).waitFor({ state: "detached" });
    if (answer === "Cancel") assertEquals(await moran.texts, ["noise", "more noise", "a word"]);
  }
  await texts(moran, ["A moderator removed 2 messages", "a word"]);
  for (const answer of ["Cancel", "Clear"]) {
    await press(moran, "Simple Chat");
    await press(moran, "Clear the room…");
    await press(moran, answer);
    await dialog(moran).waitFor({ state: "detached" });
    if (answer === "Cancel") assertEquals(await moran.texts, ["a word"]);
  }
  await texts(moran, ["A moderator cleared the room"]);
});

Deno.test("a room is deleted once that was asked, and the main room never", async () => {
  await using chat = await startModerated();
  await post(`${chat.url}/biology`, "a word", "Chiara");
  await using moran = await arriveInCharge(chat.url);
  await press(moran, "Simple Chat");
  await moran.page.getByRole("button", { name: "Clear the room…" }).waitFor();
  assertEquals(await moran.page.getByRole("button", { name: "Delete the room…" }).count(), 0);
  await moran.page.goto(`${chat.url}/biology`);
  for (const answer of ["Cancel", "Delete"]) {
    await moran.page.getByRole("button", { name: "biology" }).click();
    await press(moran, "Delete the room…");
    await dialog(moran).getByText("can't be undone").waitFor();
    await press(moran, answer);
    await dialog(moran).waitFor({ state: "detached" });
    if (answer === "Cancel") assertEquals(await moran.texts, ["a word"]);
  }
  await texts(moran, ["A moderator cleared the room"]);
});

Deno.test("what a moderator can't do is said, where it was tried", async () => {
  await using chat = await startModerated();
  await using network = new FlakyNetwork(chat.port);
  await post(chat.url, "noise");
  await using moran = await arriveInCharge(network.url);
  await openMenu(moran, "noise");
  await moran.page.context().clearCookies();
  await press(moran, "1 hour");
  await dialog(moran).getByRole("alert").getByText("moderator").waitFor();
  network.cut();
  await press(moran, "Remove");
  await dialog(moran).getByRole("alert").getByText("can't be reached").waitFor();
  assertEquals(await moran.texts, ["noise"]);
});

Deno.test("whoever is muted reads until when, keeps the text, and sends it when they want to", async () => {
  await using chat = await startModerated();
  await using ann = await arrive(chat.url);
  await ann.send("hello", "ann");
  await ann.see("hello");
  const { by } = (await (await fetch(`${chat.url}/chat`, {
    headers: { accept: "application/json" },
  })).json())[0];
  await moderate(chat.url, { action: "mute", by, minutes: "1500" });
  await ann.send("one more thing");
  const day = new Date(Date.now() + 1500 * 60_000)
    .toLocaleDateString("en-GB", { weekday: "long" });
  await ann.unsent.getByText(
    new RegExp(`Not sent. A moderator has muted you until ${day}, \\d+:\\d\\d`),
  )
    .waitFor();
  await ann.page.reload();
  await ann.unsent.getByText("muted you until").waitFor();
  await moderate(chat.url, { action: "unmute", by });
  await press(ann, "Try again");
  await ann.see("one more thing");
});

Deno.test("a message for a closed room is kept, and says why", async () => {
  await using chat = await startModerated();
  await using ann = await arrive(chat.url);
  await ann.connection("Live");
  await moderate(chat.url, { action: "close" });
  await ann.send("a question", "ann");
  await ann.unsent.getByText("Not sent. Only moderators write").waitFor();
  await moderate(chat.url, { action: "open" });
  await press(ann, "Try again");
  await ann.see("a question");
});

Deno.test("a message that is removed before its answer has come is not kept", async () => {
  await using chat = await startModerated();
  await using ann = await arrive(chat.url);
  await ann.connection("Live");
  await ann.stopRetries();
  let posts = 0;
  await ann.page.route("**/chat", async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    if (posts++ > 0) return route.continue();
    const { id } = await (await route.fetch()).json();
    await moderate(chat.url, { action: "remove", id });
    await route.abort();
  });
  await ann.send("an insult", "ann");
  await press(ann, "Try again");
  await texts(ann, ["A moderator removed a message"]);
  assertEquals(await ann.unsent.count(), 0);
});
