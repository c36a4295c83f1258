/** What the browser keeps from one visit to the next, and what is made of it. */

import { assert, assertEquals } from "@std/assert";
import { readTexts } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { useBrowser, Visitor } from "./browser.ts";

const browser = useBrowser();

/** Writes a message that can't be sent now, and leaves it behind. */
async function leaveUnsent(ann: Visitor, message: string): Promise<void> {
  await ann.page.route(
    "**/chat",
    (route) => route.request().method() === "POST" ? route.abort() : route.continue(),
  );
  await ann.send(message, "ann");
  await ann.unsent.getByText("Waiting for the connection").waitFor();
}

Deno.test("a message that was left unsent a day ago is sent only if somebody still wants it", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await leaveUnsent(ann, "old news");
  await ann.page.addInitScript(() => {
    const { now } = Date;
    Date.now = () => now() + 25 * 60 * 60_000;
  });
  await ann.page.reload();
  await ann.connection("Live");
  await ann.unsent.getByText("Written more than a day ago.").waitFor();
  await ann.page.unrouteAll();
  // It holds up nothing.
  await ann.send("news");
  await ann.see("news");
  assertEquals(await readTexts(chat.url), ["news"]);
  await ann.unsent.getByRole("button", { name: "Try again" }).click();
  await ann.see("old news");
  assertEquals(await readTexts(chat.url), ["news", "old news"]);
});

Deno.test("a message that was left unsent is not sent to another log at the same address", async () => {
  await using first = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), first.url);
  await leaveUnsent(ann, "for the one");
  await first.stop("SIGTERM");
  await using other = await ChatProcess.start(["--port", String(first.port)]);
  await ann.page.reload();
  await ann.connection("Live");
  await ann.unsent.getByText("Written for an earlier chat at this address.").waitFor();
  await ann.page.unrouteAll();
  assertEquals(await readTexts(other.url), []);
  await ann.unsent.getByRole("button", { name: "Discard" }).click();
  await ann.send("for the other");
  await ann.see("for the other");
  assertEquals(await readTexts(other.url), ["for the other"]);
});

Deno.test("values of the wrong shape are dropped, whoever wrote them", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  await ann.page.locator(".notify").click();
  await ann.send("sent", "ann");
  await ann.see("sent");
  await leaveUnsent(ann, "unsent");
  await ann.message.fill("draft");
  const values = await ann.page.evaluate(() => Object.fromEntries(Object.entries(localStorage)));
  assert(Object.keys(values).length >= 5, Object.keys(values).join());
  const junk = ["", "{", "null", "5", "[]", "[null]", '"text"', "{}", '{"key":"k"}', "true"];
  // Also half of what is right.
  const halves = Object.values(values).flatMap((value) =>
    Object.keys(JSON.parse(value)).map((name) =>
      JSON.stringify({ ...JSON.parse(value), [name]: { not: "this" } })
    )
  );
  for (const value of [...junk, ...new Set(halves)]) {
    await ann.page.evaluate(([value, names]) => {
      for (const name of names) localStorage.setItem(name, value as string);
    }, [value, Object.keys(values)] as const);
    await ann.page.reload();
    await ann.connection("Live");
    assertEquals(ann.errors, [], value);
  }
  await ann.page.unrouteAll();
  await ann.send("alive", "ann");
  await ann.see("alive");
  assertEquals(await readTexts(chat.url), ["sent", "alive"]);
});

Deno.test("a draft outlives its tab, and is one for all tabs of the room", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  const first = await ann.openTab();
  await first.message.fill("half a thought");
  await first.page.close();
  const second = await ann.openTab();
  assertEquals(await second.message.inputValue(), "half a thought");
  // A tab that nobody looks at follows; what is sent is no draft any more.
  await ann.page.evaluate(() => document.hasFocus = () => false);
  await second.message.fill("a whole thought");
  await ann.page.waitForFunction(() =>
    document.querySelector("textarea")?.value === "a whole thought"
  );
  await second.message.press("Enter");
  await ann.see("a whole thought");
  assertEquals(await ann.message.inputValue(), "");
});
