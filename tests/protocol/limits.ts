/** Rules that take long, and those after which an address may do no more: they come last. */

import { FORM, unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule, Unmet } from "./rule.ts";

const BODY_DEADLINE_MS = 15_000;
/** The longest that a server waits between two pings, for the suite to wait for one. */
const MAX_HEARTBEAT_S = 20;
const GRACE_MS = 5000;

export const LIMITS: readonly Rule[] = [
  {
    id: "S12",
    name: "a ping comes in every heartbeat, and says how long that is",
    needs: ["slow"],
    async check({ room }) {
      const began = performance.now();
      const events = await room.read("?since=none");
      const ping = await events.nextOf("ping", MAX_HEARTBEAT_S * 1000);
      const { heartbeat } = JSON.parse(ping.data!);
      expect(heartbeat > 0, `the data is ${ping.data}`);
      const took = (performance.now() - began) / 1000;
      expect(took < heartbeat + GRACE_MS / 1000, `the first ping comes after ${took} s`);
    },
  },
  {
    id: "X10",
    name: "a body that takes longer than 15 seconds is a 408",
    needs: ["slow"],
    async check({ room }) {
      const began = performance.now();
      const headers = { ...FORM, "content-length": "1000" };
      const answer = await room.post("message=hi", {
        headers,
        withinMs: BODY_DEADLINE_MS + GRACE_MS,
      });
      answer.expectStatus(408);
      const took = performance.now() - began;
      expect(took > BODY_DEADLINE_MS - GRACE_MS, `it comes after ${took / 1000} s`);
    },
  },
  {
    id: "X11",
    name: "streams over the limit are refused, an EventSource by a retry",
    needs: ["maxReadersPerAddress"],
    async check({ room, options }) {
      // The streams of rules before this one may end a moment later than the rules did.
      const max = options.maxReadersPerAddress! + 1;
      let opened = 0;
      while (opened <= max) {
        const { status, what, headers } = await room.ask("chat?since=none");
        if (status === 503) {
          expectMatch("Retry-After", headers.get("retry-after"), /^\d+$/);
          break;
        }
        expectSame(`the status of ${what}`, status, 200);
        opened++;
      }
      expect(opened < max, `${opened} streams are open`);
      const headers = { accept: "text/event-stream" };
      const events = (await room.ask("chat", { headers })).expectStatus(200).events();
      expectSame("the retry", (await events.next()).retry, 60_000);
      expectSame("what follows", await events.nextOrEnd(), undefined);
    },
  },
  {
    id: "X12",
    name: "posts over the limit are refused with the seconds to wait",
    needs: ["rateLimit"],
    async check({ room, options }) {
      // Each of two instances behind one address may have a limit of its own.
      for (let posts = 0; posts <= 3 * options.rateLimit!; posts++) {
        const began = performance.now();
        const answer = await room.post({ message: unique("too many") }, { mayBeTooMany: true });
        if (answer.status === 201) continue;
        await answer.expectProblem(429);
        expectMatch("Retry-After", answer.headers.get("retry-after"), /^[1-9]\d*$/);
        const took = performance.now() - began;
        expect(took > 900, `the refusal comes after ${Math.round(took)} ms`);
        return;
      }
      throw new Unmet("none is refused");
    },
  },
];
