/** Many tabs of one browser: one reader for the server, and nothing lost when tabs come and go. */

import { assert, assertEquals } from "@std/assert";
import { post } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { until } from "../until.ts";
import { useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";

const browser = useBrowser();

Deno.test("eight tabs without a shared worker do not use up all connections", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), "about:blank");
  await ann.page.context().addInitScript(() => Reflect.deleteProperty(globalThis, "SharedWorker"));
  await ann.page.goto(chat.url);
  const tabs = [ann];
  for (;;) {
    const last = tabs.at(-1)!;
    await last.connection("Live");
    if (tabs.length === 8) break;
    // Another tab is opened over it.
    await last.look(false);
    tabs.push(await ann.openTab());
  }
  const last = tabs.at(-1)!;
  await last.connection("1 online");
  await last.send("from the last", "ann");
  await last.see("from the last");
  // The tab that was looked at last stays connected, for what it has to tell.
  await last.look(false);
  await post(chat.url, "to the last");
  await last.see("to the last");
  assertEquals(await last.page.title(), "(1) Simple Chat");
  assert(!(await tabs[0].texts).includes("to the last"));
  // The others catch up when they are looked at.
  await tabs[0].look(true);
  await tabs[0].see("to the last");
  assertEquals(await tabs[0].texts, ["from the last", "to the last"]);
  await tabs[0].connection("1 online");
  // And when it closes, another takes its place.
  await tabs[0].look(false);
  await tabs[0].page.close();
  await until(async () => {
    const said = tabs.slice(1).map(({ page }) => page.locator(".connection").innerText());
    return (await Promise.all(said)).some((words) => words.includes("1 online"));
  });
  for (const tab of tabs) assertEquals(tab.errors, []);
});

Deno.test("tabs that all take themselves for the one that is looked at agree in a few words", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  const tabs = [ann];
  // A browser that is driven says of every tab that it has the focus.
  while (tabs.length < 6) tabs.push(await ann.openTab());
  const words = await ann.page.evaluateHandle(() => {
    const heard: unknown[] = [];
    const channel = new BroadcastChannel("chat /chat");
    channel.onmessage = ({ data }) => heard.push(data);
    return { heard, channel };
  });
  for (const tab of tabs) await tab.look(false);
  for (const tab of tabs) await tab.look(true);
  await post(chat.url, "read by somebody");
  for (const tab of tabs) await tab.see("read by somebody");
  const heard = await words.evaluate(({ heard, channel }) => {
    channel.close();
    return heard.length;
  });
  // One for each that is looked at, and some of those who had taken themselves for it.
  assert(heard > 0 && heard <= 2 * tabs.length ** 2, `${heard} words`);
  for (const tab of tabs) assertEquals(tab.errors, []);
});

Deno.test("closing the tab that opened the stream loses nothing in the others", async () => {
  await using chat = await ChatProcess.start();
  const first = await Visitor.arrive(browser(), chat.url);
  await first.connection("1 online");
  await using second = await first.openTab();
  await second.connection("1 online");
  await post(chat.url, "before");
  await second.see("before");
  await first.page.close();
  await post(chat.url, "after");
  await second.see("after");
  assertEquals(await second.texts, ["before", "after"]);
  assertEquals(second.errors, []);
});

Deno.test("when the last tab is gone, so is the reader", async () => {
  await using chat = await ChatProcess.start();
  await using ben = await Visitor.arrive(browser(), chat.url);
  const ann = await Visitor.arrive(browser(), chat.url);
  const tab = await ann.openTab();
  await tab.connection("2 online");
  // Closed rather than left for another page: going back would bring such a page back as it was, and
  // to that end Chromium stops its worker, with its connection.
  await ann.page.close();
  await tab.page.close();
  await ben.connection("1 online");
  await ann[Symbol.asyncDispose]();
});

