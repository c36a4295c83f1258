/** How somebody who is elsewhere hears that something was said, and where they find it. */

import { assert, assertEquals } from "@std/assert";
import type { BrowserContextOptions } from "playwright-core";
import { numbered, post, postAll } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";

const browser = useBrowser();

/** Somebody whose browser notes what it shows and plays instead of doing it. */
async function arriveListening(
  url: string,
  permission: NotificationPermission,
  options?: BrowserContextOptions,
): Promise<Visitor> {
  const visitor = await Visitor.arrive(browser(), "about:blank", options);
  await visitor.page.context().addInitScript((permission) => {
    const calls: string[] = [];
    const tones: number[] = [];
    Object.assign(globalThis, { calls, tones });
    class FakeNotification extends EventTarget {
      /** As a browser has it: one for all tabs. */
      static get permission() {
        return localStorage.getItem("permission") ?? "default";
      }
      static requestPermission() {
        calls.push("asked");
        localStorage.setItem("permission", permission);
        return Promise.resolve(permission);
      }
      constructor(readonly title: string, readonly options: { body: string }) {
        super();
        if (FakeNotification.permission === "granted") calls.push(`${title}: ${options.body}`);
      }
      close() {
        calls.push(`withdrawn: ${this.options.body}`);
      }
    }
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...args) {
      tones.push(performance.now());
      start.apply(this, args);
    };
    Object.assign(globalThis, { Notification: FakeNotification });
  }, permission);
  await visitor.page.goto(url);
  await visitor.connection("Live");
  return visitor;
}

interface Noted {
  readonly calls: string[];
  readonly tones: number[];
}

/** What was shown, and how often there was a tone. */
function noted({ page }: Visitor): Promise<{ calls: string[]; tones: number }> {
  return page.evaluate(() => {
    const { calls, tones } = globalThis as unknown as Noted;
    return { calls, tones: tones.length };
  });
}

/** Waits for what is shown or withdrawn last: what rings is loaded for it. */
async function called({ page }: Visitor, call: string): Promise<void> {
  await page.waitForFunction(
    (call) => (globalThis as unknown as Noted).calls.at(-1) === call,
    call,
  );
}

function button({ page }: Visitor) {
  return page.locator(".notify");
}

/** Whether the person is in this window, visible as it may be. */
async function focus({ page }: Visitor, hasFocus: boolean): Promise<void> {
  await page.evaluate((hasFocus) => {
    document.hasFocus = () => hasFocus;
    dispatchEvent(new Event(hasFocus ? "focus" : "blur"));
  }, hasFocus);
}

function title({ page }: Visitor, title: string): Promise<unknown> {
  return page.waitForFunction((title) => document.title === title, title);
}

Deno.test("a notification and a tone come when somebody is away, and only if asked for", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await arriveListening(chat.url, "granted");
  await ann.look(false);
  await post(chat.url, "unasked");
  await ann.see("unasked");
  assertEquals(await noted(ann), { calls: [], tones: 0 });
  await ann.look(true);
  await ann.page.getByRole("button", { name: "Notify" }).click();
  await called(ann, "asked");
  await post(chat.url, "visible");
  await ann.see("visible");
  assertEquals(await noted(ann), { calls: ["asked"], tones: 0 });
  await ann.look(false);
  await post(chat.url, "hidden");
  await called(ann, "ben: hidden");
  assertEquals(await noted(ann), { calls: ["asked", "ben: hidden"], tones: 1 });
  await ann.page.getByRole("button", { name: "Notify", pressed: true }).click();
  await post(chat.url, "off again");
  await ann.see("off again");
  assertEquals((await noted(ann)).calls.filter((call) => call.includes("off again")), []);
});

Deno.test("somebody whose window is visible but not the one they use is away", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await arriveListening(chat.url, "granted");
  await button(ann).click();
  await focus(ann, false);
  await post(chat.url, "over there");
  await ann.see("over there");
  await title(ann, "(1) Simple Chat");
  await called(ann, "ben: over there");
  assertEquals((await noted(ann)).calls, ["asked", "ben: over there"]);
  await focus(ann, true);
  await title(ann, "Simple Chat");
});

