/** A copy of the project that a test can change. */

import { assert } from "@std/assert";
import { newFolder } from "./folder.ts";

const ROOT = new URL("../", import.meta.url);

/** A folder with the project as it is when it has been cloned; disposing of it removes it. */
export async function copyProject(): Promise<Awaited<ReturnType<typeof newFolder>>> {
  const folder = await newFolder();
  const names = await Array.fromAsync(Deno.readDir(ROOT), ({ name }) => name);
  const copied = names.filter((name) => !/^\.|^node_modules$|chat\.db|^sse-chat$/.test(name));
  const { success } = await new Deno.Command("cp", {
    args: ["-R", ...copied, folder.path],
    cwd: ROOT,
  }).output();
  assert(success, "the project can't be copied");
  return folder;
}
