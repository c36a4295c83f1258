/** What is written arrives once, in order, or stays where it can be seen. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { devices } from "playwright-core";
import { post, readTexts } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { EventReader } from "../event_reader.ts";
import { useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";

const browser = useBrowser();

Deno.test("a message is sending at once, and sent when the server has it", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  const release = await ann.holdPosts();
  await ann.send("hello", "ann");
  await ann.unsent.getByText("Sending…").waitFor();
  assertEquals(await ann.message.inputValue(), "");
  assertEquals(await ann.texts, []);
  release();
  await ann.see("hello");
  await ann.unsent.waitFor({ state: "detached" });
  assertEquals(await ann.texts, ["hello"]);
  assert(await ann.page.locator(".transcript .entry.own").isVisible());
});

Deno.test("a message that the stream brings before its answer is shown once all the time", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("1 online");
  const answer = Promise.withResolvers<void>();
  await ann.page.route("**/chat", async (route) => {
    const response = await route.fetch();
    await answer.promise;
    await route.fulfill({ response });
  });
  await ann.send("hello", "ann");
  // The stream has it before this one.
  await ann.unsent.getByText("Sending…").waitFor();
  while ((await readTexts(chat.url)).length === 0);
  await post(chat.url, "and after it");
  await ann.see("and after it");
  assertEquals(await ann.texts, ["and after it"]);
  assertEquals(await ann.unsent.count(), 1);
  answer.resolve();
  await ann.see("hello");
  assertEquals(await ann.texts, ["hello", "and after it"]);
  assertEquals(await ann.unsent.count(), 0);
  assertEquals(await ann.page.locator(".own .text").allTextContents(), ["hello"]);
});

Deno.test("a message whose answer was lost is sent again and is there once", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("1 online");
  await ann.stopRetries();
  const keys: (string | null)[] = [];
  await ann.page.route("**/chat", async (route) => {
    keys.push(new URLSearchParams(route.request().postData() ?? "").get("key"));
    if (keys.length > 1) return route.continue();
    await route.fetch();
    await route.abort();
  });
  await ann.send("hello", "ann");
  await ann.unsent.getByText("Waiting for the connection").waitFor();
  // The stream has it, and holds it back: it may be this one.
  await post(chat.url, "after it");
  await ann.see("after it");
  assertEquals(await ann.texts, ["after it"]);
  await ann.unsent.getByRole("button", { name: "Try again" }).click();
  await ann.unsent.waitFor({ state: "detached" });
  assertEquals(await ann.texts, ["hello", "after it"]);
  assertEquals(await ann.page.locator(".own .text").allTextContents(), ["hello"]);
  assertEquals(await readTexts(chat.url), ["hello", "after it"]);
  assertEquals(keys.length, 2);
  assertEquals(keys[0], keys[1]);
});

Deno.test("what is written while the network is away goes out in order when it is back", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("1 online");
  network.cut();
  await ann.connection("Reconnecting");
  await ann.send("one", "ann");
  await ann.send("two");
  await ann.send("three");
  await ann.unsent.getByText("Waiting for the connection").nth(2).waitFor();
  assertEquals(await ann.unsent.count(), 3);
  network.mend();
  await ann.see("three");
  await ann.unsent.first().waitFor({ state: "detached" });
  assertEquals(await ann.texts, ["one", "two", "three"]);
  assertEquals(await readTexts(chat.url), ["one", "two", "three"]);
});

Deno.test("what was not sent survives a reload, with its key, and so do nickname and draft", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  const keys: (string | null)[] = [];
  await ann.page.route("**/chat", (route) => {
    if (route.request().method() !== "POST") return route.continue();
    keys.push(new URLSearchParams(route.request().postData() ?? "").get("key"));
    return route.abort();
  });
  await ann.send("not yet sent", "ann");
  await ann.unsent.getByText("Waiting for the connection").waitFor();
  await ann.message.fill("half a thought");
  await ann.page.unrouteAll();
  await ann.page.route("**/chat", (route) => {
    if (route.request().method() === "POST") {
      keys.push(new URLSearchParams(route.request().postData() ?? "").get("key"));
    }
    return route.continue();
  });
  await ann.page.reload();
  await ann.see("not yet sent");
  assertEquals(await ann.nickname.inputValue(), "ann");
  assertEquals(await ann.message.inputValue(), "half a thought");
  assertEquals(await readTexts(chat.url), ["not yet sent"]);
  assertEquals(new Set(keys).size, 1);
});

