/** A server under attack, and somebody who goes on with what people do, before it and amid it. */

import type { AttackOptions } from "./options.ts";
import { type Outcome, short } from "./outcome.ts";
import { Person, type PersonOptions, type Seen } from "./person.ts";
import { Target } from "./target.ts";

/** What is played, and what is asked. */
export interface Scene {
  readonly seconds: number;
  /** The server's variables. */
  readonly env?: Record<string, string>;
  /** How the honest come in, if not as anybody does. */
  readonly honest?: Partial<PersonOptions>;
  /** p95 of posts and deliveries, if twice that before the attack is not more. */
  readonly maxP95Ms?: number;
  /** By how much the server's memory may grow. */
  readonly maxGrowthMb?: number;
  /** Comes before everything else. */
  prepare?(target: Target): Promise<unknown>;
  /** The attack, which may take longer than the honest write. */
  attack(target: Target): Promise<Outcome>;
}

/** Who was there before the attack: one writes before it, the other amid it, each with a bucket of their own. */
const QUIET = "127.0.0.4";
const HONEST = "127.0.0.3";
/** In half a minute that is as much as an address may write. */
const POSTS_PER_SECOND = 10;
const QUIET_SECONDS = 2;
/** Nobody notices that much, and it is more than a machine that does other things takes. */
const MAX_P95_MS = 100;
/** The first refusal is printed at once, the others once a minute. */
const MAX_LINES = 1;

/** What is asked in every scene, in words. */
export function askedIn(
  { maxP95Ms = MAX_P95_MS, maxGrowthMb }: Pick<Scene, "maxP95Ms" | "maxGrowthMb">,
): string {
  return [
    "0 refused, 0 lost",
    `p95 at most ${maxP95Ms} ms or 2 × quiet`,
    ...maxGrowthMb === undefined ? [] : [`memory at most ${maxGrowthMb} MB more`],
    "at most one line printed",
  ].join("; ");
}

/** Plays a scene. */
export async function play(scene: Scene, options: AttackOptions): Promise<Outcome> {
  const { seconds, honest, maxP95Ms = MAX_P95_MS, maxGrowthMb = Infinity } = scene;
  await using target = await Target.start(options, scene.env);
  await scene.prepare?.(target);
  const { url } = target;
  await using before = await Person.join({ url, ...honest, address: QUIET });
  await using person = await Person.join({ url, address: HONEST, ...honest });
  // Who has written before is no stranger.
  await person.write(1, 1);
  const quiet = await before.write(POSTS_PER_SECOND, QUIET_SECONDS);
  const printed = target.lines;
  let [amid, attacked]: [Seen?, Outcome?] = [];
  const growthMb = await target.growthDuring(async () => {
    [amid, attacked] = await Promise.all([
      person.write(POSTS_PER_SECOND, seconds),
      scene.attack(target),
    ]);
  });
  const { refused, posts, deliveries } = amid!;
  const lost = amid!.lost + await before.forgotten() + await person.forgotten();
  const lines = target.lines - printed;
  const p95 = (seen: Seen) => Math.max(seen.posts.quantile(0.95), seen.deliveries.quantile(0.95));
  return {
    happened: [
      attacked!.happened,
      `honest: ${refused} refused, ${lost} lost, post ${posts} ms (quiet ${quiet.posts}), ` +
      `delivery ${deliveries} ms (${quiet.deliveries})`,
      `memory +${short(growthMb)} MB`,
      `lines printed: ${lines}`,
    ].join("; "),
    isReached: attacked!.isReached && refused === 0 && lost === 0 &&
      p95(amid!) <= Math.max(maxP95Ms, 2 * p95(quiet)) &&
      growthMb <= maxGrowthMb && lines <= MAX_LINES,
  };
}
