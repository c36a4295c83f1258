/** The load's process, as the benchmark sees it. */

import { jsonLine, readJsonLines } from "./json_lines.ts";
import type { LoadEvent, LoadOrder, ReturnOrder } from "./load.ts";
import { end, spawn } from "./server.ts";

const LOAD = new URL("load.ts", import.meta.url).href;

/** Runs the load in a process of its own; disposing of it kills the process. */
export class LoadProcess implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #events: AsyncGenerator<LoadEvent>;

  /** With a niceness, it leaves the core to others that run there. */
  constructor(core?: number, niceness = 0) {
    const nice = niceness > 0 ? ["nice", "-n", String(niceness)] : [];
    this.#process = spawn(
      [...nice, Deno.execPath(), "run", "--no-prompt", "--allow-net=127.0.0.1", LOAD],
      core,
      {
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
        env: { NO_COLOR: "1" },
      },
    );
    this.#input = this.#process.stdin.getWriter();
    this.#events = readJsonLines<LoadEvent>(this.#process.stdout);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Sends an order, or the start signal that an order waits for once its readers are connected. */
  async send(value: LoadOrder | ReturnOrder | "go"): Promise<void> {
    await this.#input.write(jsonLine(value));
  }

  /** Waits for an event of that name; the ones before it go to `onProgress`. */
  async until<Name extends LoadEvent["event"]>(
    name: Name,
    onProgress?: (event: LoadEvent) => void,
  ): Promise<LoadEvent & { event: Name }> {
    for (;;) {
      const { value, done } = await this.#events.next();
      if (done) throw new Error("The load exited before it was finished");
      if (value.event === "failed") throw new Error(value.reason);
      if (value.event === name) return value as LoadEvent & { event: Name };
      onProgress?.(value);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    end(this.#process);
    await this.#process.status;
    await this.#input.abort().catch(() => {});
    await this.#events.return(undefined);
  }
}