Deno.test("a message that is discarded is gone", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.page.route(
    "**/chat",
    (route) => route.request().method() === "POST" ? route.abort() : route.continue(),
  );
  await ann.send("never mind", "ann");
  await ann.unsent.getByRole("button", { name: "Discard" }).click();
  assertEquals(await ann.unsent.count(), 0);
  assertEquals(await ann.page.evaluate(() => document.activeElement?.id), "message");
  await ann.page.reload();
  await ann.connection("Live");
  assertEquals(await ann.unsent.count(), 0);
});

Deno.test("Enter sends, Shift+Enter breaks the line, and Enter while composing does neither", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.message.fill("one");
  await ann.message.press("Shift+Enter");
  await ann.message.pressSequentially("two");
  for (const init of [{ isComposing: true }, { keyCode: 229 }]) {
    await ann.message.dispatchEvent("keydown", { key: "Enter", bubbles: true, ...init });
  }
  assertEquals(await ann.message.inputValue(), "one\ntwo");
  assertEquals(await ann.unsent.count(), 0);
  await ann.message.press("Enter");
  await ann.see("one\ntwo");
});

Deno.test("on a touch screen Enter breaks the line, and Send sends", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, devices["Pixel 7"]);
  assertEquals(await ann.message.getAttribute("enterkeyhint"), "enter");
  await ann.message.pressSequentially("one");
  await ann.message.press("Enter");
  await ann.message.pressSequentially("two");
  assertEquals(await ann.message.inputValue(), "one\ntwo");
  await ann.page.getByRole("button", { name: "Send" }).tap();
  await ann.see("one\ntwo");
  // As does a keyboard that is attached.
  await ann.message.pressSequentially("three");
  await ann.message.press("Control+Enter");
  await ann.see("three");
});

Deno.test("what is sent right before the page is left arrives", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  // In one turn of the page: Enter, and away.
  await ann.page.evaluate((away) => {
    document.querySelector("textarea")!.value = "bye";
    document.querySelector("form")!.requestSubmit();
    location.href = away;
  }, "about:blank");
  await using reader = new EventReader(await fetch(`${chat.url}/chat`));
  assertEquals((await reader.nextMessage()).message, "bye");
});

Deno.test("a refusal that comes late leaves whoever writes something else alone", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  const release = await ann.holdPosts();
  await ann.send("\u2060", "ann");
  await ann.message.fill("something else");
  await ann.nickname.focus();
  release();
  await ann.unsent.getByText("is empty").waitFor();
  assertEquals(await ann.page.evaluate(() => document.activeElement?.id), "nickname");
  assertEquals(await ann.message.inputValue(), "something else");
  assertEquals(await ann.message.getAttribute("aria-invalid"), null);
  assertEquals(await ann.page.locator("#message-problem").textContent(), "");
});

Deno.test("a refusal does not take whoever reads away from there", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  const release = await ann.holdPosts();
  await ann.send("\u2060", "ann");
  await ann.log.focus();
  release();
  await ann.page.locator("#message-problem").getByText("is empty").waitFor();
  assertEquals(await ann.page.evaluate(() => document.activeElement?.role), "log");
});

Deno.test("a message that waits for its time is not held up by a clock that is set back", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  let refused = 0;
  await ann.page.route("**/chat", (route) => {
    if (route.request().method() !== "POST" || refused++ > 0) return route.continue();
    return route.fulfill({ status: 503, headers: { "retry-after": "3" } });
  });
  await ann.send("quick", "ann");
  await ann.unsent.getByText(/Sending again in [234] s/).waitFor();
  await ann.page.evaluate(() => {
    const { now } = Date;
    Date.now = () => now() - 60 * 60_000;
  });
  await ann.unsent.getByText(/Sending again in [12] s/).waitFor();
  await ann.see("quick");
});

