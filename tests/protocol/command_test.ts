/** The command line of `deno task protocol`, where it can't check anything. */

import { assertEquals, assertMatch } from "@std/assert";
import deno from "../../deno.json" with { type: "json" };
import { freePort } from "../free_port.ts";

const { state } = await Deno.permissions.query({ name: "run" });
const ignore = state !== "granted";

Deno.test(
  "deno task protocol says in one line why it can't check a server",
  { ignore },
  async () => {
    const nobody = `http://127.0.0.1:${freePort()}`;
    const cases: [args: string[], line: RegExp][] = [
      [
        [],
        /^Cannot check: the address of one server is wanted.*; docs\/protocol\.md lists the options$/m,
      ],
      [
        [nobody, "--cellars"],
        /^Cannot check: Unknown option '--cellars'; docs\/protocol\.md lists/m,
      ],
      [
        [nobody],
        /^Cannot check: nothing answers at http:\/\/127\.0\.0\.1:\d+\/; start the server/m,
      ],
    ];
    for (const [args, line] of cases) {
      const { code, output } = await runProtocol(args);
      assertEquals(code, 1, output);
      assertMatch(output, line);
      // No stack, and no rule that failed.
      assertEquals(output.match(/options\.ts|protocol\.ts:|^[A-Z]\d+ /gm), null, output);
    }
  },
);

async function runProtocol(args: readonly string[]): Promise<{ code: number; output: string }> {
  const [, ...command] = deno.tasks.protocol.command.split(" ");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...command, ...args],
    cwd: new URL("../../", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, output: text(stdout) + text(stderr) };
}
