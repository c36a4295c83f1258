/** Many connections that send one request again and again, in a process of its own. */

import { end, spawn } from "../../bench/server.ts";
import type { FloodOrder, FloodResult } from "./flood_process.ts";
import { type Target, VISITORS_CORE } from "./target.ts";

/** They must not keep the honest, on the same core, from looking at the clock. */
const NICENESS = "19";
const PROCESS = new URL("flood_process.ts", import.meta.url).href;

/** A flood that goes on until it is ended; disposing of it kills it. */
export class Flood implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #result: Promise<FloodResult>;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#result = new Response(process.stdout).text().then((text) => JSON.parse(text || "{}"));
  }

  /** Starts to attack a server. */
  static async start(target: Target, order: Omit<FloodOrder, "port">): Promise<Flood> {
    const process = spawn(
      [
        "nice",
        "-n",
        NICENESS,
        Deno.execPath(),
        "run",
        "--no-prompt",
        "--allow-net=127.0.0.0/8",
        PROCESS,
      ],
      target.isPinned ? VISITORS_CORE : undefined,
      { stdin: "piped", stdout: "piped", stderr: "inherit", env: { NO_COLOR: "1" } },
    );
    const flood = new Flood(process);
    const input = process.stdin.getWriter();
    await input.write(new TextEncoder().encode(JSON.stringify({ ...order, port: target.port })));
    await input.close();
    return flood;
  }

  /** Waits for the end, and returns what was answered. */
  async result(): Promise<FloodResult> {
    return await this.#result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    end(this.#process);
    await Promise.all([this.#process.status, this.#result]);
  }
}
