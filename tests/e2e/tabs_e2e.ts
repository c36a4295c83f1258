/** Many tabs of one browser: one reader for the server, and nothing lost when tabs come and go. */

import { assertEquals } from "@std/assert";
import { ChatProcess } from "../chat_process.ts";
import { post, useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";

const browser = useBrowser();

Deno.test("twenty tabs of one browser are live over HTTP/1.1, as one reader", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  const tabs = [ann];
  while (tabs.length < 20) tabs.push(await ann.openTab());
  await Promise.all(tabs.map((tab) => tab.connection("1 online")));
  await post(chat.url, "for all of you");
  await Promise.all(tabs.map((tab) => tab.see("for all of you")));
  await tabs[7].send("from one of them", "ann");
  await Promise.all(tabs.map((tab) => tab.see("from one of them")));
  for (const tab of tabs) {
    assertEquals(await tab.texts, ["for all of you", "from one of them"]);
    assertEquals(await tab.page.locator(".own .text").allTextContents(), ["from one of them"]);
    assertEquals(tab.errors, []);
  }
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
  await ann.page.close();
  await tab.page.goto("about:blank");
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

Deno.test("a tab that was left with the back button catches up when it is shown again", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  await post(chat.url, "seen");
  await ann.see("seen");
  // While another goes on reading, so that the stream is ahead.
  const other = await ann.openTab();
  await other.connection("Live");
  // What the browser tells a page that it keeps: it is hidden, and later shown as it was.
  await ann.page.evaluate(() =>
    dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }))
  );
  await post(chat.url, "missed");
  await post(chat.url, "missed too");
  await other.see("missed too");
  assertEquals(await ann.texts, ["seen"]);
  await ann.page.evaluate(() =>
    dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }))
  );
  await ann.see("missed too");
  assertEquals(await ann.texts, ["seen", "missed", "missed too"]);
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
  await tab.unsent.getByText("Not sent").waitFor();
  await ann.page.close();
  network.mend();
  await tab.see("left behind");
  assertEquals(await tab.texts, ["left behind"]);
  assertEquals(await tab.page.locator(".own .text").allTextContents(), ["left behind"]);
});

Deno.test("all of it works over plain HTTP in a network, where browsers give pages less", async () => {
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
