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
  say(type: string, chat = "http://localhost/chat", isMultiplexed = false) {
    const data = { type, chat, heartbeatMs: 1000, isMultiplexed };
    this.dispatchEvent(new MessageEvent("message", { data }));
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

/** A stream that says nothing, known by the path of its address as long as it is open. */
class OpenStream {
  static readonly paths = new Set<string>();
  readonly #path: string;
  constructor(url: string) {
    this.#path = new URL(url).pathname;
    OpenStream.paths.add(this.#path);
  }
  addEventListener() {}
  close() {
    OpenStream.paths.delete(this.#path);
  }
}

Deno.test("SharedConnections answer a tab's check, which is a join to one that has just started", {
  ignore,
}, async () => {
  const { SharedConnections } = await loadScript("connection.js");
  using _replaced = replaceGlobal("EventSource", LiveAtOnce);
  const port = new FakePort();
  new SharedConnections().connect(port);
  for (let n = 0; n < 2; n++) port.say("check");
  assertEquals(port.heard, ["status", "alive"]);
  port.say("leave");
});

Deno.test("SharedConnections reconnect once when twenty tabs report the same change of network", {
  ignore,
}, async () => {
  const { SharedConnections } = await loadScript("connection.js");
  using _replaced = replaceGlobal("EventSource", LiveAtOnce);
  const before = LiveAtOnce.opened;
  const connection = new SharedConnections();
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

Deno.test(
  "SharedConnections stream in the four rooms that were looked at last, and ask in others",
  {
    ignore,
  },
  async () => {
    const { SharedConnections } = await loadScript("connection.js");
    const streams = OpenStream.paths;
    const asked: string[] = [];
    using _stream = replaceGlobal("EventSource", OpenStream);
    using _fetch = replaceGlobal("fetch", (url: string) => {
      asked.push(new URL(url).pathname);
      return new Promise(() => {});
    });
    using _timers = replaceGlobal("setTimeout", () => 0);
    const connections = new SharedConnections();
    const ports = [1, 2, 3, 4, 5, 6].map((n) => {
      const port = new FakePort();
      connections.connect(port);
      port.say("join", `http://localhost/${n}/chat`);
      return port;
    });
    const inRooms = (...rooms: number[]) => new Set(rooms.map((n) => `/${n}/chat`));
    assertEquals([streams, new Set(asked)], [inRooms(3, 4, 5, 6), inRooms(1, 2)]);
    ports[0].say("join", "http://localhost/1/chat");
    assertEquals(streams, inRooms(4, 5, 6, 1));
    ports[5].say("leave");
    assertEquals(streams, inRooms(3, 4, 5, 1));
    for (const port of ports) port.say("leave");
    assertEquals(streams.size, 0);
  },
);

Deno.test("SharedConnections stream in every room where all streams share one connection", {
  ignore,
}, async () => {
  const { SharedConnections } = await loadScript("connection.js");
  using _replaced = replaceGlobal("EventSource", OpenStream);
  const connections = new SharedConnections();
  const ports = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => {
    const port = new FakePort();
    connections.connect(port);
    port.say("join", `http://localhost/${n}/chat`, true);
    return port;
  });
  assertEquals(OpenStream.paths.size, 8);
  for (const port of ports) port.say("leave");
  assertEquals(OpenStream.paths.size, 0);
});
