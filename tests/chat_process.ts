/** The program as a user starts it, in a process of its own, with what it prints. */

import { join } from "node:path";
import deno from "../deno.json" with { type: "json" };
import { RedisServer } from "./redis_server.ts";

/** The command line of `deno task start`, for any working directory; flags follow it. */
export const COMMAND: readonly string[] = deno.tasks.start.command.split(" ").map((part) =>
  part === "deno"
    ? Deno.execPath()
    : part.replace(/[\w./]+\.(?:ts|lock)$/, (file) => join(import.meta.dirname!, "..", file))
);

/** Flags that let tests post and read as fast as they can. */
export const NO_LIMITS: readonly string[] = [
  ...["--rate-limit", "0"],
  ...["--max-readers", "0", "--max-readers-per-address", "0"],
];

let isOnRedis = false;

/** Has all chats of this file that are started without a log of their own keep messages in Redis. */
export function keepInRedis(): void {
  isOnRedis = true;
}

/** How a process ended and what it printed. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a process is started. */
export interface ProcessOptions {
  readonly env?: Record<string, string>;
  /** The module that runs in place of main.ts. */
  readonly module?: string;
  /** Flags for Deno rather than for the chat. */
  readonly denoFlags?: readonly string[];
  /** No file it writes may grow beyond this: further writes fail, as on a full disk. */
  readonly maxFileBytes?: number;
  /** How many files it may have open, connections included. */
  readonly maxOpenFiles?: number;
  /** A file that its errors are written to. */
  readonly errorFile?: string;
  /** Whether systemd's journal has what it prints. */
  readonly isInJournal?: boolean;
  /** Whether it has the limits that a user's has. */
  readonly hasLimits?: boolean;
}

/** Runs the program until it ends by itself. */
export async function runToEnd(args: string[], options?: ProcessOptions): Promise<Ended> {
  const { code, stdout, stderr } = await command(args, options).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** A running chat; disposing of it kills it. */
export class ChatProcess implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  /** Is settled when both of its outputs have ended. */
  readonly #ended: Promise<unknown>;
  readonly #redis: RedisServer | undefined;
  #output = "";

  private constructor(
    process: Deno.ChildProcess,
    /** What it printed first: where to go. */
    readonly firstLine: string,
    outputs: ReadableStream<string>[],
    redis: RedisServer | undefined,
  ) {
    this.#process = process;
    this.#redis = redis;
    this.#ended = Promise.all(outputs.map(async (output) => {
      for await (const text of output) this.#output += text;
    }));
  }

  /**
   * Starts the program, with its log in memory and without limits unless told otherwise, and waits for its
   * first line.
   */
  static async start(args: string[] = [], options?: ProcessOptions): Promise<ChatProcess> {
    const limits = options?.hasLimits ? [] : NO_LIMITS;
    const redis = isOnRedis ? await RedisServer.start() : undefined;
    const log = redis?.url ?? "memory:";
    const flags = ["--port", "0", "--message-log", log, ...limits, ...args];
    const process = command(flags, options).spawn();
    const [first, rest] = process.stdout.pipeThrough(new TextDecoderStream()).tee();
    let line = "";
    const reader = first.getReader();
    while (!line.includes("\n")) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`The chat ended: ${await new Response(process.stderr).text()}`);
      line += value;
    }
    reader.cancel();
    const errors = process.stderr.pipeThrough(new TextDecoderStream());
    return new ChatProcess(process, line.split("\n")[0], [rest, errors], redis);
  }

  /** Its address, without a slash at the end. */
  get url(): string {
    return this.firstLine.match(/https?:[^\s"]+/)![0];
  }

  /** The same for plain HTTP, without a name that would have to be looked up. */
  get numericUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What it has printed so far, errors and all. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: Deno.Signal): Promise<{ code: number; tookMs: number; output: string }> {
    const start = performance.now();
    this.#process.kill(signal);
    const { code } = await this.#process.status;
    const tookMs = performance.now() - start;
    await this.#ended;
    return { code, tookMs, output: this.#output };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      // TypeError: it has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#process.status;
    await this.#ended;
    await this.#redis?.[Symbol.asyncDispose]();
  }
}

function command(flags: string[], options: ProcessOptions = {}): Deno.Command {
  const { env, module, denoFlags = [], maxFileBytes, maxOpenFiles, errorFile, isInJournal } =
    options;
  const setup = [
    // Without the trap the system would end the program at the limit instead of refusing to write.
    ...maxFileBytes === undefined ? [] : ["trap '' XFSZ", `ulimit -f ${maxFileBytes / 1024}`],
    ...maxOpenFiles === undefined ? [] : [`ulimit -n ${maxOpenFiles}`],
    ...errorFile === undefined ? [] : [`exec 2> ${errorFile}`],
    ...isInJournal ? ["exec 2>&1", "export JOURNAL_STREAM=$(stat -Lc %d:%i /dev/fd/2)"] : [],
  ];
  const [deno, subcommand, ...rest] = COMMAND;
  if (module !== undefined) rest.splice(-1, 1, module);
  const [program, ...args] = [
    ...setup.length > 0 ? ["bash", "-c", [...setup, 'exec "$0" "$@"'].join("; ")] : [],
    ...[deno, subcommand, ...denoFlags, ...rest, ...flags],
  ];
  return new Deno.Command(program, {
    args,
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  });
}
