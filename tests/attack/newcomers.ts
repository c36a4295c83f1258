/** An attack by addresses that nobody has heard of, in the end more of them than are remembered. */

import { form, openChat } from "../open_room.ts";
import { statuses } from "./floods.ts";
import { FakeClock } from "./fake_clock.ts";
import { type Attack, short } from "./outcome.ts";

/** Half of them are let in, at the pace of all posts, and half come at once. */
const ADDRESSES = { full: 200_000, short: 20_000 };
const PACE_MS = 20;
const AT_ONCE = 200;
const MAX_GROWTH_MB = 60;
const PROXY = "127.0.0.1";

/** The one attack on what the limits remember. */
export const NEWCOMERS: readonly Attack[] = [{
  name: "posts from one new address after another",
  asked: `memory at most ${MAX_GROWTH_MB} MB more`,
  play: async (options) => {
    const addresses = ADDRESSES[options.short ? "short" : "full"];
    await using room = await openChat([
      "--rate-limit",
      "240",
      "--trust-proxy",
      PROXY,
      "--keep",
      "1",
    ], { now: () => performance.now() });
    using clock = new FakeClock();
    const counts: Record<string, number> = {};
    const post = async (n: number) => {
      const address = `10.${n >> 16}.${n >> 8 & 255}.${n & 255}`;
      const body = form({ message: "hi" });
      const init = { method: "POST", body, headers: { "x-forwarded-for": address } };
      const response = await room.askFrom(PROXY, "/chat", init);
      await response.body?.cancel();
      counts[response.status] = (counts[response.status] ?? 0) + 1;
    };
    for (let n = 0; n < AT_ONCE; n++) await post(n);
    const before = heapMb();
    for (let n = 0; n < addresses; n += AT_ONCE) {
      const isPaced = n < addresses / 2;
      await Promise.all(Array.from({ length: AT_ONCE }, (_, m) => {
        if (isPaced) clock.now += PACE_MS;
        return post(n + m);
      }));
    }
    const growthMb = heapMb() - before;
    return {
      happened: `answered ${statuses(counts)}; memory +${short(growthMb)} MB`,
      isReached: growthMb <= MAX_GROWTH_MB,
    };
  },
}];

/** What is in use, without garbage. */
function heapMb(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return Deno.memoryUsage().heapUsed / 1e6;
}
