/** How long the tasks of a page take, during which it can't answer whoever uses it. */

import type { Browser, Page } from "playwright-core";

/** Milliseconds that each task took. */
export interface PageTasks {
  /** Of the processor: a computer that does other things at the same time makes any task longer. */
  readonly own: readonly number[];
  /** By the clock. */
  readonly wall: readonly number[];
}

interface TraceEvent {
  name: string;
  ph: string;
  dur?: number;
  tdur?: number;
  pid: number;
  tid: number;
  args: { name?: string };
}

/** The tasks of a Chromium's pages while something is done. */
export async function traceTasks(
  browser: Browser,
  page: Page,
  run: () => Promise<void>,
): Promise<PageTasks> {
  await browser.startTracing(page, { categories: ["disabled-by-default-devtools.timeline"] });
  await run();
  const trace = new TextDecoder().decode(await browser.stopTracing());
  const { traceEvents }: { traceEvents: TraceEvent[] } = JSON.parse(trace);
  const renderers = new Set(
    traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain")
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  const tasks = traceEvents.filter(({ name, ph, pid, tid }) =>
    name === "RunTask" && ph === "X" && renderers.has(`${pid} ${tid}`)
  );
  return {
    own: tasks.map(({ dur = 0, tdur = dur }) => Math.min(dur, tdur) / 1000),
    wall: tasks.map(({ dur = 0 }) => dur / 1000),
  };
}
