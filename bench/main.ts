/**
 * `deno task bench`: how fast the chat delivers, what that costs, and whether
 * every copy arrives. Options → for each number of readers: server → load →
 * measurement → table.
 */

import { LoadProcess } from "./load_process.ts";
import { HELP, type Options, parseOptions } from "./options.ts";
import { faults, heading, type Measurement, number, type Results, table } from "./report.ts";
import { lastMessages, measureReturn, type Return } from "./return.ts";
import { canPin, cpuSeconds, residentKib, startServer, type Target } from "./server.ts";

/** Where the processes run if they can be pinned. */
const SERVER_CORE = 0;
const LOAD_CORE = 1;
/** What both sides have behind them before anything is measured: compiled code, open files. */
const WARM_UP = { readers: 50, publishers: 4, messages: 200, rate: 0, size: 32, seconds: 10 };
/** Who resumes nothing misses nothing. */
const NOTHING = { missed: [] };
/** How long a server takes to be at rest after all readers came or left. */
const SETTLE_MS = 500;

/** Measures one server with one number of readers, in processes that are there for it alone. */
async function measure(
  target: Target,
  readers: number,
  options: Options,
  pinned: boolean,
  running: AsyncDisposableStack,
): Promise<Measurement> {
  const show = (text: string) => progress(`${target}, ${number(readers)} readers: ${text}`);
  show("starting");
  const core = pinned ? SERVER_CORE : undefined;
  const server = await startServer(target, options.messageLog, running, core);
  const load = running.use(new LoadProcess(pinned ? LOAD_CORE : undefined));

  await load.tell({ ...WARM_UP, port: server.port });
  await load.until("connected");
  await load.tell("go");
  await load.until("result");
  await pause(SETTLE_MS);

  const { publishers, messages, rate, size, seconds } = options;
  const emptyKib = await residentKib(server.pid);
  await load.tell({ port: server.port, readers, publishers, messages, rate, size, seconds });
  const connected = await load.until("connected", (event) => {
    if (event.event === "connecting") show(`${number(event.readers)} connected`);
  });
  await pause(SETTLE_MS);
  const fullKib = await residentKib(server.pid);

  const serverBefore = await cpuSeconds(server.pid);
  const loadBefore = await cpuSeconds(load.pid);
  const start = performance.now();
  await load.tell("go");
  await load.until("delivered", (event) => {
    if (event.event !== "sending") return;
    show(
      `${number(event.posted)} of ${number(messages)} posted, ` +
        `${number(event.delivered)} copies delivered`,
    );
  });
  const tookSeconds = (performance.now() - start) / 1000;
  const serverAfter = await cpuSeconds(server.pid);
  const loadAfter = await cpuSeconds(load.pid);
  const { result } = await load.until("result");

  let back: Return | undefined;
  if (options.return > 0) {
    if (result.accepted < options.return) {
      throw new Error(`only ${result.accepted} messages were stored, --return ${options.return}`);
    }
    const missed = target === "project" ? await lastMessages(server, options.return) : NOTHING;
    // The readers have hung up: the server is to be done with that.
    await pause(SETTLE_MS);
    const showBack = (count: number) => show(`${number(count)} are back`);
    showBack(0);
    back = await measureReturn(server, load, readers, missed, showBack);
  }
  progress("");

  const { delivered } = result;
  return {
    target,
    readers,
    ...result,
    deliveriesPerSecond: delivered === 0 ? 0 : delivered / result.seconds,
    connectSeconds: connected.seconds,
    cpuMicrosPerDelivery: ratio(difference(serverAfter, serverBefore), delivered / 1e6),
    kibPerReader: ratio(difference(fullKib, emptyKib), readers),
    loadCpuShare: ratio(difference(loadAfter, loadBefore), tookSeconds),
    return: back,
  };
}

function difference(after?: number, before?: number): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before;
}

function ratio(value: number | undefined, by: number): number | undefined {
  return value === undefined || by === 0 ? undefined : value / by;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Replaces the line at the bottom of a terminal; an empty text takes it away. */
function progress(text: string): void {
  if (!Deno.stderr.isTerminal()) return;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

async function run(options: Options, running: { now: AsyncDisposableStack }): Promise<Results> {
  const pinned = await canPin();
  const measurements: Measurement[] = [];
  const targets: Target[] = options.baseline ? ["project", "baseline"] : ["project"];
  for (const readers of options.readers) {
    for (const target of targets) {
      await using stack = new AsyncDisposableStack();
      running.now = stack;
      measurements.push(await measure(target, readers, options, pinned, stack));
    }
  }
  const { os, arch } = Deno.build;
  return {
    date: new Date().toISOString(),
    deno: Deno.version.deno,
    system: `${os} ${arch}, ${navigator.hardwareConcurrency} cores`,
    pinned,
    options,
    measurements,
  };
}

async function main(): Promise<number> {
  let options;
  try {
    options = parseOptions(Deno.args);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    console.error(`Cannot start: ${error.message}`);
    return 2;
  }
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  console.log(`${heading(options)}\n`);
  const running = { now: new AsyncDisposableStack() };
  const interrupted = Promise.withResolvers<number>();
  Deno.addSignalListener("SIGINT", () => interrupted.resolve(130));
  Deno.addSignalListener("SIGTERM", () => interrupted.resolve(143));
  try {
    return await Promise.race([report(options, running), interrupted.promise]);
  } catch (error) {
    progress("");
    console.error(`Cannot measure: ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    await running.now.disposeAsync();
    progress("");
  }
}

/** Measures, prints, and returns the exit code. */
async function report(options: Options, running: { now: AsyncDisposableStack }): Promise<number> {
  const results = await run(options, running);
  console.log(table(results));
  if (options.json) {
    await Deno.writeTextFile(options.json, `${JSON.stringify(results, null, 2)}\n`);
  }
  const wrong = faults(results.measurements);
  for (const fault of wrong) console.error(`Wrong: ${fault}`);
  return wrong.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
