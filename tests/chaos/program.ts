/**
 * The program, but that rooms close as soon as nobody is in them, which a user never waits
 * for, and that each log takes a moment to open and to close, which is when it matters
 * who comes. It prints a line for each log that it opens.
 */

import { setTimeout as delay } from "node:timers/promises";
import { main } from "../../main.ts";
import { openMessageStore } from "../../message_log/open.ts";
import { slowly } from "../slow_store.ts";

const IDLE_MS = 40;
/** Longest time to open or to close a log. */
const MAX_CHANGE_MS = 20;

let isStopping = false;
for (const signal of ["SIGTERM", "SIGHUP"] as const) {
  Deno.addSignalListener(signal, () => isStopping = true);
}

await main({
  idleMs: IDLE_MS,
  openStore: async (...settings) =>
    slowly(await openMessageStore(...settings), async (change, room) => {
      if (change === "open") console.log(`opened /${room}`);
      // Who is cut off by the end is not to wait for it any longer than a user's readers.
      if (!isStopping) await delay(Math.random() * MAX_CHANGE_MS);
    }),
});
