/** How tabs share one connection, without a page or a server. */

import { assertEquals } from "@std/assert";
import { loadScript, replaceGlobal } from "./page_scripts.ts";

const { state } = await Deno.permissions.query({ name: "read" });
const ignore = state !== "granted";

/** A tab's end, as the worker sees it. */
class FakePort extends EventTarget {
  start() {}
  readonly heard: string[] = [];
  postMessage({ type }: { type: string }) {
    this.heard.push(type);
  }
  say(type: string) {
    this.dispatchEvent(
      new MessageEvent("message", {
        data: { type, chat: "http://localhost/chat", heartbeatMs: 1000 },
      }),
    );
  }
}

class LiveAtOnce {
  static opened = 0;
  constructor() {
    LiveAtOnce.opened++;
  }
  addEventListener(name: string, listener: (event: MessageEvent) => void) {
    if (name === "online") listener(new MessageEvent(name, { data: "1" }));
  }
  close() {}
}

Deno.test("SharedConnection answers a tab's check, which is a join to one that has just started", {
  ignore,
}, async () => {
  const { SharedConnection } = await loadScript("connection.js");
  using _replaced = replaceGlobal("EventSource", LiveAtOnce);
  const port = new FakePort();
  new SharedConnection().connect(port);
  for (let n = 0; n < 2; n++) port.say("check");
  assertEquals(port.heard, ["status", "alive"]);
  port.say("leave");
});

Deno.test("SharedConnection reconnects once when twenty tabs report the same change of network", {
  ignore,
}, async () => {
  const { SharedConnection } = await loadScript("connection.js");
  using _replaced = replaceGlobal("EventSource", LiveAtOnce);
  const before = LiveAtOnce.opened;
  const connection = new SharedConnection();
  const ports = Array.from({ length: 20 }, () => new FakePort());
  for (const port of ports) {
    connection.connect(port);
    port.say("join");
  }
  assertEquals(LiveAtOnce.opened - before, 1);
  for (const change of ["offline", "online", "offline"]) {
    const before = LiveAtOnce.opened;
    for (const port of ports) port.say(change);
    assertEquals(LiveAtOnce.opened - before, 1, change);
  }
  for (const port of ports) port.say("leave");
});
