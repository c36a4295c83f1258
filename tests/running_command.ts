/** A command as somebody types it, and what it prints. */

import { assertEquals, assertMatch } from "@std/assert";
import { dirname } from "node:path";
import { until } from "./until.ts";

/** How a command is run. */
export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads; without any it has none. */
  readonly input?: string;
}

/** A running command; disposing of it ends it. */
export class RunningCommand implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #ended: Promise<unknown>;
  #output = "";
  #errors = "";
  #isOver = false;

  constructor(program: string, args: readonly string[], { cwd, env, input }: CommandOptions) {
    this.#process = new Deno.Command(program, {
      args: [...args],
      cwd,
      env: { NO_COLOR: "1", ...env },
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      // A group of its own, which ends with what it has started.
      detached: true,
    }).spawn();
    const read = async (
      stream: ReadableStream<Uint8Array<ArrayBuffer>>,
      take: (text: string) => void,
    ) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) take(text);
    };
    this.#ended = Promise.all([
      read(this.#process.stdout, (text) => this.#output += text),
      read(this.#process.stderr, (text) => this.#errors += text),
      input === undefined ? undefined : new Blob([input]).stream().pipeTo(this.#process.stdin),
    ]).finally(() => this.#isOver = true);
  }

  /** A command of a shell, for which `deno` is the Deno that runs this. */
  static shell(command: string, options: CommandOptions): RunningCommand {
    const deno = dirname(Deno.execPath());
    return new RunningCommand(
      "bash",
      ["-c", 'PATH="$0:$PATH" exec bash -c "$1"', deno, command],
      options,
    );
  }

  /** Waits until it has printed something, or has ended without. */
  async prints(pattern: RegExp): Promise<string> {
    await until(() => this.#isOver || pattern.test(this.#output));
    assertMatch(this.#output, pattern, this.#errors);
    return this.#output;
  }

  /** Waits for its end, which must be a success. */
  async succeeds(): Promise<string> {
    await this.#ended;
    assertEquals((await this.#process.status).code, 0, this.#errors);
    return this.#output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      Deno.kill(-this.#process.pid, "SIGTERM");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    await this.#process.status;
    await this.#ended;
  }
}
