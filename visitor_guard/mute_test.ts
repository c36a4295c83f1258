import { assertEquals } from "@std/assert";
import type { Mute } from "../message_log/message_log.ts";
import { muteOf } from "./mute.ts";

const SINCE = Date.UTC(2026, 0, 1);
const MUTE: Mute = { by: "ann-mark", address: "school", since: SINCE, until: SINCE + 60_000 };
const STATE = { muted: [MUTE] };
const OLD = SINCE - 5000;
const YOUNG = SINCE + 5000;

function isMuted(mark: string, address: string, cookieIssuedMs?: number, now = SINCE + 30_000) {
  return muteOf(STATE, { mark, address, cookieIssuedMs }, now) !== undefined;
}

Deno.test("muteOf() finds the mute of a mark, wherever it comes from", () => {
  assertEquals(
    muteOf(STATE, { mark: "ann-mark", address: "home", cookieIssuedMs: OLD }, SINCE),
    MUTE,
  );
  assertEquals(isMuted("ben-mark", "home", YOUNG), false);
});

Deno.test("muteOf() holds newcomers from the address, and lets those who were there go on", () => {
  assertEquals(isMuted("new-mark", "school", YOUNG), true);
  assertEquals(isMuted("new-mark", "school", SINCE), true);
  assertEquals(isMuted("new-mark", "school"), true);
  assertEquals(isMuted("ben-mark", "school", OLD), false);
});

Deno.test("muteOf() holds nobody by an address that is not known", () => {
  const muted = [{ by: "ann-mark", since: SINCE, until: SINCE + 60_000 }];
  const visitor = { mark: "new-mark", address: "school", cookieIssuedMs: undefined };
  assertEquals(muteOf({ muted }, visitor, SINCE), undefined);
});

Deno.test("muteOf() ends with the mute, the last of several", () => {
  assertEquals(isMuted("ann-mark", "school", OLD, SINCE + 59_999), true);
  assertEquals(isMuted("ann-mark", "school", OLD, SINCE + 60_000), false);
  const longer = { ...MUTE, by: "ben-mark", until: SINCE + 120_000 };
  const visitor = { mark: "ann-mark", address: "school", cookieIssuedMs: undefined };
  for (const muted of [[MUTE, longer], [longer, MUTE]]) {
    assertEquals(muteOf({ muted }, visitor, SINCE), longer);
  }
});