Deno.test("two tabs that send in turn both know all of their messages", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), "about:blank");
  // What another tab keeps is heard of too late.
  await ann.page.context().addInitScript(() =>
    addEventListener("storage", (event) => event.stopImmediatePropagation())
  );
  await ann.page.goto(chat.url);
  const tab = await ann.openTab();
  await tab.connection("Live");
  await ann.send("one", "ann");
  await tab.see("one");
  await tab.send("two", "ann");
  await ann.see("two");
  await ann.page.reload();
  await ann.see("two");
  assertEquals(await ann.page.locator(".own .text").allTextContents(), ["one", "two"]);
});

Deno.test("a counter appears near the limits, and what is too long is not sent", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  const count = ann.page.locator("#message-count");
  await ann.message.fill("x".repeat(3000));
  assertEquals(await count.textContent(), "");
  // Counted as the server counts: an emoji is one.
  await ann.message.fill("👋".repeat(3900));
  assertEquals(await count.textContent(), "100 left");
  await ann.message.fill("x".repeat(4001));
  assertEquals(await count.textContent(), "Too long by 1");
  await ann.message.press("Enter");
  await ann.page.getByRole("alert").getByText("Too long by 1").waitFor();
  assertEquals(await ann.message.getAttribute("aria-invalid"), "true");
  assertEquals((await ann.message.inputValue()).length, 4001);
  await ann.message.fill("x".repeat(4000));
  assertEquals(await ann.message.getAttribute("aria-invalid"), null);
  await ann.message.press("Enter");
  await ann.see("x".repeat(4000));
  await ann.nickname.fill("n".repeat(41));
  await ann.message.fill("hi");
  await ann.message.press("Enter");
  assertEquals(await ann.nickname.getAttribute("aria-invalid"), "true");
});

Deno.test("what the server refuses comes back to the form, with the reason at the field", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  // Only invisible characters: the server takes them for nothing.
  await ann.send("\u2060\u2060", "ann");
  const problem = ann.page.locator("#message-problem");
  await problem.getByText("is empty").waitFor();
  assertEquals(await ann.message.getAttribute("aria-invalid"), "true");
  const described = await ann.message.getAttribute("aria-describedby");
  assertMatch(described!, /\bmessage-problem\b/);
  assertEquals(await ann.message.inputValue(), "\u2060\u2060");
  assertEquals(await ann.unsent.count(), 0);
  await ann.message.fill("visible");
  assertEquals(await problem.textContent(), "");
});

Deno.test("429 says when the message goes on, and it does", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.refuseNextPost(429, "You are writing too fast.", { "retry-after": "5" });
  await ann.send("quick", "ann");
  await ann.unsent.getByText(/You are writing too fast. Sending again in \d s./).waitFor();
  await ann.send("and after it");
  await ann.unsent.getByText("Waiting for the one before").waitFor();
  await ann.see("and after it");
  assertEquals(await readTexts(chat.url), ["quick", "and after it"]);
});

Deno.test("a message that the server failed at is sent again, before the next", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.refuseNextPost(500, "The server failed.");
  await ann.send("first", "ann");
  // It is seen for two seconds, and read out once.
  await ann.page.locator("#news").getByText("The server failed.").waitFor({ state: "attached" });
  await ann.send("second");
  await ann.see("second");
  assertEquals(await readTexts(chat.url), ["first", "second"]);
});

Deno.test("a message that the server refuses stays, says why, and does not hold up the next", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.refuseNextPost(403, "You may not write here.");
  await ann.send("first", "ann");
  await ann.unsent.getByText("You may not write here.").waitFor();
  await ann.send("second");
  await ann.see("second");
  await ann.unsent.getByRole("button", { name: "Try again" }).click();
  await ann.see("first");
  assertEquals(await readTexts(chat.url), ["second", "first"]);
});

Deno.test("what is written fast while other tabs are open arrives in order, all of it", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  for (let n = 0; n < 2; n++) await (await ann.openTab()).connection("Live");
  const texts = Array.from({ length: 40 }, (_, n) => `message ${n}`);
  for (const text of texts) await ann.send(text);
  await ann.see(texts.at(-1)!);
  await ann.page.waitForFunction(() => !document.querySelector(".outbox .entry"));
  assertEquals(await readTexts(chat.url), texts);
});
