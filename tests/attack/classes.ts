/** What is no attack: a class of 40 behind one address, which must not be taken for one. */

import { setTimeout as delay } from "node:timers/promises";
import { Random } from "../chaos/random.ts";
import { form, openChat } from "../open_room.ts";
import { FakeClock } from "./fake_clock.ts";
import type { AttackOptions } from "./options.ts";
import { type Attack, short } from "./outcome.ts";
import { Target } from "./target.ts";

/** Something that a class does. */
interface Scenario {
  readonly name: string;
  /** When each message is sent, in milliseconds from the start. */
  readonly times: readonly number[];
  readonly message: string;
  /** Whether it is short enough to be played over sockets, by the real clock. */
  readonly isReal: { readonly full: boolean; readonly short: boolean };
}

const PEOPLE = 40;
const MINUTE_MS = 60_000;
const ADDRESS = "127.0.0.5";
const LINE = "I think it is the third one, isn't it?";
const CODE = "  const total = items.reduce((sum, item) => sum + item.price, 0);\n".repeat(46);

const random = new Random(40, "class");
const NEVER = { full: false, short: false };

const SCENARIOS: readonly Scenario[] = [
  {
    name: "40 say hello in 10 s",
    times: turns(10_000, 10_000),
    message: LINE,
    isReal: { full: true, short: false },
  },
  {
    name: "40 answer a question in 5 s, each minute for 10 minutes",
    times: Array.from({ length: 10 }, (_, n) => turns(5000, 5000).map((at) => at + n * MINUTE_MS))
      .flat(),
    message: LINE,
    isReal: NEVER,
  },
  {
    name: "40 write every 20 s for 10 minutes",
    times: turns(20_000, 10 * MINUTE_MS),
    message: LINE,
    isReal: NEVER,
  },
  {
    name: "40 write every 4 s for 30 s",
    times: turns(4000, 30_000),
    message: LINE,
    isReal: NEVER,
  },
  {
    name: "40 paste 3 KB of code in 30 s",
    times: turns(30_000, 30_000),
    message: CODE,
    isReal: NEVER,
  },
  {
    name: "40 send 4 messages each, in the second after an outage",
    times: Array.from({ length: 4 }, () => turns(1000, 1000)).flat().toSorted((a, b) => a - b),
    message: LINE,
    isReal: { full: true, short: true },
  },
];

/** What classes do, each on a server of its own. */
export const CLASSES: readonly Attack[] = SCENARIOS.map((scenario) => ({
  name: `a class behind one address: ${scenario.name}`,
  asked: "0 refused",
  play: async (options) => {
    const isReal = scenario.isReal[options.short ? "short" : "full"];
    const refused = await (isReal ? playForReal(scenario, options) : playByClock(scenario));
    const clock = isReal ? "over sockets" : "by a clock of its own";
    return {
      happened: `${short(scenario.times.length)} posts ${clock}: ${refused} refused`,
      isReached: refused === 0,
    };
  },
}));

/** When each of the people writes, if once in each period until the end. */
function turns(periodMs: number, endMs: number): number[] {
  const times = [];
  for (let start = 0; start < endMs; start += periodMs) {
    for (let person = 0; person < PEOPLE; person++) times.push(start + random.int(0, periodMs));
  }
  return times.filter((time) => time <= endMs).toSorted((a, b) => a - b);
}

/** Calls the handler, at the times that the limits' own clock shows; returns how many were refused. */
async function playByClock({ times, message }: Scenario): Promise<number> {
  await using room = await openChat(["--rate-limit", "240"], { now: () => performance.now() });
  using clock = new FakeClock();
  const start = clock.now;
  let refused = 0;
  for (const time of times) {
    clock.now = start + time;
    const body = form({ nickname: "pupil", message });
    const { status } = await room.askFrom(ADDRESS, "/chat", { method: "POST", body });
    if (status !== 201) refused++;
  }
  return refused;
}

/** Posts to a server, in real time; returns how many were refused. */
async function playForReal(
  { times, message }: Scenario,
  options: AttackOptions,
): Promise<number> {
  await using target = await Target.start(options);
  using client = Deno.createHttpClient({ localAddress: ADDRESS });
  const start = performance.now();
  const statuses = await Promise.all(times.map(async (time) => {
    await delay(Math.max(0, start + time - performance.now()));
    const body = form({ nickname: "pupil", message });
    const response = await fetch(`${target.url}/chat`, { method: "POST", body, client });
    await response.body?.cancel();
    return response.status;
  }));
  return statuses.filter((status) => status !== 201).length;
}
