/** A Redis of a test's own, on a free port of this machine, with its files in a folder of its own. */

import { freePort } from "./free_port.ts";
import { until } from "./until.ts";

/** Whether there is a `redis-server` to start. */
export const hasRedis: boolean = await canRun("redis-server");

/** Options for {@linkcode RedisServer.start}. */
export interface RedisServerOptions {
  /** Its settings besides those that it needs here, as `redis-server` takes them: `--maxmemory 1mb`. */
  readonly settings?: readonly string[];
}

/** A running `redis-server` that answers nobody before the disk has it; disposing of it kills it. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #settings: readonly string[];
  #process: Deno.ChildProcess | undefined;

  private constructor(port: number, folder: string, settings: readonly string[]) {
    this.port = port;
    this.#folder = folder;
    this.#settings = settings;
  }

  static async start({ settings = [] }: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(freePort(), await Deno.makeTempDir(), settings);
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, with what it has on disk; resolves when it answers. */
  async start(): Promise<void> {
    this.#process = new Deno.Command("redis-server", {
      args: [
        ...["--port", `${this.port}`, "--bind", "127.0.0.1", "--dir", this.#folder],
        ...["--save", "", "--appendonly", "yes", "--appendfsync", "always"],
        ...this.#settings,
      ],
      stdout: "null",
      stderr: "null",
    }).spawn();
    while ((await this.run("PING").catch(() => "")) !== "PONG");
  }

  /** Ends it at once, as a power cut would; what it has on disk stays. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.status;
    this.#process = undefined;
  }

  /** Keeps it from doing anything, until it may go on. */
  stop(): void {
    this.#process?.kill("SIGSTOP");
  }

  goOn(): void {
    this.#process?.kill("SIGCONT");
  }

  /** What `redis-cli` prints for a command, without the last line's end. */
  async run(...command: string[]): Promise<string> {
    const { stdout } = await new Deno.Command("redis-cli", {
      args: ["-p", `${this.port}`, ...command],
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).trimEnd();
  }

  /** All that it has on disk, as text. */
  async readFiles(): Promise<string> {
    const texts: string[] = [];
    try {
      for (const folder of [this.#folder, `${this.#folder}/appendonlydir`]) {
        for await (const { name, isFile } of Deno.readDir(folder)) {
          if (isFile) {
            texts.push(new TextDecoder("latin1").decode(await Deno.readFile(`${folder}/${name}`)));
          }
        }
      }
    } catch (error) {
      // It has written its files anew meanwhile.
      if (error instanceof Deno.errors.NotFound) return await this.readFiles();
      throw error;
    }
    return texts.join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    // A part of it that writes its files anew outlives it for a moment.
    const remove = () => Deno.remove(this.#folder, { recursive: true });
    await until(() => remove().then(() => true, () => false));
  }
}

async function canRun(program: string): Promise<boolean> {
  const { state } = await Deno.permissions.query({ name: "run" });
  if (state !== "granted") return false;
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null" }).output())
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
