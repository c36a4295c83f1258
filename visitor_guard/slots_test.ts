import { assert, assertEquals } from "@std/assert";
import { type Full, Slots } from "./slots.ts";

function taken(slot: Disposable | Full): Disposable {
  assert(typeof slot !== "string", `${slot}`);
  return slot;
}

Deno.test("Slots are as many for each and for all as they may be", () => {
  const slots = new Slots({ perKey: 2, total: 3 });
  const [first] = [1, 2].map(() => taken(slots.take("ann")));
  assertEquals(slots.take("ann"), "perKey");
  taken(slots.take("ben"));
  assertEquals(slots.take("ben"), "total");
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assertEquals(slots.size, 2);
  taken(slots.take("ann"));
  assertEquals([slots.take("ann"), slots.take("eve")], ["perKey", "total"]);
});

Deno.test("Slots keep some for those who are no strangers", () => {
  const slots = new Slots({ perKey: 0, total: 3, reserve: 1 });
  for (let n = 0; n < 2; n++) taken(slots.take("eve", true));
  assertEquals(slots.take("eve", true), "total");
  taken(slots.take("ann"));
  assertEquals(slots.take("ann"), "total");
});

Deno.test("Slots without a limit are never full, and forget who has none", () => {
  const slots = new Slots({ perKey: 0, total: 0 });
  const all = Array.from({ length: 1000 }, (_, n) => taken(slots.take(`visitor ${n % 3}`)));
  assertEquals(slots.size, 1000);
  for (const slot of all) slot[Symbol.dispose]();
  assertEquals(slots.size, 0);
});
