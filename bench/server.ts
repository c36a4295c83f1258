/** The servers that are measured, each in a process of its own, and what their processes use. */

import { COMMAND } from "../tests/chat_process.ts";

/** What is measured: the program as a user starts it, or the plain hub next to it. */
export type Target = "project" | "baseline";

/** How long a server may take to say where it is. */
const START_TIMEOUT_MS = 15_000;
/** How long one may take to end when it is asked to. */
const STOP_TIMEOUT_MS = 3000;
/** /proc counts in these, on every Linux that Deno runs on. */
const TICKS_PER_SECOND = 100;

/** A server that listens. */
export interface Server {
  readonly pid: number;
  readonly port: number;
}

/** Starts a server that ends with `running`; resolves when it listens. */
export async function startServer(
  target: Target,
  messageLog: string,
  running: AsyncDisposableStack,
  core?: number,
): Promise<Server> {
  const command = target === "project"
    ? [...COMMAND, "--port", "0", "--message-log", messageLog]
    : [
      Deno.execPath(),
      "run",
      "--no-prompt",
      "--allow-net=127.0.0.1",
      new URL("baseline.ts", import.meta.url).href,
    ];
  const process = spawn(command, core, {
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    // One address is everybody here.
    env: {
      NO_COLOR: "1",
      CHAT_RATE_LIMIT: "0",
      CHAT_MAX_READERS: "0",
      CHAT_MAX_READERS_PER_ADDRESS: "0",
    },
  });
  const output = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  running.defer(async () => {
    end(process, "SIGTERM");
    const timeout = setTimeout(() => end(process), STOP_TIMEOUT_MS);
    await Promise.all([process.status, output.cancel()]);
    clearTimeout(timeout);
  });
  const timeout = setTimeout(() => end(process), START_TIMEOUT_MS);
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await output.read();
    if (done) throw new Error(`The ${target} did not start`);
    text += value;
  }
  clearTimeout(timeout);
  return { pid: process.pid, port: Number(/:(\d+)/.exec(text)![1]) };
}

/** Starts a command, on one core where that is wanted. */
export function spawn(
  command: readonly string[],
  core: number | undefined,
  options: Deno.CommandOptions,
): Deno.ChildProcess {
  const pinned = core === undefined ? command : ["taskset", "-c", String(core), ...command];
  return new Deno.Command(pinned[0], { ...options, args: pinned.slice(1) }).spawn();
}

/** Kills a process, which may have ended already. */
export function end(process: Deno.ChildProcess, signal: Deno.Signal = "SIGKILL"): void {
  try {
    process.kill(signal);
  } catch (error) {
    // TypeError: it has ended.
    if (!(error instanceof TypeError)) throw error;
  }
}

/** Whether processes can be kept to a core, and there are two of them. */
export async function canPin(): Promise<boolean> {
  if (navigator.hardwareConcurrency < 2) return false;
  try {
    const { success } = await new Deno.Command("taskset", {
      args: ["-c", "0,1", "true"],
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}

/** Seconds of CPU a process has used; undefined where there is no /proc to tell. */
export async function cpuSeconds(pid: number): Promise<number | undefined> {
  const stat = await readProc(pid, "stat");
  // The name may hold spaces: fields count from the parenthesis behind it (proc(5)).
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields && (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** KiB of memory a process has resident; undefined where there is no /proc to tell. */
export async function residentKib(pid: number): Promise<number | undefined> {
  const status = await readProc(pid, "status");
  const kib = status && /^VmRSS:\s+(\d+)/m.exec(status)?.[1];
  return kib ? Number(kib) : undefined;
}

async function readProc(pid: number, file: string): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  return await Deno.readTextFile(`/proc/${pid}/${file}`);
}
