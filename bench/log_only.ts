/** Measures a message log alone: how many posts a second it takes from how many instances. */

import { jsonLine, readJsonLines } from "./json_lines.ts";
import type { Options } from "./options.ts";
import { align, nameOf, number } from "./report.ts";
import { cpuSeconds, end, spawn } from "./server.ts";
import type { Told, WritersEvent, WritersOrder } from "./writers.ts";

/** One message log with one number of instances. */
export interface LogMeasurement extends Told {
  readonly messageLog: string;
  readonly instances: number;
  readonly stored: number;
  readonly postsPerSecond: number;
  /** Share of a core that all instances used together; absent where there is no /proc. */
  readonly cpuShare?: number;
}

/** As many posts to the log before it is measured, so that its code is compiled. */
const WARM_UP = 2000;
const WRITERS = new URL("writers.ts", import.meta.url).href;

/** The writers of one instance, in a process of their own; disposing of it kills the process. */
class WritersProcess implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #events: AsyncGenerator<WritersEvent>;

  constructor(order: WritersOrder) {
    const command = [Deno.execPath(), "run", "--no-prompt", "--allow-all", WRITERS];
    this.#process = spawn([...command, JSON.stringify(order)], undefined, {
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      env: { NO_COLOR: "1" },
    });
    this.#input = this.#process.stdin.getWriter();
    this.#events = readJsonLines<WritersEvent>(this.#process.stdout);
  }

  get pid(): number {
    return this.#process.pid;
  }

  async send(value: number): Promise<void> {
    await this.#input.write(jsonLine(value));
  }

  /** Waits for its next event, which must have that name. */
  async next<Name extends WritersEvent["event"]>(
    name: Name,
  ): Promise<WritersEvent & { event: Name }> {
    const { value } = await this.#events.next();
    if (value?.event !== name) throw new Error("Writers ended before they were finished");
    return value as WritersEvent & { event: Name };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    end(this.#process);
    await this.#process.status;
    await this.#input.abort().catch(() => {});
    await this.#events.return(undefined);
  }
}

/** Measures each message log with each number of instances. */
export async function measureLogs(options: Options): Promise<LogMeasurement[]> {
  const measurements = [];
  for (const messageLog of options.messageLog) {
    for (const instances of options.instances) {
      await measureLog(messageLog, instances, { ...options, messages: WARM_UP });
      measurements.push(await measureLog(messageLog, instances, options));
    }
  }
  return measurements;
}

async function measureLog(
  messageLog: string,
  instances: number,
  { publishers, messages, size, seconds }: Options,
): Promise<LogMeasurement> {
  await using stack = new AsyncDisposableStack();
  const shareOf = (total: number, n: number) => Math.floor((total + n) / instances);
  const processes: WritersProcess[] = [];
  for (let n = 0; n < instances; n++) {
    const process = stack.use(
      new WritersProcess({
        url: messageLog,
        writers: shareOf(publishers, n),
        messages: shareOf(messages, n),
        size,
        seconds,
      }),
    );
    await process.next("ready");
    processes.push(process);
  }
  const used = async () => {
    const seconds = await Promise.all(processes.map(({ pid }) => cpuSeconds(pid)));
    return seconds.every((each) => each !== undefined)
      ? seconds.reduce((sum, each) => sum + each)
      : undefined;
  };
  const before = await used();
  for (const process of processes) await process.send(instances);
  const written = await Promise.all(processes.map((process) => process.next("written")));
  const after = await used();
  const stored = written.reduce((sum, { count }) => sum + count, 0);
  const took = Math.max(...written.map(({ seconds }) => seconds));
  for (const process of processes) await process.send(stored);
  const told = await Promise.all(
    processes.map(async (process) => (await process.next("told")).told),
  );
  const worst = (figure: (told: Told) => number) => Math.max(...told.map(figure));
  return {
    messageLog,
    instances,
    stored,
    postsPerSecond: stored / took,
    cpuShare: before === undefined || after === undefined ? undefined : (after - before) / took,
    lost: told.reduce((sum, { lost }) => sum + lost, 0),
    duplicates: told.reduce((sum, { duplicates }) => sum + duplicates, 0),
    storedP50Ms: worst(({ storedP50Ms }) => storedP50Ms),
    storedP99Ms: worst(({ storedP99Ms }) => storedP99Ms),
    toldP50Ms: worst(({ toldP50Ms }) => toldP50Ms),
    toldP99Ms: worst(({ toldP99Ms }) => toldP99Ms),
  };
}

/** The measurements as a table; of several instances the worst times. */
export function logTable(measurements: readonly LogMeasurement[]): string {
  const ms = (value: number) => `${number(value)} ms`;
  return align([
    [
      "",
      "instances",
      "posts/s",
      "stored p50",
      "p99",
      "told p50",
      "p99",
      "CPU",
      "lost",
      "duplicates",
    ],
    ...measurements.map((row) => [
      nameOf(row.messageLog),
      number(row.instances),
      number(row.postsPerSecond),
      ms(row.storedP50Ms),
      ms(row.storedP99Ms),
      ms(row.toldP50Ms),
      ms(row.toldP99Ms),
      row.cpuShare === undefined ? "–" : `${number(row.cpuShare * 100)} %`,
      number(row.lost),
      number(row.duplicates),
    ]),
  ]);
}
