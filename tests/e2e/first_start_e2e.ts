/** What a first `deno task start` downloads. */

import { assert, assertEquals } from "@std/assert";
import { newFolder } from "../folder.ts";

const ROOT = new URL("../../", import.meta.url);
const MAX_BYTES = 20 * 1024 * 1024;

Deno.test("a first start downloads what it needs, and nothing that only tests do", async () => {
  await using cache = await newFolder();
  await using start = new Deno.Command(Deno.execPath(), {
    args: ["task", "start", "--port", "0", "--message-log", "memory:"],
    cwd: ROOT,
    env: { DENO_DIR: cache.path, NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(start.stderr).text();
  const output = start.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await output.read();
  start.kill("SIGTERM");
  await output.cancel();
  assertEquals((await start.status).code, 0);
  assert(value?.startsWith("The chat is at"), await errors);

  const packages: string[] = [];
  for await (const { name: registry } of Deno.readDir(`${cache.path}/npm`)) {
    for await (const { name } of Deno.readDir(`${cache.path}/npm/${registry}`)) packages.push(name);
  }
  // Deno downloads what an import names that is not needed yet, and what that needs. Of the packages that
  // the client for Redis may do without, no more than what they are is downloaded.
  assertEquals(packages.toSorted(), [
    ...["@node-rs", "@opentelemetry", "@redis", "bintrees"],
    ...["deno-std", "prom-client", "tdigest", "uqr"],
  ]);
  const bytes = await sizeOf(cache.path);
  assert(bytes <= MAX_BYTES, `${bytes} bytes`);
});

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    bytes += isDirectory ? await sizeOf(path) : (await Deno.stat(path)).size;
  }
  return bytes;
}
