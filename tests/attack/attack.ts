/**
 * What somebody in the same network may try, played against a server of our own on this machine: each
 * attack finds out how those fare who do no harm, and fails if that is worse than asked. At the end
 * there is a table of all.
 *
 * `deno task attack` takes three minutes, with `--short` half of that; `--checkout DIR` attacks the
 * server of another checkout (though what is played by a clock of its own is always ours); all other
 * flags are the server's.
 */

import { assert } from "@std/assert";
import { CLASSES } from "./classes.ts";
import { FLOODS } from "./floods.ts";
import { HOLDS } from "./holds.ts";
import { INTRUDERS } from "./intruders.ts";
import { NEWCOMERS } from "./newcomers.ts";
import { readOptions } from "./options.ts";
import { type Row, table } from "./outcome.ts";

const options = readOptions(Deno.args);
const rows: Row[] = [];

for (const attack of [...CLASSES, ...FLOODS, ...NEWCOMERS, ...HOLDS, ...INTRUDERS]) {
  Deno.test(attack.name, async () => {
    const row = { ...attack, ...await attack.play(options) };
    rows.push(row);
    assert(row.isReached, `${row.happened}\nasked: ${row.asked}`);
  });
}

Deno.test.afterAll(() => console.log(`\n${table(rows)}`));
