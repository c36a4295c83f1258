/**
 * `deno task bench`: how fast the chat delivers, what that costs, and whether
 * every copy arrives. Options → for each number of readers: server → load →
 * measurement → table.
 */

import { setTimeout as delay } from "node:timers/promises";
import { LoadProcess } from "./load_process.ts";
import { logTable, measureLogs } from "./log_only.ts";
import { HELP, type Options, parseOptions } from "./options.ts";
import {
  faults,
  heading,
  type Measurement,
  nameOf,
  number,
  type Results,
  table,
} from "./report.ts";
import { lastMessages, measureReturn, type Return } from "./return.ts";
import { roomPaths } from "./rooms.ts";
import {
  canPin,
  cpuSeconds,
  residentKib,
  type Server,
  startServer,
  type Target,
} from "./server.ts";

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

/** What is measured at a time. */
type Subject = Pick<Measurement, "target" | "messageLog" | "instances" | "readers">;

/** Measures one chat with one number of readers, each time in fresh processes. */
async function measure(
  subject: Subject,
  options: Options,
  pinned: boolean,
  running: AsyncDisposableStack,
): Promise<Measurement> {
  const { target, messageLog, instances, readers } = subject;
  const name = `${target} on ${nameOf(messageLog)}, ${number(readers)} readers`;
  const show = (text: string) => progress(`${name}: ${text}`);
  show("starting");
  const core = pinned ? SERVER_CORE : undefined;
  const servers: Server[] = [];
  for (let n = 0; n < instances; n++) {
    servers.push(await startServer(target, { ...options, messageLog }, running, core));
  }
  const [server, ...others] = servers;
  const load = running.use(new LoadProcess(pinned ? LOAD_CORE : undefined));

  const { certificate } = server;
  const { http2, apart } = options;
  const where = {
    port: server.port,
    otherPorts: others.map(({ port }) => port),
    apart,
    certificate,
    http2,
  };
  await load.send({ ...WARM_UP, ...where });
  await load.until("connected");
  await load.send("go");
  await load.until("result");
  await delay(SETTLE_MS);

  const { rooms, publishers, messages, rate, size, seconds } = options;
  const kib = async () => sum(await Promise.all(servers.map(({ pid }) => residentKib(pid))));
  const cpu = () => Promise.all(servers.map(({ pid }) => cpuSeconds(pid)));
  const emptyKib = await kib();
  const order = { readers, paths: roomPaths(rooms), publishers, messages, rate, size, seconds };
  await load.send({ ...order, ...where });
  const connected = await load.until("connected", (event) => {
    if (event.event === "connecting") show(`${number(event.readers)} connected`);
  });
  await delay(SETTLE_MS);
  const fullKib = await kib();

  const serversBefore = await cpu();
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
  const serversAfter = await cpu();
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
  const used = serversAfter.map((after, n) => difference(after, serversBefore[n]));
  const shares = used.map((seconds) => ratio(seconds, tookSeconds));
  return {
    ...subject,
    ...result,
    deliveriesPerSecond: delivered === 0 ? 0 : delivered / result.seconds,
    connectSeconds: connected.seconds,
    cpuMicrosPerDelivery: ratio(sum(used), delivered / 1e6),
    cpuShares: shares.every((share) => share !== undefined) ? shares : undefined,
    kibPerReader: ratio(difference(fullKib, emptyKib), readers),
    loadCpuShare: ratio(difference(loadAfter, loadBefore), tookSeconds),
    return: returned,
  };
}

/** The sum, undefined if a value is. */
function sum(values: readonly (number | undefined)[]): number | undefined {
  return values.reduce(
    (sum, value) => sum === undefined || value === undefined ? undefined : sum + value,
    0,
  );
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
  for (const subject of subjects(options)) {
    await using stack = new AsyncDisposableStack();
    running.now = stack;
    measurements.push(await measure(subject, options, pinned, stack));
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

/** All that is measured, in turn: what is compared follows one another. */
function* subjects({ readers, messageLog, instances, baseline }: Options): Generator<Subject> {
  const targets: Target[] = baseline ? ["project", "baseline"] : ["project"];
  for (const number of readers) {
    for (const target of targets) {
      for (const url of messageLog) {
        for (const count of instances) {
          yield { target, messageLog: url, instances: count, readers: number };
        }
      }
    }
  }
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
  if (options.logOnly) {
    const measurements = await measureLogs(options);
    console.log(logTable(measurements));
    if (options.json) {
      await Deno.writeTextFile(
        options.json,
        `${JSON.stringify({ options, measurements }, null, 2)}\n`,
      );
    }
    return measurements.every(({ lost, duplicates }) => lost === 0 && duplicates === 0) ? 0 : 1;
  }
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
