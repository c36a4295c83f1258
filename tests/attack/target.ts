/** The server that is attacked: one of our own, on a free port of this machine, and nobody else's. */

import { join, resolve } from "node:path";
import { canPin, residentKib } from "../../bench/server.ts";
import { ChatProcess } from "../chat_process.ts";
import type { AttackOptions } from "./options.ts";

/** Nobody else reaches it. */
const HOSTNAME = "127.0.0.1";
/** The cores of the server, and of those who use it. */
const SERVER_CORE = 0;
export const VISITORS_CORE = 1;
const SAMPLE_MS = 200;

/** A running server; disposing of it kills it. */
export class Target implements AsyncDisposable {
  readonly #chat: ChatProcess;
  /** Whether the server has a core to itself. */
  readonly isPinned: boolean;

  private constructor(chat: ChatProcess, isPinned: boolean) {
    this.#chat = chat;
    this.isPinned = isPinned;
  }

  /** Starts a server with the flags of the command line. */
  static async start(
    { checkout, flags }: AttackOptions,
    env?: Record<string, string>,
  ): Promise<Target> {
    const module = checkout && join(resolve(checkout), "main.ts");
    const chat = await ChatProcess.start([`--hostname=${HOSTNAME}`, ...flags], {
      module,
      env,
      hasLimits: true,
    });
    const isPinned = await canPin();
    if (isPinned) {
      await pin(chat.pid, SERVER_CORE);
      await pin(Deno.pid, VISITORS_CORE);
    }
    return new Target(chat, isPinned);
  }

  get port(): number {
    return this.#chat.port;
  }

  get url(): string {
    return `http://${HOSTNAME}:${this.port}`;
  }

  /** How many lines it has printed after the first. */
  get lines(): number {
    return this.#chat.output.split("\n").length - 1;
  }

  /** Resident memory in MB; 0 where there is no /proc. */
  async residentMb(): Promise<number> {
    return (await residentKib(this.#chat.pid) ?? 0) / 1000 * 1.024;
  }

  /** Runs something, and returns by how many MB the memory grew while it ran, at most. */
  async growthDuring(run: () => Promise<void>): Promise<number> {
    const before = await this.residentMb();
    let most = before;
    let sample = Promise.resolve();
    const timer = setInterval(() => {
      sample = this.residentMb().then((mb) => void (most = Math.max(most, mb)));
    }, SAMPLE_MS);
    try {
      await run();
    } finally {
      clearInterval(timer);
      await sample;
    }
    return Math.max(most, await this.residentMb()) - before;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chat[Symbol.asyncDispose]();
  }
}

/** Confines all threads of a process to a core. */
async function pin(pid: number, core: number): Promise<void> {
  await new Deno.Command("taskset", { args: ["-apc", String(core), String(pid)] }).output();
}
