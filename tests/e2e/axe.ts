/// <reference lib="dom" />
/** What axe-core finds wrong with the page, in each of its states. */

import { assertEquals } from "@std/assert";
import axe from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { post } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";
import { arriveAsModerator, startModerated } from "./moderated_chat.ts";

/** What its rules find, except some of them, and what it could not decide. */
export async function violations(page: Page, exceptions: readonly string[]): Promise<string[]> {
  // Evaluated rather than loaded: the page's policy lets in no script from elsewhere.
  await page.evaluate(axe.source);
  return await page.evaluate(async (exceptions) => {
    const { violations, incomplete } = await (globalThis as unknown as { axe: typeof axe }).axe
      .run({
        resultTypes: ["violations", "incomplete"],
        rules: Object.fromEntries(exceptions.map((rule) => [rule, { enabled: false }])),
      });
    return [...violations, ...incomplete].flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`)
    ).filter((problem) => !problem.includes("partially obscured"));
  }, exceptions);
}

/** Brings the page into all of its states, one after the other, and finds nothing wrong in any. */
export async function assertNoViolations(
  browser: Browser,
  options: BrowserContextOptions,
  hasOwnColors = true,
): Promise<void> {
  await using chat = await ChatProcess.start(["--keep", "60"]);
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser, network.url, {
    ...options,
    viewport: { width: 700, height: 600 },
  });
  const { page } = ann;
  // Colours that are forced are the visitor's, and axe-core still sees ours.
  const exceptions = hasOwnColors ? [] : ["color-contrast"];
  const check = async (state: string, ...more: string[]) =>
    assertEquals(await violations(page, [...exceptions, ...more]), [], state);
  const setOnline = (isOnline: boolean) =>
    page.evaluate((isOnline) => {
      Object.defineProperty(navigator, "onLine", { value: isOnline, configurable: true });
      dispatchEvent(new Event(isOnline ? "online" : "offline"));
    }, isOnline);

  await page.getByText("No messages yet").waitFor();
  await ann.connection("Live");
  await check("empty");

  await post(chat.url, "hello https://deno.com", "ben");
  await post(chat.url, "again", "ben");
  await ann.send("mine https://deno.com", "ann");
  await ann.see("mine https://deno.com");
  await ann.look(false);
  // One for each colour that a name may have.
  for (const letter of "abcdefgh") await post(chat.url, `new ${letter}`, `n${letter}`);
  await ann.see("new h");
  await ann.look(true);
  await page.locator(".notify").click();
  await check("busy, with a mark and notifications on");

  await post(chat.url, "a line\n".repeat(50), "ben");
  const fold = page.getByRole("button", { name: "Show all" });
  await fold.waitFor();
  await check("folded");
  await fold.click();
  await check("unfolded");

  await ann.message.fill("x".repeat(4001));
  await check("nearly too long");
  await ann.message.press("Enter");
  await check("message refused at its field");
  await ann.send("hello", "x".repeat(41));
  await check("name refused at its field");
  await ann.nickname.fill("ann");

  await ann.refuseNextPost(403, "You may not write until 15:30.");
  await ann.send("refused");
  await ann.unsent.getByText("You may not write until 15:30.").waitFor();
  await check("not sent");
  await ann.unsent.getByRole("button", { name: "Discard" }).click();

  network.cut();
  await ann.connection("Reconnecting");
  await check("reconnecting");
  await ann.send("meanwhile");
  await ann.unsent.getByText("Waiting for the connection").waitFor();
  await check("waiting");
  await setOnline(false);
  await ann.connection("Offline");
  await check("offline");
  await ann.unsent.getByRole("button", { name: "Discard" }).click();

  for (let n = 1; n <= 80; n++) await post(chat.url, `message ${n}`, `person ${n}`);
  network.mend();
  await setOnline(true);
  await page.getByText("no longer kept").waitFor();
  await ann.see("message 80");
  await check("gap");
  await ann.log.evaluate((log) => log.scrollTop = 0);
  await post(chat.url, "below");
  await page.getByRole("button", { name: "1 new message" }).waitFor();
  await check("scrolled up");

  await page.reload();
  await ann.see("below");
  await ann.connection("Live");
  network.silence();
  await ann.log.evaluate((log) => log.scrollTop = 0);
  await page.getByRole("button", { name: "Loading older messages…" }).waitFor();
  await check("loading older messages");
  network.cut();
  await page.getByRole("button", { name: "Older messages could not be loaded." }).waitFor();
  await check("older messages could not be loaded");

  await page.goto(`${chat.url}/chat?html`);
  await page.getByText("below").waitFor();
  // Whoever needs more time for it asks for the page to write on, which stays.
  await check("plain page", "meta-refresh");
  await page.getByRole("button", { name: "Write a message" }).click();
  await page.getByLabel("Message").waitFor();
  await check("plain page to write on");
}

/** Does what moderators do, and finds nothing wrong in any state that this brings the page into. */
export async function assertModerationHasNoViolations(
  browser: Browser,
  options: BrowserContextOptions,
): Promise<void> {
  await using chat = await startModerated();
  await using network = new FlakyNetwork(chat.port);
  await using moran = await arriveAsModerator(browser, network.url, {
    ...options,
    viewport: { width: 700, height: 600 },
  });
  const { page } = moran;
  const check = async (state: string) => assertEquals(await violations(page, []), [], state);
  const press = (name: string) => page.getByRole("button", { name, exact: true }).click();
  const openMenu = async () => {
    await page.locator(".act").last().focus();
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Remove", exact: true }).waitFor();
  };

  await moran.send("Welcome", "Ms Moran");
  await moran.see("Welcome");
  for (const text of ["one", "two", "three"]) await post(chat.url, text);
  await moran.see("three");
  await page.locator(".act").last().focus();
  await check("a moderator, at a message");
  await openMenu();
  await check("what may be done about a message");
  await press("1 hour");
  await page.getByText("is muted until").first().waitFor();
  await check("what was done");
  await openMenu();
  await check("what may be done about somebody who is muted");
  await press("Remove");
  await page.getByText("A moderator removed a message").first().waitFor();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await check("removed");
  await press("Simple Chat");
  await page.getByRole("button", { name: "Unmute ben" }).waitFor();
  await check("rooms and settings");
  await press("Clear the room…");
  await page.getByText("can't be undone").waitFor();
  await check("a question");
  network.cut();
  await press("Clear");
  await page.getByRole("alert").getByText("can't be reached").waitFor();
  await check("what could not be done");
  network.mend();
  await press("Cancel");
  // What a worker asks for can't be answered here.
  await page.addInitScript(() => Reflect.deleteProperty(globalThis, "SharedWorker"));
  await page.route(/\/chat($|\?)/, (route) => route.fulfill({ status: 401 }));
  await page.reload();
  await moran.connection("Signed out");
  await moran.send("not lost");
  await moran.unsent.getByText("Sign in, and it will be sent").waitFor();
  await check("signed out");
}
