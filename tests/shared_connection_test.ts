/** How tabs share one connection, without a page or a server. */

import { assertEquals } from "@std/assert";
import { type FakeStream, replaceNetwork, settle } from "./fake_stream.ts";
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

/** Takes the place of the network; what is no stream is never answered. */
function recordStreams() {
  const opened: FakeStream[] = [];
  const asked: string[] = [];
  const replaced = replaceNetwork((stream) => opened.push(stream), (url) => {
    asked.push(new URL(url).pathname);
    return new Promise(() => {});
  });
  return {
    opened,
    asked,
    /** The paths of those that are open. */
    get open() {
      const open = opened.filter(({ isClosed }) => !isClosed);
      return new Set(open.map(({ url }) => new URL(url).pathname));
    },
    [Symbol.dispose]: () => replaced[Symbol.dispose](),
  };
}

Deno.test("SharedConnections answer a tab's check, which is a join to one that has just started", {
  ignore,
}, async () => {
  const { SharedConnections } = await loadScript("connection.js");
  using network = recordStreams();
  const port = new FakePort();
  new SharedConnections().connect(port);
  for (let n = 0; n < 2; n++) port.say("check");
  assertEquals(port.heard, ["status", "alive"]);
  port.say("leave");
  assertEquals(network.open.size, 0);
});

Deno.test("SharedConnections reconnect once when twenty tabs report the same change of network", {
  ignore,
}, async () => {
  const { SharedConnections } = await loadScript("connection.js");
  using network = recordStreams();
  const connection = new SharedConnections();
  const ports = Array.from({ length: 20 }, () => new FakePort());
  for (const port of ports) {
    connection.connect(port);
    port.say("join");
  }
  for (const [index, change] of ["offline", "online", "offline"].entries()) {
    assertEquals(network.opened.length, index + 1, change);
    await settle();
    await network.opened[index].send("online", 1);
    for (const port of ports) port.say(change);
  }
  assertEquals(network.opened.length, 4);
  for (const port of ports) port.say("leave");
});

Deno.test(
  "SharedConnections stream in the four rooms that were looked at last, and ask in others",
  {
    ignore,
  },
  async () => {
    const { SharedConnections } = await loadScript("connection.js");
    using network = recordStreams();
    using _timers = replaceGlobal("setTimeout", () => 0);
    const connections = new SharedConnections();
    const ports = [1, 2, 3, 4, 5, 6].map((n) => {
      const port = new FakePort();
      connections.connect(port);
      port.say("join", `http://localhost/${n}/chat`);
      return port;
    });
    const inRooms = (...rooms: number[]) => new Set(rooms.map((n) => `/${n}/chat`));
    assertEquals([network.open, new Set(network.asked)], [inRooms(3, 4, 5, 6), inRooms(1, 2)]);
    ports[0].say("join", "http://localhost/1/chat");
    assertEquals(network.open, inRooms(4, 5, 6, 1));
    ports[5].say("leave");
    assertEquals(network.open, inRooms(3, 4, 5, 1));
    for (const port of ports) port.say("leave");
    assertEquals(network.open.size, 0);
  },
);

Deno.test("SharedConnections stream in every room where all streams share one connection", {
  ignore,
}, async () => {
  const { SharedConnections } = await loadScript("connection.js");
  using network = recordStreams();
  const connections = new SharedConnections();
  const ports = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => {
    const port = new FakePort();
    connections.connect(port);
    port.say("join", `http://localhost/${n}/chat`, true);
    return port;
  });
  assertEquals(network.open.size, 8);
  for (const port of ports) port.say("leave");
  assertEquals(network.open.size, 0);
});
