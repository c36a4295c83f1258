/**
 * `deno task bench`: how fast the chat delivers, what that costs, and whether
 * every copy arrives. Options → for each number of readers: server → load →
 * measurement → table.
 */

import { setTimeout as delay } from "node:timers/promises";
import { LoadProcess } from "./load_process.ts";
import { HELP, type Options, parseOptions } from "./options.ts";
import { faults, heading, type Measurement, number, type Results, table } from "./report.ts";
import { lastMessages, measureReturn, type Return } from "./return.ts";
import { roomPaths } from "./rooms.ts";
import { canPin, cpuSeconds, residentKib, startServer, type Target } from "./server.ts";

/** The cores that the processes run on if they can be pinned. */
const SERVER_CORE = 0;
const LOAD_CORE = 1;
/** Load before the measurement, so that both sides have compiled their code. */
const WARM_UP = {
  readers: 50,
  paths: roomPaths(1),
  publishers: 4,
  messages: 200,
  rate: 0,
  size: 32,
  seconds: 10,
};
/** For a server that cannot resume. */
const NOTHING_MISSED = { missed: [] };
/** How long a server needs to settle after all readers have connected or left. */
const SETTLE_MS = 500;

/** Measures one server with one number of readers, each time in fresh processes. */
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
  const server = await startServer(target, options, running, core);
  const load = running.use(new LoadProcess(pinned ? LOAD_CORE : undefined));

  const { port, certificate } = server;
  const { http2 } = options;
  await load.send({ ...WARM_UP, port, certificate, http2 });
  await load.until("connected");
  await load.send("go");
  await load.until("result");
  await delay(SETTLE_MS);

  const { rooms, publishers, messages, rate, size, seconds } = options;
  const emptyKib = await residentKib(server.pid);
  const order = { readers, paths: roomPaths(rooms), publishers, messages, rate, size, seconds };
  await load.send({ ...order, port, certificate, http2 });
  const connected = await load.until("connected", (event) => {
    if (event.event === "connecting") show(`${number(event.readers)} connected`);
  });
  await delay(SETTLE_MS);
  const fullKib = await residentKib(server.pid);

  const serverBefore = await cpuSeconds(server.pid);
  const loadBefore = await cpuSeconds(load.pid);
  const start = performance.now();
  await load.send("go");
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

  let returned: Return | undefined;
  if (options.return > 0) {
    if (result.accepted < options.return) {
      throw new Error(
        `only ${result.accepted} messages were stored, fewer than --return ${options.return}`,
      );
    }
    const missed = target === "project"
      ? await lastMessages(server, options.return)
      : NOTHING_MISSED;
    // The readers have just hung up.
    await delay(SETTLE_MS);
    const showReturned = (count: number) => show(`${number(count)} have returned`);
    showReturned(0);
    returned = await measureReturn(server, load, readers, missed, showReturned);
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
    return: returned,
  };
}

function difference(after?: number, before?: number): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before;
}

function ratio(value: number | undefined, by: number): number | undefined {
  return value === undefined || by === 0 ? undefined : value / by;
}

/** Replaces the terminal's last line; an empty text clears it. */
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
