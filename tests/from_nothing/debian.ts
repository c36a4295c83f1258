/**
 * A Debian of its own to try commands on as they stand in a document: a copy of this machine, in
 * which systemd runs as it does on a server. What is written there is in memory, and nothing of it
 * stays. Its network has two ends: the server, chat.example.com, and what is outside, where an
 * authority speaks ACME at Let's Encrypt's name. Needs root.
 */

import { assert } from "@std/assert";
import { fileURLToPath } from "node:url";
import { newFolder } from "../folder.ts";
import { until } from "../until.ts";

/** The root that is copied: DEBIAN names another one than this machine's, such as mmdebstrap makes. */
const ROOT = Deno.env.get("DEBIAN") ?? "/";
const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const SCRIPTS = fileURLToPath(new URL(".", import.meta.url));
/** Where the authority keeps its certificate, in the folder that belongs to the copy. */
const AUTHORITY = "authority/caddy/pki/authorities/local/root.crt";
/** The certificates that a Debian trusts. */
const TRUSTED = "/etc/ssl/certs/ca-certificates.crt";
/** Where Debian has programs for root, which not everybody's path leads to. */
const ENV = { PATH: `${Deno.env.get("PATH")}:/usr/sbin` };
/** Programs that download something, which they do over this machine's network. */
const DOWNLOADS = /^(apt-get|npm|.*\bdeno|command -v npm .*apt-get) /m;

/** A copy of this machine; disposing of it ends it and all that runs there. */
export class Debian implements AsyncDisposable {
  readonly #folder: string;
  /** The processes whose namespaces they are, as this machine counts processes. */
  readonly #outside: string;
  readonly #server: string;
  #owned = new AsyncDisposableStack();
  /** Where the next script begins. */
  #directory = "/root";

  private constructor(folder: string, outside: string, server: string) {
    this.#folder = folder;
    this.#outside = outside;
    this.#server = server;
  }

  /** Starts a copy, with the project in /root/sse-chat. */
  static async start(): Promise<Debian> {
    await using owned = new AsyncDisposableStack();
    const { path } = owned.use(await newFolder());
    let output = "";
    // Without a line it has not begun.
    owned.defer(async () => {
      if (output !== "") await removeControlGroups(path);
    });
    const process = new Deno.Command("unshare", {
      args: [
        ...["--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child"],
        ...["sh", `${SCRIPTS}outside.sh`, SCRIPTS, path, ROOT, PROJECT],
      ],
      env: ENV,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const errors = new Response(process.stderr).text();
    let processes: readonly string[] | null = null;
    for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
      output += text;
      processes = /^(\d+)\n(\d+)\n/.exec(output);
      if (processes) break;
    }
    if (!processes) {
      throw new Error(`Cannot copy this machine, which takes root's rights: ${await errors}`);
    }
    const [, outside, server] = processes;
    owned.defer(async () => {
      // All others end with the first process of a namespace.
      Deno.kill(Number(outside), "SIGKILL");
      await process.status;
      await errors;
    });
    const debian = new Debian(path, outside, server);
    await debian.#makeFresh();
    debian.#owned = owned.move();
    return debian;
  }

  /** A file of the server. */
  read(path: string): Promise<string> {
    return Deno.readTextFile(`/proc/${this.#server}/root${path}`);
  }

  /** Runs a script as root on the server, where the one before has ended; returns what it printed. */
  async run(script: string): Promise<string> {
    const net = DOWNLOADS.test(script) ? [] : ["--net"];
    const { code, stdout, stderr } = await new Deno.Command("nsenter", {
      args: [
        ...["--target", this.#server, "--mount", "--uts", "--ipc", "--pid", "--cgroup", ...net],
        ...["sh", "-ec", `cd "$0"\n${script}\npwd`, this.#directory],
      ],
      env: ENV,
    }).output();
    const output = new TextDecoder().decode(stdout).trimEnd();
    assert(code === 0, `${script}\n${output}\n${new TextDecoder().decode(stderr)}`);
    const end = output.lastIndexOf("\n") + 1;
    this.#directory = output.slice(end);
    return output.slice(0, end);
  }

  /** curl outside, which trusts the authority. */
  curl(...args: string[]): Deno.Command {
    return new Deno.Command("nsenter", {
      args: [
        ...["--target", this.#outside, "--mount", "--net", "curl", "--silent", "--no-buffer"],
        ...["--cacert", `${this.#folder}/${AUTHORITY}`, ...args],
      ],
      stdout: "piped",
      stderr: "null",
    });
  }

  /** Has the server trust the authority, and takes from it what commands for a fresh Debian install. */
  async #makeFresh(): Promise<void> {
    const server = `/proc/${this.#server}`;
    // Until then its root is this machine's.
    await until(async () => await Deno.readTextFile(`${server}/comm`) === "systemd\n");
    await until(() => exists(`${server}/root/run/systemd/private`));
    const authority = `/proc/${this.#outside}/root${this.#folder}/${AUTHORITY}`;
    await until(() => exists(authority));
    const certificate = await Deno.readTextFile(authority);
    await Deno.writeTextFile(`${server}/root${TRUSTED}`, certificate, { append: true });
    // A unit of this machine may fail in a copy; those of the document may not.
    await this.run(`
      systemctl is-system-running --wait || true
      if [ -e /usr/bin/caddy ]; then dpkg --purge caddy; fi
      if command -v deno; then npm uninstall --global deno; fi`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** Removes the control groups of a server that has ended: no namespace takes those along. */
async function removeControlGroups(folder: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("unshare", {
    args: ["--mount", "--propagation", "private", "sh", `${SCRIPTS}tidy.sh`, folder],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

function exists(file: string): Promise<boolean> {
  return Deno.stat(file).then(() => true, () => false);
}
