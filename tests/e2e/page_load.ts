/** What a page does with much: messages made to take long, and a busy room. */

import { assert, assertEquals } from "@std/assert";
import { post } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { launchBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";
import { type PageTasks, traceTasks } from "./page_tasks.ts";

const PER_SECOND = 100;
const SECONDS = 10;
/** What the page shows at most. */
const MOST_ENTRIES = 1000;
const LONG_TASK_MS = 50;

Deno.test("a hundred messages a second make no long task, and no memory is kept", async () => {
  await using browser = await launchBrowser(["--js-flags=--expose-gc"]);
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser, chat.url);
  const session = await ann.page.context().newCDPSession(ann.page);
  const megabytes = async () => {
    await ann.page.evaluate(() => (globalThis as unknown as { gc(): void }).gc());
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    return usedSize / 2 ** 20;
  };
  const flood = async (from: number, messages: number) => {
    const start = performance.now();
    for (let n = 0; n < messages; n++) {
      const ahead = n * 1000 / PER_SECOND - (performance.now() - start);
      if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead));
      await post(chat.url, `message ${from + n}: see https://deno.com`, `person ${n % 7}`);
    }
  };

  // The page is full: from now on each message that comes cuts off another.
  for (let n = 0; n < MOST_ENTRIES; n++) await post(chat.url, `message ${n}: see https://deno.com`);
  await ann.see(`message ${MOST_ENTRIES - 1}: see https://deno.com`);
  const before = await megabytes();

  const { own, wall } = await traceTasks(browser, ann.page, async () => {
    await flood(MOST_ENTRIES, PER_SECOND * SECONDS);
    // Not waited for in the page: looking for it there takes the page's time.
    await new Promise((resolve) => setTimeout(resolve, 500));
  });
  const after = await megabytes();
  const longest = Math.max(...own);
  const busy = wall.reduce((sum, ms) => sum + ms, 0) / (SECONDS * 10);
  console.log(
    `${own.length} tasks, busy ${busy.toFixed(0)}% of the time; the longest ${
      longest.toFixed(1)
    } ` +
      `ms (${Math.max(...wall).toFixed(1)} ms by the clock); ` +
      `${before.toFixed(1)} MB before, ${after.toFixed(1)} MB after`,
  );
  assert(own.length > PER_SECOND, "the trace has the page's tasks");
  assert(longest < LONG_TASK_MS, `a task took ${longest} ms`);
  assert(after < before * 1.2 + 1, `${before} MB became ${after} MB`);
  await ann.see(`message ${MOST_ENTRIES + PER_SECOND * SECONDS - 1}: see https://deno.com`);
  const texts = await ann.texts;
  assert(texts.length <= MOST_ENTRIES, `${texts.length} messages`);
  const first = MOST_ENTRIES + PER_SECOND * SECONDS - texts.length;
  assertEquals(texts, texts.map((_, n) => `message ${first + n}: see https://deno.com`));
});

Deno.test("links made to take long do not stop the page, neither do a thousand messages", async () => {
  await using browser = await launchBrowser();
  await using chat = await ChatProcess.start();
  for (let n = 0; n < 49; n++) await post(chat.url, `https://x/${")]}".repeat(1326)}`);
  await post(chat.url, "last");
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser, "about:blank");
  await leastOf(3, 2 * LONG_TASK_MS, () =>
    traceTasks(browser, ann.page, async () => {
      await ann.page.goto(network.url);
      await ann.see("last");
      await ann.connection("Live");
    }));

  await leastOf(3, LONG_TASK_MS, async (round) => {
    network.cut();
    await ann.connection("Reconnecting");
    for (let n = 1; n <= 1000; n++) await post(chat.url, `message ${round} ${n}`);
    network.mend();
    return await traceTasks(browser, ann.page, async () => {
      const typing = ann.message.pressSequentially("x".repeat(200), { delay: 10 });
      await ann.see(`message ${round} 1000`);
      await typing;
    });
  });
});

/** Checks the longest task in the best of some rounds: what disturbs a round is not the page's own. */
async function leastOf(
  rounds: number,
  maxMs: number,
  trace: (round: number) => Promise<PageTasks>,
): Promise<void> {
  const longest: number[] = [];
  do {
    longest.push(Math.max(...(await trace(longest.length)).own));
  } while (longest.at(-1)! >= maxMs && longest.length < rounds);
  assert(longest.at(-1)! < maxMs, `tasks took ${longest} ms`);
}
