import { assertEquals, assertRejects } from "@std/assert";
import { mock } from "node:test";
import { LogUnavailableError, StoreAwayError } from "./message_log.ts";
import { StoreProbe } from "./store_probe.ts";

/** A store that is written to as a test says, and a clock to be set. */
function newStore() {
  const store = {
    now: 0,
    writes: 0,
    write: () => Promise.resolve(),
    probe(): Promise<void> {
      store.writes++;
      return store.write();
    },
  };
  return store;
}

Deno.test("StoreProbe.isUp() writes once a second, however many ask", async () => {
  const store = newStore();
  const probe = new StoreProbe(store, { now: () => store.now });
  const ask = () => Promise.all([probe.isUp(), probe.isUp(), probe.isUp()]);
  for (const [now, writes] of [[0, 1], [999, 1], [1000, 2], [1001, 2], [5000, 3]]) {
    store.now = now;
    assertEquals([...await ask(), store.writes], [true, true, true, writes]);
  }
});

Deno.test("StoreProbe.isUp() is false while the store fails, and reports the first failure", async () => {
  const store = newStore();
  const reported: string[] = [];
  const probe = new StoreProbe(store, {
    now: () => store.now,
    onFailure: ({ message }) => reported.push(message),
  });
  const outcomes = ["", "full", "full", "", "full", "away"];
  for (const outcome of outcomes) {
    store.now += 1000;
    store.write = () => {
      if (outcome === "") return Promise.resolve();
      const Failure = outcome === "away" ? StoreAwayError : LogUnavailableError;
      return Promise.reject(new Failure(outcome));
    };
    assertEquals(await probe.isUp(), outcome === "");
  }
  assertEquals(reported, ["full", "full"]);

  const away = newStore();
  away.write = () => Promise.reject(new StoreAwayError("away"));
  const other = new StoreProbe(away, { onFailure: ({ message }) => reported.push(message) });
  assertEquals([await other.isUp(), reported.length], [false, 2]);
});

Deno.test("StoreProbe.isUp() waits two seconds for a store that hangs, and does not ask it again", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  using _timers = { [Symbol.dispose]: () => mock.timers.reset() };
  const store = newStore();
  const reported: string[] = [];
  const onFailure = ({ message }: Error) => void reported.push(message);
  const probe = new StoreProbe(store, { now: () => store.now, onFailure });
  const writing = Promise.withResolvers<void>();
  store.write = () => writing.promise;
  let answer: boolean | undefined;
  const asking = probe.isUp().then((isUp) => answer = isUp);
  mock.timers.tick(1999);
  await Promise.resolve();
  assertEquals(answer, undefined);
  mock.timers.tick(1);
  assertEquals(await asking, false);
  assertEquals(reported, ["It has taken over 2 seconds; check the disk, or Redis"]);

  store.now = 10_000;
  assertEquals([await probe.isUp(), store.writes], [false, 1]);
  store.write = () => Promise.resolve();
  writing.resolve();
  await writing.promise;
  // What has come too late is forgotten one turn later.
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals([await probe.isUp(), store.writes], [true, 2]);
});

Deno.test("StoreProbe.isUp() passes on what is no failure of the store", async () => {
  const store = newStore();
  store.write = () => Promise.reject(new TypeError("a fault of ours"));
  await assertRejects(() => new StoreProbe(store).isUp(), TypeError, "a fault of ours");
});
