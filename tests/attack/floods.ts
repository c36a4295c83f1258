/** Attacks by many requests, each sent again as soon as it is answered. */

import { Flood } from "./flood.ts";
import type { FloodOrder } from "./flood_process.ts";
import { type Attack, short } from "./outcome.ts";
import * as requests from "./requests.ts";
import { askedIn, play, type Scene } from "./scene.ts";
import type { Target } from "./target.ts";

/** What a flood is made of, and what is asked amid it. */
interface FloodPlan
  extends Omit<FloodOrder, "port" | "seconds">, Pick<Scene, "maxP95Ms" | "maxGrowthMb"> {
  readonly name: string;
  readonly seconds: { readonly full: number; readonly short: number };
}

export const ATTACKER = "127.0.0.2";
/** Whom nobody has heard of. */
const STRANGERS = Array.from({ length: 1000 }, (_, n) => `127.1.${n >> 8}.${n & 255}`);

const PLANS: readonly FloodPlan[] = [
  {
    name: "50 connections from one address post as fast as they can",
    connections: 50,
    addresses: [ATTACKER],
    request: requests.MESSAGE,
    seconds: { full: 30, short: 6 },
    maxP95Ms: 10,
  },
  {
    name: "1,000 new addresses post as fast as they can",
    connections: STRANGERS.length,
    addresses: STRANGERS,
    request: requests.MESSAGE,
    // The first second, in which all of them connect, must not be more than a twentieth.
    seconds: { full: 20, short: 20 },
    maxGrowthMb: 60,
  },
  ...([
    ["posts of 64 KB of marks over one letter, 4 connections", 4, requests.MARKED_MESSAGE],
    ["posts of 1,200 empty parts, 10 connections", 10, requests.EMPTY_PARTS],
    ["the page asked for with 60 KB of ETags, one connection", 1, requests.SPACED_ETAGS],
    ["addresses of 60 KB, 10 connections", 10, requests.LONG_ADDRESS],
    ["posts to the name of another host, 10 connections", 10, requests.STRANGE_HOST],
  ] as const).map(([name, connections, request]) => ({
    name,
    connections,
    addresses: [ATTACKER],
    request,
    seconds: { full: 5, short: 2 },
  })),
];

/** The floods, in the order in which they are played. */
export const FLOODS: readonly Attack[] = PLANS.map((plan) => ({
  name: plan.name,
  asked: askedIn(plan),
  play: (options) => {
    const seconds = plan.seconds[options.short ? "short" : "full"];
    const attack = async (target: Target) => ({
      happened: `answered ${statuses(await flood(target, { ...plan, seconds }))}`,
      isReached: true,
    });
    return play({ ...plan, seconds, attack }, options);
  },
}));

/** Floods a server, and returns how often which status came. */
export async function flood(
  target: Target,
  { connections, addresses, request, seconds }: Omit<FloodOrder, "port">,
): Promise<Readonly<Record<string, number>>> {
  await using running = await Flood.start(target, { connections, addresses, request, seconds });
  return await running.result();
}

/** `320 × 201, 41,200 × 429`. */
export function statuses(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).filter(([, count]) => count > 0).map(([status, count]) =>
    `${short(count)} × ${status}`
  ).join(", ");
}
