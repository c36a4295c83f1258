/** What happens to a chat in one run: commands in any order, as values that can be printed. */

import fc from "fast-check";
import type { Appetite } from "./clients.ts";

/** A cursor that a client comes with; a number picks one, counted from the newest. */
export type Cursor =
  | "latest"
  | "none"
  | "all"
  | "unknown"
  | { readonly seen: number }
  | { readonly lost: number }
  | { readonly foreign: number };

/** One thing that happens. */
export type Command =
  | { do: "append"; room: string; count: number; text: "short" | "long" | "wide" }
  | { do: "appendKeyed"; room: string; key: number; variant: number }
  | { do: "join"; room: string; cursor: Cursor; appetite: Appetite; count: number }
  | { do: "ask"; room: string; cursor: Cursor; isBefore: boolean; appetite: Appetite }
  | { do: "nibble" | "devour" | "comeBack" | "failRead" }
  | { do: "leave"; which: number }
  | { do: "turns"; count: number }
  | { do: "remove"; room: string; what: "one" | "mark" | "all"; which: number; isAmid: boolean }
  | { do: "rush"; room: string; count: number }
  | { do: "tick"; ms: number }
  | { do: "stepClock"; ms: number }
  | { do: "restart"; putBack: boolean; copy: boolean; room: string; erase: number }
  | { do: "crash" }
  | { do: "appendElsewhere"; room: string; count: number }
  | { do: "removeElsewhere"; room: string; what: "one" | "mark" | "all"; which: number }
  | { do: "cutOff"; room: string; count: number };

/** How a run goes. */
export interface Schedule {
  readonly keep: number;
  readonly commands: readonly Command[];
}

/** How long a heartbeat is. */
export const HEARTBEAT_MS = 15_000;
/** The rooms; the main one has no name. */
export const ROOMS = ["", "biology", "physics"];
/** A room that nobody uses closes after once to twice this time: within any heartbeat. */
export const IDLE_MS = 1000;

const cursor = fc.oneof(
  { arbitrary: fc.constantFrom("latest", "none", "all", "unknown"), weight: 4 },
  { arbitrary: fc.record({ seen: fc.nat(200) }), weight: 4 },
  { arbitrary: fc.record({ lost: fc.nat(20) }), weight: 1 },
  { arbitrary: fc.record({ foreign: fc.nat(200) }), weight: 1 },
) as fc.Arbitrary<Cursor>;
// Half of it happens in the main room, so that much happens to one.
const room = fc.constantFrom(...ROOMS.toSpliced(1, 0, ROOMS[0]));
const appetite = fc.constantFrom("much", "little", "nothing");
const count = fc.oneof(
  { arbitrary: fc.constant(1), weight: 6 },
  { arbitrary: fc.integer({ min: 2, max: 12 }), weight: 4 },
  { arbitrary: fc.integer({ min: 30, max: 50 }), weight: 1 },
);

function command<Name extends Command["do"]>(
  name: Name,
  weight: number,
  fields: Record<string, fc.Arbitrary<unknown>> = {},
) {
  return { arbitrary: fc.record({ do: fc.constant(name), ...fields }), weight };
}

const removal = {
  room,
  what: fc.oneof(
    { arbitrary: fc.constant("one"), weight: 6 },
    { arbitrary: fc.constant("mark"), weight: 2 },
    { arbitrary: fc.constant("all"), weight: 1 },
  ),
  which: fc.oneof(fc.nat(3), fc.nat(40)),
};

const COMMON = [
  command("append", 14, {
    room,
    count,
    text: fc.oneof(
      { arbitrary: fc.constant("short"), weight: 5 },
      { arbitrary: fc.constant("long"), weight: 1 },
      { arbitrary: fc.constant("wide"), weight: 1 },
    ),
  }),
  command("appendKeyed", 5, { room, key: fc.nat(3), variant: fc.nat(1) }),
  command("join", 10, {
    room,
    cursor,
    appetite,
    count: fc.oneof(
      { arbitrary: fc.constant(1), weight: 30 },
      // More than are served in one turn.
      { arbitrary: fc.constant(70), weight: 1 },
    ),
  }),
  command("ask", 4, { room, cursor, isBefore: fc.boolean(), appetite }),
  command("nibble", 8),
  command("devour", 1),
  command("comeBack", 2),
  command("failRead", 1),
  command("leave", 2, { which: fc.nat() }),
  // Amid posts it is done in the turn in which they are.
  command("remove", 5, { ...removal, isAmid: fc.boolean() }),
  // Each turn somebody writes and somebody joins.
  command("rush", 2, { room, count: fc.integer({ min: 2, max: 6 }) }),
  command("turns", 14, { count: fc.integer({ min: 1, max: 4 }) }),
  command("tick", 10, { ms: fc.constantFrom(50, 250, 1000, HEARTBEAT_MS, HEARTBEAT_MS) }),
  command("stepClock", 3, { ms: fc.constantFrom(-3_600_000, -1, 1, 3_600_000) }),
];
const RESTART = command("restart", 1);
const OF_FILES = [
  command("restart", 4, {
    putBack: fc.boolean(),
    copy: fc.boolean(),
    room,
    erase: fc.oneof({ arbitrary: fc.constant(0), weight: 2 }, fc.integer({ min: 1, max: 8 })),
  }),
  command("crash", 1),
];
const OF_MANY = [
  RESTART,
  command("crash", 1),
  command("cutOff", 1, { room, count }),
  command("appendElsewhere", 10, { room, count }),
  command("removeElsewhere", 4, removal),
];
const COMMANDS = {
  memory: [...COMMON, RESTART],
  file: [...COMMON, ...OF_FILES],
  redis: [...COMMON, ...OF_MANY],
};

/** Any schedule of what may happen to logs in a storage: a file can be tampered with. */
export function anySchedule(storage: keyof typeof COMMANDS): fc.Arbitrary<Schedule> {
  return fc.record({
    keep: fc.constantFrom(1, 3, 3, 20, 70, 1000),
    commands: fc.array(fc.oneof(...COMMANDS[storage]), {
      minLength: 1,
      maxLength: 60,
      size: "max",
    }),
  }) as fc.Arbitrary<Schedule>;
}
