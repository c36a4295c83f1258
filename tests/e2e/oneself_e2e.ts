/// <reference lib="dom" />
/** What concerns oneself: being forgotten by this browser, signed out, or signed out by somebody else. */

import { assert, assertEquals } from "@std/assert";
import { readTexts } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { launchBrowser, useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";
import { until } from "../until.ts";
import { arriveAsModerator, MODERATOR_PASSWORD, startModerated } from "./moderated_chat.ts";

const browser = useBrowser();
const PASSWORD = "what everybody knows";

async function press({ page }: Visitor, name: string): Promise<void> {
  await page.getByRole("button", { name, exact: true }).click();
}

/** Opens the dialog that the heading leads to. */
async function openMenu(visitor: Visitor): Promise<void> {
  await visitor.page.getByRole("heading", { level: 1 }).getByRole("button").click();
  await visitor.page.getByRole("dialog").waitFor();
}

async function forget(visitor: Visitor): Promise<void> {
  await openMenu(visitor);
  await press(visitor, "Forget me…");
  await visitor.page.getByText("This browser forgets").waitFor();
  const reloaded = visitor.page.waitForEvent("load");
  await press(visitor, "Forget me");
  await reloaded;
}

/** What a browser keeps of a site. */
async function kept({ page }: Visitor): Promise<string[]> {
  return [
    ...(await page.context().cookies()).map(({ name, value }) => `${name}=${value}`),
    ...await page.evaluate(() => Object.entries(localStorage).map((entry) => entry.join(" "))),
  ];
}

/** Signs in where the page for that is shown. */
async function signIn({ page }: Visitor): Promise<void> {
  await page.locator("[name=password]").fill(PASSWORD);
  await page.keyboard.press("Enter");
}

Deno.test("a browser forgets all that it keeps of somebody, in every tab and room", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.send("hello", "Annabel");
  await ann.see("hello");
  await ann.page.locator(".notify").click();
  const tab = await ann.openTab();
  await tab.page.goto(`${chat.url}/biology`);
  await tab.nickname.fill("Annabel");
  await tab.message.fill("half a thought");
  const before = await kept(ann);
  assert(before.some((each) => each.includes("half a thought")));
  const other = tab.page.waitForEvent("load");
  await forget(ann);
  await other;
  for (const each of [ann, tab]) {
    await each.connection("Live");
    assertEquals(await each.nickname.inputValue(), "");
    assertEquals(await each.message.inputValue(), "");
    assertEquals(await each.page.locator(".notify").getAttribute("aria-pressed"), "false");
  }
  assertEquals(await ann.page.locator(".own").count(), 0);
  const after = await kept(ann);
  // What a first visit leaves, no more.
  assertEquals(after.filter((each) => before.includes(each)), []);
  assertEquals(after.filter((each) => /Annabel|thought|own|notify/.test(each)), []);
});

Deno.test("whoever wants to be forgotten is warned of what was not sent", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  await ann.refuseNextPost(403, "Not now.");
  await ann.send("a long text", "ann");
  await ann.unsent.getByText("Not now.").waitFor();
  await openMenu(ann);
  await press(ann, "Forget me…");
  await ann.page.getByText("1 message that has not been sent").waitFor();
  await press(ann, "Cancel");
  assertEquals(await ann.unsent.count(), 1);
  await forget(ann);
  await ann.connection("Live");
  assertEquals(await ann.unsent.count(), 0);
  assertEquals(await readTexts(chat.url), []);
});

Deno.test("nobody is half forgotten: where the chat can't be reached, it says so", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.send("hello", "ann");
  await ann.see("hello");
  await openMenu(ann);
  await press(ann, "Forget me…");
  network.cut();
  await press(ann, "Forget me");
  await ann.page.getByRole("alert").getByText("can't be reached").waitFor();
  await press(ann, "Cancel");
  assertEquals(await ann.nickname.inputValue(), "ann");
  assertEquals(await ann.page.locator(".own").count(), 1);
});

