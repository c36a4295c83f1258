/** A server of a run: it is stopped and started again, and its file, if it has one, can be put back. */

import { ChatProcess } from "../chat_process.ts";

/** What SQLite may leave next to a database. */
const SUFFIXES = ["", "-wal", "-shm"];

/** How the server ended, and what it printed. */
export type Stopped = Awaited<ReturnType<ChatProcess["stop"]>>;

const MODULE = new URL("program.ts", import.meta.url).pathname;

/** The program on one port and one message log; disposing of it kills it. */
export class Server implements AsyncDisposable {
  readonly #flags: readonly string[];
  readonly #file: string;
  #process: ChatProcess;

  private constructor(flags: readonly string[], file: string, process: ChatProcess) {
    this.#flags = flags;
    this.#file = file;
    this.#process = process;
  }

  static async start(
    port: number,
    keep: number,
    messageLog: string,
    ...others: readonly string[]
  ): Promise<Server> {
    const file = messageLog.replace(/^sqlite:/, "");
    const flags = [`--port=${port}`, `--keep=${keep}`, `--message-log=${messageLog}`, ...others];
    return new Server(flags, file, await ChatProcess.start([...flags], { module: MODULE }));
  }

  /** What it has printed since it was started. */
  get output(): string {
    return this.#process.output;
  }

  /** Keeps it from doing anything, until it may go on. */
  freeze(): void {
    Deno.kill(this.#process.pid, "SIGSTOP");
  }

  goOn(): void {
    Deno.kill(this.#process.pid, "SIGCONT");
  }

  async stop(signal: Deno.Signal): Promise<Stopped> {
    return await this.#process.stop(signal);
  }

  async restart(): Promise<void> {
    this.#process = await ChatProcess.start([...this.#flags], { module: MODULE });
  }

  /** Whether all of the log is in the file itself, as it is once the log was closed. */
  async isLogClosed(): Promise<boolean> {
    return !await exists(`${this.#file}-wal`);
  }

  /** All bytes of the file and of what SQLite keeps next to it, a character each. */
  async readFiles(): Promise<string> {
    let text = "";
    for (const suffix of SUFFIXES) {
      if (!await exists(this.#file + suffix)) continue;
      text += new TextDecoder("latin1").decode(await Deno.readFile(this.#file + suffix));
    }
    return text;
  }

  /** Copies the file of the stopped server. */
  async copyFile(): Promise<void> {
    await replace(this.#file, `${this.#file}.copy`);
  }

  /** Puts the copy back. */
  async restoreCopy(): Promise<void> {
    await replace(`${this.#file}.copy`, this.#file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

async function replace(from: string, to: string): Promise<void> {
  for (const suffix of SUFFIXES) {
    if (await exists(to + suffix)) await Deno.remove(to + suffix);
    if (await exists(from + suffix)) await Deno.copyFile(from + suffix, to + suffix);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}
