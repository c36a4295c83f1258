/** The connection comes back by itself, with everything said meanwhile. */

import { assert, assertEquals } from "@std/assert";
import { numbered, post, postAll } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { routeWorker, useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";

const browser = useBrowser();

Deno.test("the server is killed and started again while the tab is hidden: all is there, once", async () => {
  const folder = await Deno.makeTempDir();
  await using _removed = {
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
  const log = ["--message-log", `sqlite:${folder}/chat.db`];
  await using chat = await ChatProcess.start(log);
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("Live");
  await post(chat.url, "before");
  await ann.see("before");
  await ann.look(false);
  await chat.stop("SIGKILL");
  await ann.connection("Reconnecting");
  await ann.connection(/in \d+ s/);
  await ann.send("written during the outage", "ann");
  await ann.unsent.getByText("Waiting for the connection").waitFor();

  await using again = await ChatProcess.start([...log, "--port", String(chat.port)]);
  await post(again.url, "said meanwhile");
  await ann.see("said meanwhile");
  await ann.see("written during the outage");
  assertEquals(await ann.texts, ["before", "said meanwhile", "written during the outage"]);
  assertEquals(await ann.page.title(), "(1) Simple Chat");
  await ann.look(true);
  await ann.connection("1 online");
});

Deno.test("whoever was away is told how many messages there were", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  await post(chat.url, "seen");
  await ann.see("seen");
  network.cut();
  await ann.connection("Reconnecting");
  for (const n of [1, 2, 3]) await post(chat.url, `missed ${n}`);
  network.mend();
  await ann.see("missed 3");
  await ann.log.getByText("3 messages while you were away").waitFor();
  await ann.page.getByRole("status").getByText("3 messages while you were away").waitFor();
  assertEquals(await ann.texts, ["seen", "missed 1", "missed 2", "missed 3"]);
});

Deno.test("silence of two and a half heartbeats is taken for a loss", async () => {
  await using chat = await ChatProcess.start(["--heartbeat", "1"]);
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  network.silence();
  const start = Date.now();
  await ann.connection("Reconnecting");
  const took = Date.now() - start;
  assert(took > 1000 && took < 4000, `after ${took} ms`);
  network.mend();
  await post(chat.url, "after the silence");
  await ann.see("after the silence");
});

Deno.test("a tab that is looked at again does not wait for its turn to reconnect", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  // Three failures in a row: the next try is at least eight seconds away.
  network.cut();
  await ann.connection(/in (9|\d\d) s/);
  network.mend();
  await ann.look(false);
  await ann.look(true);
  await ann.page.locator(".connection").getByText("Live").waitFor({ timeout: 5000 });
});

Deno.test("the network that comes and goes is noticed at once", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  network.cut();
  await ann.page.context().setOffline(true);
  await ann.connection("Offline");
  network.mend();
  await ann.page.context().setOffline(false);
  await ann.page.locator(".connection").getByText("Live").waitFor({ timeout: 5000 });
});

Deno.test("an error status does not end the stream for good", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), "about:blank");
  // The page's own stream, since that of a worker can't be answered for.
  await ann.page.addInitScript(() => Reflect.deleteProperty(globalThis, "SharedWorker"));
  let refused = 0;
  await ann.page.route(
    /\/chat(\?|$)/,
    (route) =>
      route.request().headers().accept === "text/event-stream" && refused++ === 0
        ? route.fulfill({ status: 503 })
        : route.continue(),
  );
  await ann.page.goto(chat.url);
  // It never was connected.
  await ann.connection(/^Connecting$/);
  await ann.connection(/^in \d s$/);
  await ann.connection("1 online");
  assertEquals(refused, 2);
});

Deno.test("a gap in what is kept is a line in the conversation", async () => {
  await using chat = await ChatProcess.start(["--keep", "5"]);
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  await post(chat.url, "seen");
  await ann.see("seen");
  network.cut();
  await ann.connection("Reconnecting");
  await postAll(chat.url, numbered("missed", 2000));
  network.mend();
  await ann.see("missed 2000");
  const lines = await ann.page.locator(".transcript > *").allInnerTexts();
  assertEquals(lines[1], "1,995 messages are no longer kept");
  assertEquals(await ann.texts, [
    "seen",
    ...[1996, 1997, 1998, 1999, 2000].map((n) => `missed ${n}`),
  ]);
});

Deno.test("a worker that was slow to start takes over from the tab's own connection", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), "about:blank");
  const start = Promise.withResolvers<void>();
  await routeWorker(ann.page.context(), async (route) => {
    await start.promise;
    await route.continue();
  });
  await ann.page.goto(chat.url);
  await ann.connection("1 online");
  await using tab = await ann.openTab();
  await tab.connection("2 online");
  start.resolve();
  await tab.connection("1 online");
  await ann.connection("1 online");
  await post(chat.url, "after it");
  await ann.see("after it");
  await tab.see("after it");
  assertEquals(await tab.texts, ["after it"]);
});

Deno.test("messages that reach a hidden tab late, because its first fetch failed, count as history", async () => {
  await using chat = await ChatProcess.start();
  await postAll(chat.url, numbered("message", 60));
  await using ann = await Visitor.arrive(browser(), "about:blank");
  await ann.page.addInitScript(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
  });
  let refused = 0;
  await ann.page.route(
    /\/chat(\?|$)/,
    (route) => refused++ === 0 ? route.abort() : route.continue(),
  );
  await ann.page.goto(chat.url);
  await ann.see("message 60");
  assertEquals(await ann.page.title(), "Simple Chat");
  assertEquals(await ann.page.getByText("New since you left").count(), 0);
  await post(chat.url, "new");
  await ann.see("new");
  assertEquals(await ann.page.title(), "(1) Simple Chat");
  await ann.look(true);
  // It has not taken the first it got for the first there is.
  await ann.log.evaluate((log) => log.scrollTop = 0);
  await ann.see("message 1");
});

Deno.test("without SharedWorker, or with one that fails, a tab has a stream of its own", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), "about:blank");
  await ann.page.addInitScript(() => Reflect.deleteProperty(globalThis, "SharedWorker"));
  await ann.page.goto(chat.url);
  await ann.connection("1 online");
  await ann.send("hello", "ann");
  await ann.see("hello");

  await using ben = await Visitor.arrive(browser(), "about:blank");
  await routeWorker(ben.page.context(), (route) => route.abort());
  await ben.page.goto(chat.url);
  await ben.connection("2 online");
  await ben.see("hello");
});