Deno.test("a crowd of messages is one tone, and no more than one in two seconds", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await arriveListening(network.url, "granted");
  await button(ann).click();
  await called(ann, "asked");
  await ann.look(false);
  network.cut();
  await ann.connection("Reconnecting");
  await postAll(chat.url, numbered("message", 300));
  network.mend();
  await ann.see("message 300");
  assertEquals((await noted(ann)).tones, 1);
  // The last of them is what is shown in the end.
  await called(ann, "ben: message 300");
  for (let n = 1; n <= 40; n++) await post(chat.url, `more ${n}`);
  await ann.see("more 40");
  const tones = await ann.page.evaluate(() => (globalThis as unknown as Noted).tones);
  const pauses = tones.slice(1).map((at, n) => at - tones[n]);
  assert(pauses.every((pause) => pause > 1900), `${pauses}`);
});

Deno.test("a notification is withdrawn when somebody reads, in whichever tab", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await arriveListening(chat.url, "granted");
  await button(ann).click();
  await ann.look(false);
  await post(chat.url, "one");
  await called(ann, "ben: one");
  await ann.look(true);
  await called(ann, "withdrawn: one");

  await ann.look(false);
  const tab = await ann.openTab();
  await tab.connection("Live");
  await tab.look(false);
  await post(chat.url, "two");
  // Both show that there is one, and one of them rings.
  for (const each of [ann, tab]) await title(each, "(1) Simple Chat");
  const ringing = await Promise.any([ann, tab].map(async (each) => {
    await called(each, "ben: two");
    return each;
  }));
  const silent = ringing === ann ? tab : ann;
  await tab.look(true);
  for (const each of [ann, tab]) await title(each, "Simple Chat");
  await called(ringing, "withdrawn: two");
  assertEquals((await noted(silent)).calls.filter((call) => call.includes("two")), []);
  // While one tab is read, no other counts.
  await post(chat.url, "three");
  await ann.see("three");
  assertEquals(await ann.page.title(), "Simple Chat");
});

Deno.test("the button says what there will be, and remembers what was asked for", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await arriveListening(chat.url, "denied");
  const { page } = ann;
  await page.getByRole("button", { name: "Notify", pressed: false }).click();
  await called(ann, "asked");
  // Notifications are not allowed: it is a tone alone.
  await page.getByRole("button", { name: "Sound", pressed: true }).waitFor();
  await page.reload();
  await ann.connection("Live");
  await page.getByRole("button", { name: "Sound", pressed: true }).waitFor();
  // Browsers let a page play once somebody has done something there.
  await ann.message.click();
  await ann.look(false);
  await post(chat.url, "hidden");
  await ann.page.waitForFunction(() => (globalThis as unknown as Noted).tones.length > 0);
  assertEquals(await noted(ann), { calls: [], tones: 1 });
  await page.getByRole("button", { name: "Sound" }).click();
  await page.getByRole("button", { name: "Sound", pressed: false }).waitFor();
  await page.reload();
  await page.getByRole("button", { name: "Sound", pressed: false }).waitFor();
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
      lines.map((line) => line.match(/seen|missed \w+|2 messages while you were away/)?.[0])
    ),
    ["seen", "2 messages while you were away", "missed one", "missed two"],
  );
});

Deno.test("what was missed counts from when somebody left, whatever the network did since", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  await ann.look(false);
  for (let n = 1; n <= 6; n++) await post(chat.url, `message ${n}`);
  await ann.see("message 6");
  network.cut();
  await ann.connection("Reconnecting");
  for (let n = 7; n <= 8; n++) await post(chat.url, `message ${n}`);
  network.mend();
  await ann.see("message 8");
  await ann.connection("Live");
  await ann.look(true);
  await ann.page.getByRole("status").getByText("8 messages while you were away").waitFor();
  const lines = await ann.page.locator(".transcript > *").allInnerTexts();
  assertEquals(lines[0], "8 messages while you were away");
});
