/** The page for everybody: by keyboard, read aloud, enlarged, in every colour scheme. */

import { assert, assertEquals } from "@std/assert";
import axe from "axe-core";
import { ChatProcess } from "../chat_process.ts";
import { post, useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";

const browser = useBrowser();

/** What axe-core finds wrong, with all its rules; and what it could not decide. */
async function violations({ page }: Visitor, hasOwnColors: boolean): Promise<string[]> {
  // Evaluated rather than loaded: the page's policy lets in no script from elsewhere.
  await page.evaluate(axe.source);
  return await page.evaluate(async (hasOwnColors) => {
    const { violations, incomplete } = await (globalThis as unknown as { axe: typeof axe }).axe
      .run({
        resultTypes: ["violations", "incomplete"],
        // Colours that are forced are the visitor's, and axe-core still sees ours.
        rules: { "color-contrast": { enabled: hasOwnColors } },
      });
    return [...violations, ...incomplete].flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`)
    ).filter((problem) => !problem.includes("partially obscured"));
  }, hasOwnColors);
}

for (
  const scheme of [
    { colorScheme: "light" },
    { colorScheme: "dark" },
    { colorScheme: "light", contrast: "more" },
    { colorScheme: "dark", forcedColors: "active" },
  ] as const
) {
  Deno.test(`axe finds nothing in any state of the page (${Object.values(scheme)})`, async () => {
    await using chat = await ChatProcess.start(["--keep", "10"]);
    await using network = new FlakyNetwork(chat.port);
    await using ann = await Visitor.arrive(browser(), network.url, {
      ...scheme,
      viewport: { width: 700, height: 600 },
    });
    const check = async (state: string) =>
      assertEquals(await violations(ann, !("forcedColors" in scheme)), [], state);

    await ann.page.getByText("No messages yet").waitFor();
    await check("empty");

    await post(chat.url, "hello https://deno.com", "ben");
    await post(chat.url, "again", "ben");
    await ann.send("mine https://deno.com", "ann");
    await ann.see("mine https://deno.com");
    await ann.look(false);
    await post(chat.url, "new", "Chiara");
    await ann.see("new");
    await ann.look(true);
    await ann.page.getByRole("button", { name: "Notify" }).click();
    await check("busy, with a mark and notifications on");

    await ann.message.fill("x".repeat(4001));
    await ann.message.press("Enter");
    await check("too long");

    network.cut();
    await ann.connection("Reconnecting");
    await check("reconnecting");
    await ann.send("meanwhile");
    await ann.unsent.getByText("Not sent").waitFor();
    await check("not sent");
    await ann.page.context().setOffline(true);
    await ann.connection("Offline");
    await check("offline");
    await ann.unsent.getByRole("button", { name: "Discard" }).click();

    for (let n = 1; n <= 300; n++) await post(chat.url, `message ${n}`, `person ${n}`);
    network.mend();
    await ann.page.context().setOffline(false);
    await ann.page.getByText("no longer kept").waitFor();
    await ann.see("message 300");
    await check("gap");
    await ann.log.evaluate((log) => log.scrollTop = 0);
    await post(chat.url, "below");
    await ann.page.getByRole("button", { name: "1 new message" }).waitFor();
    await check("scrolled up");
  });
}

Deno.test("everything can be reached and done by keyboard, with visible focus and no trap", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  await ann.send("sent", "ann");
  await ann.see("sent");
  network.cut();
  await ann.connection("Reconnecting");
  await ann.send("meanwhile");
  await ann.unsent.getByText("Not sent").waitFor();
  const names = new Set<string>();
  // All the way round: seven things and the document itself.
  for (let n = 0; n < 8; n++) {
    await ann.page.keyboard.press("Tab");
    names.add(
      await ann.page.evaluate(() => {
        const element = document.activeElement as HTMLElement & { labels?: NodeListOf<Element> };
        if (element === document.body) return "document";
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        if (outlineStyle === "none" || outlineWidth === "0px") return "invisible focus";
        return element.ariaLabel ?? element.labels?.[0]?.textContent ??
          element.textContent!.trim();
      }),
    );
  }
  assertEquals([...names].toSorted(), [
    "Conversation",
    "Discard",
    "Message",
    "Nickname",
    "Notify",
    "Send",
    "Try again",
    "document",
  ]);
  await ann.unsent.getByRole("button", { name: "Discard" }).press("Enter");
  assertEquals(await ann.unsent.count(), 0);
});

Deno.test("history is not read out, what comes later is, and the connection politely", async () => {
  await using chat = await ChatProcess.start();
  await post(chat.url, "history");
  await using ann = await Visitor.arrive(browser(), "about:blank");
  // Notes whether the log was busy at each message that came into it.
  await ann.page.addInitScript(() => {
    const busy: string[] = [];
    Object.assign(globalThis, { busy });
    new MutationObserver((records) => {
      for (const { addedNodes } of records) {
        for (const node of addedNodes) {
          const log = node.parentElement?.closest("[role=log]");
          const text = (node as Element).querySelector?.(".transcript .entry .text");
          if (log && text) busy.push(`${text.textContent}: ${log.ariaBusy}`);
        }
      }
    }).observe(document, { childList: true, subtree: true });
  });
  await ann.page.goto(chat.url);
  await ann.see("history");
  await ann.page.locator("[role=log][aria-busy=false]").waitFor();
  await post(chat.url, "live");
  await ann.see("live");
  assertEquals(
    await ann.page.evaluate(() => (globalThis as unknown as { busy: string[] }).busy),
    ["history: true", "live: false"],
  );
  // Only the state is in the live region, not the figures that change all the time.
  assertEquals(await ann.page.locator(".connection [role=status]").textContent(), "Live");
});

Deno.test("nothing is cut off at 320 pixels, nor at 200% of the text size", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, {
    viewport: { width: 320, height: 480 },
  });
  await ann.connection("Live");
  await ann.send("a message of some length, and a word: " + "x".repeat(60), "n".repeat(40));
  await ann.page.locator(".transcript .own").waitFor();
  await ann.message.fill("x".repeat(4001));
  await ann.message.press("Enter");
  for (const size of ["100%", "200%"]) {
    await ann.page.evaluate((size) => document.documentElement.style.fontSize = size, size);
    const wide = await ann.page.evaluate(() =>
      [...document.querySelectorAll("body *")].filter((element) => {
        const { right, left, width } = element.getBoundingClientRect();
        return width > 1 && (right > innerWidth + 1 || left < -1);
      }).map((element) => element.className || element.tagName)
    );
    assertEquals(wide, [], size);
    for (const name of ["Send", "Notify"]) {
      await ann.page.getByRole("button", { name }).scrollIntoViewIfNeeded();
    }
    assert(await ann.page.getByRole("button", { name: "Send" }).isVisible());
  }
});

Deno.test("nothing moves by itself for those who want no motion", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, { reducedMotion: "reduce" });
  const moving = await ann.page.evaluate(() =>
    [...document.querySelectorAll("*")].flatMap((element) =>
      [getComputedStyle(element), getComputedStyle(element, "::before")].filter((style) =>
        style.animationName !== "none" || style.transitionDuration !== "0s" ||
        style.scrollBehavior !== "auto"
      )
    ).length
  );
  assertEquals(moving, 0);
});

Deno.test("names and messages of the other direction are isolated", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await post(chat.url, "שלום, world", "ליאור");
  await ann.see("שלום, world");
  const directions = await ann.page.locator(".bubble, .author").evaluateAll((elements) =>
    elements.map((element) => getComputedStyle(element).direction)
  );
  assertEquals(directions, ["rtl", "rtl"]);
});