Deno.test("a tab opened while others read has the history and what comes, in order and once", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  let last = 0;
  let isWriting = true;
  const writing = (async () => {
    while (isWriting) {
      await post(chat.url, `message ${++last}`);
      await ann.see(`message ${last}`);
    }
  })();
  await ann.see("message 20");
  const tab = await ann.openTab();
  await tab.page.locator(".transcript .entry").nth(30).waitFor();
  isWriting = false;
  await writing;
  await tab.see(`message ${last}`);
  // What the tab catches up on is drawn bit by bit, before what has come meanwhile.
  await tab.page.waitForFunction((last) => {
    const entries = document.querySelectorAll(".transcript .text");
    return last - Number(entries[0].textContent?.slice("message ".length)) + 1 <= entries.length;
  }, last);
  const texts = await tab.texts;
  const first = last - texts.length + 1;
  assertEquals(texts, texts.map((_, n) => `message ${first + n}`));
});

Deno.test("tabs whose worker has died are live again, and miss nothing", async () => {
  await using chat = await ChatProcess.start(["--heartbeat", "1"]);
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("1 online");
  const tab = await ann.openTab();
  await tab.connection("1 online");
  const session = await browser().newBrowserCDPSession();
  const { targetInfos } = await session.send("Target.getTargets");
  const worker = targetInfos.find(({ type, url }) =>
    type === "shared_worker" && url.startsWith(chat.url)
  );
  await session.send("Target.closeTarget", { targetId: worker!.targetId });
  await session.detach();
  await post(chat.url, "missed");
  for (const each of [ann, tab]) await each.see("missed");
  for (const each of [ann, tab]) await each.connection("1 online");
  await post(chat.url, "new");
  for (const each of [ann, tab]) {
    await each.see("new");
    assertEquals(await each.texts, ["missed", "new"]);
  }
});

Deno.test("a tab that was left with the back button catches up when it is shown again", async () => {
  await using chat = await ChatProcess.start(["--heartbeat", "3600"]);
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  await post(chat.url, "seen");
  await ann.see("seen");
  // While another goes on reading, so that the stream is ahead.
  const other = await ann.openTab();
  await other.connection("Live");
  await ann.turn("pagehide");
  await post(chat.url, "missed");
  await post(chat.url, "missed too");
  await other.see("missed too");
  assertEquals(await ann.texts, ["seen"]);
  const shown = await ann.page.evaluate(() => {
    dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    return document.querySelector(".connection")!.textContent;
  });
  // How many are online may have changed.
  assertEquals(shown?.includes("online"), false, shown!);
  await ann.see("missed too");
  assertEquals(await ann.texts, ["seen", "missed", "missed too"]);
  await ann.connection("1 online");
});

Deno.test("what one tab could not send, another sends, once", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  const ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  await using tab = await ann.openTab();
  await tab.connection("Live");
  network.cut();
  await ann.send("left behind", "ann");
  await tab.unsent.getByText("Waiting for the connection").waitFor();
  await ann.page.close();
  network.mend();
  await tab.see("left behind");
  assertEquals(await tab.texts, ["left behind"]);
  assertEquals(await tab.page.locator(".own .text").allTextContents(), ["left behind"]);
});

Deno.test("everything works over plain HTTP on a LAN, where browsers offer pages fewer APIs", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), `http://chat.test:${chat.port}`);
  assertEquals(await ann.page.evaluate(() => [isSecureContext, "locks" in navigator]), [
    false,
    false,
  ]);
  const tab = await ann.openTab();
  await tab.connection("1 online");
  let posts = 0;
  for (const { page } of [ann, tab]) {
    page.on("request", (request) => posts += Number(request.method() === "POST"));
  }
  await ann.send("one", "ann");
  await ann.send("two");
  await tab.see("two");
  await ann.see("two");
  assertEquals(await tab.texts, ["one", "two"]);
  assertEquals(await tab.page.locator(".own .text").allTextContents(), ["one", "two"]);
  assertEquals(posts, 2);
});