Deno.test("a page that a browser has kept to go back to is forgotten with the others", async () => {
  await using keeper = await launchBrowser();
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(keeper, "about:blank");
  // Not every browser reports afterwards what happened while a page was kept.
  await ann.page.addInitScript(() =>
    addEventListener("storage", (event) => event.stopImmediatePropagation())
  );
  await ann.page.goto(chat.url);
  await ann.connection("Live");
  await ann.nickname.fill("Annabel");
  await ann.message.fill("half a thought");
  const tab = await ann.openTab();
  await ann.page.goto("about:blank");
  await forget(tab);
  await tab.connection("Live");
  await ann.page.bringToFront();
  // Once this has been answered: afterwards the page is gone.
  await ann.page.evaluate("void setTimeout(() => history.back())");
  // While one page takes the place of another there is none to ask.
  const draft = () => document.querySelector("textarea")?.value;
  await until(async () => await ann.page.evaluate(draft).catch(() => undefined) === "");
  assertEquals(await ann.nickname.inputValue(), "");
});

Deno.test("a moderator signs in from the room, comes back to it, and signs out again", async () => {
  await using chat = await startModerated();
  await using ann = await Visitor.arrive(browser(), `${chat.url}/biology`);
  await openMenu(ann);
  assert(await ann.page.getByRole("button", { name: "Sign out" }).isHidden());
  await ann.page.getByRole("link", { name: "Moderator…" }).click();
  await ann.page.locator("[name=password]").fill(MODERATOR_PASSWORD);
  await ann.page.keyboard.press("Enter");
  await ann.page.waitForURL(`${chat.url}/biology`);
  await ann.page.locator(".deed").waitFor({ state: "attached" });
  await openMenu(ann);
  assert(await ann.page.getByRole("link", { name: "Moderator…" }).isHidden());
  const reloaded = ann.page.waitForEvent("load");
  await press(ann, "Sign out");
  await reloaded;
  await ann.connection("Live");
  assertEquals(await ann.page.locator("[data-moderator]").count(), 0);
});

Deno.test("to be forgotten is to be signed out", async () => {
  await using chat = await startModerated();
  await using moran = await arriveAsModerator(browser(), chat.url);
  await forget(moran);
  await moran.connection("Live");
  assertEquals(await moran.page.locator("[data-moderator]").count(), 0);
});

/** Signs in, and then is no longer signed in, which the page finds out when it reconnects. */
async function loseSession(visitor: Visitor, network: FlakyNetwork): Promise<void> {
  await signIn(visitor);
  await visitor.connection("Live");
  network.cut();
  await visitor.connection("Reconnecting");
  await visitor.page.context().clearCookies();
  network.mend();
  await visitor.connection("Signed out");
}

Deno.test("whoever is signed out is told so, loses nothing, and goes on once signed in anywhere", async () => {
  await using chat = await ChatProcess.start([], { env: { CHAT_PASSWORD: PASSWORD } });
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await loseSession(ann, network);
  await ann.send("not lost", "ann");
  await ann.unsent.getByText("Sign in, and it will be sent").waitFor();
  const link = ann.page.getByRole("link", { name: "Sign in" });
  assertEquals(await link.evaluate((link: HTMLAnchorElement) => link.href), `${network.url}/`);
  // In another tab; this one is looked at again.
  const tab = await Visitor.open(ann.page.context(), network.url);
  await signIn(tab);
  await tab.connection("Live");
  await ann.look(false);
  await ann.look(true);
  await ann.connection("Live");
  await ann.see("not lost");
  assert(await link.isHidden());
});

Deno.test("whoever signs in where the page says so finds what was not sent", async () => {
  await using chat = await ChatProcess.start([], { env: { CHAT_PASSWORD: PASSWORD } });
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), `${network.url}/biology`);
  await loseSession(ann, network);
  await ann.send("not lost", "ann");
  await ann.page.getByRole("link", { name: "Sign in" }).click();
  await signIn(ann);
  await ann.see("not lost");
  assertEquals(ann.page.url(), `${network.url}/biology`);
});
