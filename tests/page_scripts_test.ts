/** What the page's scripts must not contain, so that they are the same without their comments. */

import { assertEquals } from "@std/assert";

const { state } = await Deno.permissions.query({ name: "read" });
const ignore = state !== "granted";

/** Comments, as far as no text may hold them, and texts in double quotes. */
const NO_TEMPLATE = /\/\*\*[^]*?\*\/|(?<=^|\s)\/\/.*|"(?:[^"\\\n]|\\.)*"/gm;

Deno.test("no template in the page's scripts has a line that is left out as a comment", {
  ignore,
}, async () => {
  const folder = new URL("../static/", import.meta.url);
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.endsWith(".js")) continue;
    const text = await Deno.readTextFile(new URL(name, folder));
    const templates = text.replace(NO_TEMPLATE, '""').match(/`[^`]*`/g) ?? [];
    assertEquals(templates.filter((each) => each.includes("\n")), [], name);
  }
});
