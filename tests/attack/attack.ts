/**
 * What somebody in the same network may try, played against a server of our own on this machine: each
 * attack prints how those fared who do no harm, and fails where they did not fare as they should.
 *
 * `deno task attack --short` takes less than a minute; `--checkout DIR` attacks the server of another
 * checkout; all other flags are the server's.
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
