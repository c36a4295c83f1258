/** `deno task protocol`, as somebody at a terminal runs it. */

import { assertEquals } from "@std/assert";
import deno from "../../deno.json" with { type: "json" };
import { RULES } from "../protocol/rules.ts";

const ROOT = new URL("../../", import.meta.url);

/** What the suite has found out. */
export interface Result {
  readonly output: string;
  /** The rules that are kept, and those that are broken. */
  readonly kept: string[];
  readonly broken: string[];
  /** Those that were not checked, each with the reason. */
  readonly ignored: string[];
}

/** Runs the suite against a server. */
export async function checkServer(url: string, ...options: string[]): Promise<Result> {
  const [, ...args] = deno.tasks.protocol.command.split(" ");
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, url, ...options],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const lines = Array.from(output.matchAll(/^([A-Z]\d+) (.*) \.\.\. (ok|FAILED|ignored) /gm));
  const of = (outcome: string) => lines.filter((line) => line[3] === outcome);
  assertEquals(lines.length, RULES.length, output);
  return {
    output,
    kept: of("ok").map(([, id]) => id),
    broken: of("FAILED").map(([, id]) => id),
    ignored: of("ignored").map(([, id, name]) => `${id} ${/\[.*\]/.exec(name)![0]}`),
  };
}
