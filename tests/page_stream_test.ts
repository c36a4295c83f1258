/** What the page's stream asks of the server, without a page or a server. */

import { assert, assertEquals } from "@std/assert";

const { state } = await Deno.permissions.query({ name: "read" });
const ignore = state !== "granted";

/** Imports by a name that is not known before: the page's types must not be those of all tests. */
function load(name: string) {
  return import(new URL(`../static/${name}`, import.meta.url).href);
}

/** A tab's end, as the worker sees it. */
class FakePort extends EventTarget {
  start() {}
  postMessage() {}
  say(type: string) {
    this.dispatchEvent(new MessageEvent("message", { data: { type, heartbeatMs: 1000 } }));
  }
}

/** Puts something in the place of a global until it is disposed of. */
function replaceGlobal(name: string, value: unknown): Disposable {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return {
    [Symbol.dispose]() {
      if (before) Object.defineProperty(globalThis, name, before);
      else Reflect.deleteProperty(globalThis, name);
    },
  };
}

Deno.test("SharedStream reconnects once when twenty tabs tell of the same change of network", {
  ignore,
}, async () => {
  const { SharedStream } = await load("shared_stream.js");
  let opened = 0;
  class LiveAtOnce {
    constructor() {
      opened++;
    }
    addEventListener(name: string, listener: (event: MessageEvent) => void) {
      if (name === "online") listener(new MessageEvent(name, { data: "1" }));
    }
    close() {}
  }
  using _replaced = replaceGlobal("EventSource", LiveAtOnce);
  const stream = new SharedStream();
  const ports = Array.from({ length: 20 }, () => new FakePort());
  for (const port of ports) {
    stream.connect(port);
    port.say("join");
  }
  assertEquals(opened, 1);
  for (const change of ["offline", "online", "offline"]) {
    const before = opened;
    for (const port of ports) port.say(change);
    assertEquals(opened - before, 1, change);
  }
  for (const port of ports) port.say("leave");
});

Deno.test("fetchMessages() reads no more than it is asked for of a long history", {
  ignore,
}, async () => {
  const { fetchMessages } = await load("history.js");
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      const json = JSON.stringify({ id: `${++sent}-0`, message: 'a ],\n["b"' });
      controller.enqueue(new TextEncoder().encode(`${sent === 1 ? "[" : ",\n"}${json}`));
      if (sent < 10_000) return;
      controller.enqueue(new TextEncoder().encode("]"));
      controller.close();
    },
  });
  using _replaced = replaceGlobal("fetch", () => Promise.resolve(new Response(body)));
  const { messages } = await fetchMessages({ since: "0-1", most: 50 });
  assertEquals(
    messages.map(({ id }: { id: string }) => id),
    Array.from({ length: 50 }, (_, n) => `${n + 1}-0`),
  );
  assert(sent < 100, `${sent} were sent`);
});
