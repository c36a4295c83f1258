/** `deno task backup`, as it is typed. */

import { join } from "node:path";
import deno from "../deno.json" with { type: "json" };
import type { Ended } from "./chat_process.ts";

/** How a backup is run. */
export interface BackupOptions {
  readonly env?: Record<string, string>;
  /** No file it writes may grow beyond this: further writes fail, as on a full disk. */
  readonly maxFileBytes?: number;
}

/** Runs it to its end. */
export async function runBackup(
  args: readonly string[],
  { env, maxFileBytes }: BackupOptions = {},
): Promise<Ended> {
  const [, ...command] = deno.tasks.backup.command.split(" ");
  const limit = maxFileBytes === undefined
    ? []
    // Without the trap the system would end the program at the limit instead of refusing to write.
    : ["bash", "-c", `trap '' XFSZ; ulimit -f ${maxFileBytes / 1024}; exec "$0" "$@"`];
  const [program, ...rest] = [...limit, Deno.execPath(), ...command, ...args];
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: rest,
    cwd: join(import.meta.dirname!, ".."),
    env: { NO_COLOR: "1", ...env },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}
