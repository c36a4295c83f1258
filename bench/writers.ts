/**
 * Writers of a message log and one who is told what they write, in a process of their own: what an
 * instance is without HTTP. It takes its order from its only argument, says when it is ready, and
 * begins when it is told how many others there are.
 */

import { openMessageStore } from "../message_log/open.ts";
import { Histogram } from "./histogram.ts";
import { jsonLine, readJsonLines } from "./json_lines.ts";

/** What the writers of one process are to write. */
export interface WritersOrder {
  readonly url: string;
  readonly writers: number;
  readonly messages: number;
  /** Length of a message's text in bytes. */
  readonly size: number;
  /** Writing stops after this many seconds. */
  readonly seconds: number;
}

/** What the process reports, one after another; it waits for a line after the first two. */
export type WritersEvent =
  | { readonly event: "ready" }
  | { readonly event: "written"; readonly count: number; readonly seconds: number }
  | { readonly event: "told"; readonly told: Told };

/** What became of the messages, of all processes. */
export interface Told {
  /** How many of them this process was not told, and how many again. */
  readonly lost: number;
  readonly duplicates: number;
  /** From when it was sent to when it was known to be stored; of this process' messages. */
  readonly storedP50Ms: number;
  readonly storedP99Ms: number;
  /** From when it was sent to when it was told; of all processes' messages. */
  readonly toldP50Ms: number;
  readonly toldP99Ms: number;
}

/** As many as a chat keeps. */
const KEEP = 10_000;
/** When nothing has been told for this long, what is missing counts as lost. */
const SILENCE_MS = 3000;
const MESSAGE = '"message":"';

/** A clock that all processes of a machine have in common, in microseconds. */
function now(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

function report(event: WritersEvent): void {
  Deno.stdout.writeSync(jsonLine(event));
}

async function run({ url, writers, messages, size, seconds }: WritersOrder): Promise<void> {
  const lines = readJsonLines<number>(Deno.stdin.readable);
  await using store = await openMessageStore(url, { keep: KEEP });
  await using log = await store.openLog("");
  const [toStored, toTold] = [new Histogram(), new Histogram()];
  const ids = new Set<string>();
  let duplicates = 0;
  using _subscription = log.subscribe(({ entries }) => {
    const micros = now();
    for (const { id, json } of entries) {
      if (ids.has(id)) duplicates++;
      else ids.add(id);
      toTold.record(micros - parseInt(json.slice(json.indexOf(MESSAGE) + MESSAGE.length)));
    }
  });
  report({ event: "ready" });
  await lines.next();

  const began = performance.now();
  let next = 0;
  const write = async (writer: number) => {
    while (next < messages && performance.now() - began < seconds * 1000) {
      const key = `${crypto.randomUUID()}-${next++}`;
      const sent = now();
      const message = `${sent} `.padEnd(size, "x");
      await log.append({ nickname: `writer${writer}`, message, key });
      toStored.record(now() - sent);
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, n) => write(n)));
  report({ event: "written", count: next, seconds: (performance.now() - began) / 1000 });

  const { value: expected = 0 } = await lines.next();
  for (let told = -1, since = 0; ids.size < expected;) {
    if (ids.size !== told) since = performance.now();
    if (performance.now() - since > SILENCE_MS) break;
    told = ids.size;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const ms = (histogram: Histogram, q: number) => histogram.quantile(q) / 1000;
  report({
    event: "told",
    told: {
      lost: expected - ids.size,
      duplicates,
      storedP50Ms: ms(toStored, 0.5),
      storedP99Ms: ms(toStored, 0.99),
      toldP50Ms: ms(toTold, 0.5),
      toldP99Ms: ms(toTold, 0.99),
    },
  });
}

if (import.meta.main) {
  await run(JSON.parse(Deno.args[0]));
  Deno.exit();
}
