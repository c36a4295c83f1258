/** A busy room: a hundred messages a second for ten seconds into an open page. */

import { assert, assertEquals } from "@std/assert";
import { ChatProcess } from "../chat_process.ts";
import { launchBrowser, post, Visitor } from "./browser.ts";

const PER_SECOND = 100;
const SECONDS = 10;
/** What the page shows at most. */
const MOST_ENTRIES = 1000;
const LONG_TASK_MS = 50;

interface TraceEvent {
  name: string;
  ph: string;
  dur?: number;
  tdur?: number;
  pid: number;
  tid: number;
  args: { name?: string; data?: { url?: string } };
}

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

  await browser.startTracing(ann.page, { categories: ["disabled-by-default-devtools.timeline"] });
  await flood(MOST_ENTRIES, PER_SECOND * SECONDS);
  // Not waited for in the page: looking for it there takes the page's time.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const trace = new TextDecoder().decode(await browser.stopTracing());
  const after = await megabytes();

  const { traceEvents }: { traceEvents: TraceEvent[] } = JSON.parse(trace);
  const renderers = new Set(
    traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain")
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  const tasks = traceEvents.filter(({ name, ph, pid, tid }) =>
    name === "RunTask" && ph === "X" && renderers.has(`${pid} ${tid}`)
  );
  // Their own time: a computer that does other things at the same time makes any task longer.
  const longest = Math.max(...tasks.map(({ dur = 0, tdur = dur }) => Math.min(dur, tdur) / 1000));
  const wall = Math.max(...tasks.map(({ dur = 0 }) => dur / 1000));
  const busy = tasks.reduce((sum, { dur = 0 }) => sum + dur / 1000, 0) / (SECONDS * 10);
  console.log(
    `${tasks.length} tasks, busy ${busy.toFixed(0)}% of the time; the longest ${
      longest.toFixed(1)
    } ` +
      `ms (${wall.toFixed(1)} ms by the clock); ` +
      `${before.toFixed(1)} MB before, ${after.toFixed(1)} MB after`,
  );
  assert(tasks.length > PER_SECOND, "the trace has the page's tasks");
  assert(longest < LONG_TASK_MS, `a task took ${longest} ms`);
  assert(after < before * 1.2 + 1, `${before} MB became ${after} MB`);
  await ann.see(`message ${MOST_ENTRIES + PER_SECOND * SECONDS - 1}: see https://deno.com`);
  const texts = await ann.texts;
  assert(texts.length <= MOST_ENTRIES, `${texts.length} messages`);
  const first = MOST_ENTRIES + PER_SECOND * SECONDS - texts.length;
  assertEquals(texts, texts.map((_, n) => `message ${first + n}: see https://deno.com`));
});
