/** Starts the servers to be measured, each in a process of its own, and reads what they use. */

import { makeCertificate } from "../tests/certificate_files.ts";
import { COMMAND, NO_LIMITS } from "../tests/chat_process.ts";
import { newFolder } from "../tests/folder.ts";
import type { Options } from "./options.ts";

/** What is measured: the chat as a user starts it, or the plain hub it is compared with. */
export type Target = "project" | "baseline";

/** How long a server may take to print its address. */
const START_TIMEOUT_MS = 15_000;
/** How long it may take to exit on SIGTERM. */
const STOP_TIMEOUT_MS = 3000;
/** The unit of CPU time in /proc, on every Linux that Deno runs on. */
const TICKS_PER_SECOND = 100;

/** A running server. */
export interface Server {
  readonly pid: number;
  readonly port: number;
  /** As PEM, if it speaks HTTPS. */
  readonly certificate?: string;
}

/** Starts a server, to be stopped by disposing of `running`; resolves once it listens. */
export async function startServer(
  target: Target,
  { messageLog, flags = [], rooms, tls }:
    & { messageLog: string; flags?: readonly string[] }
    & Pick<Options, "rooms">
    & Partial<
      Pick<Options, "tls">
    >,
  running: AsyncDisposableStack,
  core?: number,
): Promise<Server> {
  const files = tls
    ? await makeCertificate(running.use(await newFolder()).path, "bench")
    : undefined;
  const command = target === "project"
    ? [
      ...COMMAND,
      ...NO_LIMITS,
      "--port=0",
      `--message-log=${messageLog}`,
      `--max-rooms=${rooms}`,
      ...flags,
      ...files ? [`--tls-cert=${files.cert}`, `--tls-key=${files.key}`] : [],
    ]
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
    env: { NO_COLOR: "1" },
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
  return {
    pid: process.pid,
    port: Number(/:(\d+)/.exec(text)![1]),
    certificate: files && await Deno.readTextFile(files.cert),
  };
}

/** Starts a command, pinned to `core` if given. */
export function spawn(
  command: readonly string[],
  core: number | undefined,
  options: Deno.CommandOptions,
): Deno.ChildProcess {
  const pinned = core === undefined ? command : ["taskset", "-c", String(core), ...command];
  return new Deno.Command(pinned[0], { ...options, args: pinned.slice(1) }).spawn();
}

/** Sends a signal to a process, which may have exited already. */
export function end(process: Deno.ChildProcess, signal: Deno.Signal = "SIGKILL"): void {
  try {
    process.kill(signal);
  } catch (error) {
    // TypeError: it has exited.
    if (!(error instanceof TypeError)) throw error;
  }
}

/** Whether there are two cores that processes can be pinned to. */
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

/** CPU time of a process in seconds; undefined where there is no /proc. */
export async function cpuSeconds(pid: number): Promise<number | undefined> {
  const stat = await readProc(pid, "stat");
  // The name may contain spaces, so fields are counted from the parenthesis after it (proc(5)).
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields && (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process in KiB; undefined where there is no /proc. */
export async function residentKib(pid: number): Promise<number | undefined> {
  const status = await readProc(pid, "status");
  const kib = status && /^VmRSS:\s+(\d+)/m.exec(status)?.[1];
  return kib ? Number(kib) : undefined;
}

async function readProc(pid: number, file: string): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  return await Deno.readTextFile(`/proc/${pid}/${file}`);
}
