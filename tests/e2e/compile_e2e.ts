/** What `deno task compile` puts into the executable. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

Deno.test("the executable carries the whole page and nothing of the tests", async () => {
  const folder = await Deno.makeTempDir();
  await using _removed = {
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
  const task = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))).tasks.compile;
  const target = `${folder}/sse-chat`;
  const command = task.command.replace("--output sse-chat", `--output ${target}`);
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--eval", command],
    cwd: ROOT,
    // Compiling starts from a base that Deno downloads; this stands in for it. The result can't
    // run, but the graph is resolved and embedded all the same.
    env: { DENORT_BIN: Deno.execPath(), NO_COLOR: "1" },
    stderr: "piped",
  }).output();
  const output = new TextDecoder().decode(stderr);
  assertEquals(code, 0, output);

  const listed = output.slice(output.indexOf("Embedded Files"));
  for (const file of ["main.ts", "chat_hub.ts", "static/*", "deno-std/", "prom-client/"]) {
    assertStringIncludes(listed, file);
  }
  for (const name of ["test", "playwright", "eventsource", "axe"]) {
    assert(!listed.includes(name), `${name} is embedded:\n${listed}`);
  }
  const executable = new TextDecoder("latin1").decode(await Deno.readFile(target));
  for await (const { name } of Deno.readDir(new URL("static/", ROOT))) {
    const bytes = await Deno.readFile(new URL(`static/${name}`, ROOT));
    const text = new TextDecoder("latin1").decode(bytes);
    assert(executable.includes(text), `static/${name} is not in the executable`);
  }
});
