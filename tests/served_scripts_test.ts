/** That the page's scripts mean the same without what only readers of the source need. */

import { assertEquals } from "@std/assert";
import { compactScript, loadPage } from "../routes/page.ts";

const { state } = await Deno.permissions.query({ name: "read" });

/** The syntax tree as text, without places in the source; Deno's linter has the parser. */
function parse(source: string): string {
  let tree = "";
  const create = () => ({
    Program(program: Deno.lint.Program) {
      const options = { depth: Infinity, iterableLimit: Infinity, strAbbreviateSize: Infinity };
      tree = Deno.inspect(program, { ...options, compact: false });
    },
  });
  Deno.lint.runPlugin({ name: "parse", rules: { tree: { create } } }, "script.js", source);
  return tree.replace(/range: \[\s*\d+,\s*\d+\s*\]/g, "");
}

Deno.test("every script that is served means what its source means", {
  ignore: state !== "granted",
}, async () => {
  const page = await loadPage({ title: "", heartbeat: 15 });
  const scripts = [...page].filter(([path]) => path.endsWith(".js"));
  assertEquals(scripts.length, 16);
  for (const [path, { text }] of scripts) {
    const source = await Deno.readTextFile(new URL(`../static${path}`, import.meta.url));
    assertEquals(parse(text), parse(source), path);
  }
});

Deno.test("compactScript() leaves out comments wherever they are, and nothing that looks like one", () => {
  const source = String.raw`/** Doc. */
first(); // behind, with a comma,
const glob = ["/* no */", '// no', "it's"];
const text = ${"`/* a */ // ${  glob  }\n    kept`"};
const quote = /["'/*]/g.test("a"), half = 4 / 2 / 1;
call(/* own */ a + +b, c - -d);
return_to /* between */ (there);
`;
  const compact = compactScript(source);
  assertEquals(parse(compact), parse(source));
  assertEquals(/Doc|behind|own|between/.test(compact), false, compact);
});
