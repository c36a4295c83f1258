/** The numbers of rules: one each, the same in the document and in the suite. */

import { assert, assertEquals } from "@std/assert";
import { idsIn, sentenceOf } from "./rule.ts";
import { RULES } from "./rules.ts";

const document = await readDocument();

/** Bare `deno test` may not read. */
async function readDocument(): Promise<string | undefined> {
  const { state } = await Deno.permissions.query({ name: "read" });
  if (state !== "granted") return undefined;
  return await Deno.readTextFile(new URL("../../docs/protocol.md", import.meta.url));
}

const ignore = document === undefined;

Deno.test("no two rules have one number, in the suite or in the document", { ignore }, () => {
  for (const ids of [RULES.map(({ id }) => id), idsIn(document!)]) {
    assertEquals(ids.filter((id, index) => ids.indexOf(id) !== index), []);
  }
});

Deno.test("the suite checks each rule that has a number in the document, and no other", {
  ignore,
}, () => {
  assertEquals(RULES.map(({ id }) => id).toSorted(), idsIn(document!).toSorted());
});

Deno.test(
  "sentenceOf() finds what the document says of each rule",
  { ignore },
  () => {
    for (const { id } of RULES) {
      const sentence = sentenceOf(id, document!);
      assert(
        sentence && sentence.length > 8 && !/\([A-Z]\d+\)/.test(sentence),
        `${id}: ${sentence}`,
      );
    }
  },
);

Deno.test("sentenceOf() finds sentences, items and rows", () => {
  const document = "One is (A1). Two is\nlong (A2), and goes on (A3); three ends (A4).\n\n" +
    "- an item (B1),\n- another (B2)\n\n| a | | row (C1) |\n| `b` | x (C2), y (C3) |\n";
  const expected = {
    A1: "One is",
    A2: "Two is long, and goes on",
    A3: "Two is long, and goes on",
    A4: "three ends",
    B1: "an item",
    B2: "another",
    C1: "a: row",
    C2: "`b`: x, y",
    C3: "`b`: x, y",
  };
  for (const [id, sentence] of Object.entries(expected)) {
    assertEquals(sentenceOf(id, document), sentence, id);
  }
  assertEquals(sentenceOf("D1", document), undefined);
});
