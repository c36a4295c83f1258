import { assertEquals } from "@std/assert";
import { DeliveryCounter } from "./delivery_counter.ts";
import { mark } from "./mark.ts";

const encoder = new TextEncoder();
const frame = (number: number, rest = "xxx") =>
  `id: 1-${number}\ndata: {"message":"${mark(number, 1000)}${rest}"}\n\n`;

/** Passes a text to a reader in chunks of `size` bytes. */
function feed(counter: DeliveryCounter, reader: number, text: string, size = 4096): void {
  const bytes = encoder.encode(text);
  const buffer = new Uint8Array(8192);
  let kept = 0;
  for (let from = 0; from < bytes.length; from += size) {
    const chunk = bytes.subarray(from, from + size);
    buffer.set(chunk, kept);
    kept = counter.count(reader, buffer, kept + chunk.length, 1500);
  }
}

Deno.test("DeliveryCounter.count() counts each reader's copies and their latency", () => {
  const counter = new DeliveryCounter(2, 10);
  feed(counter, 0, frame(0) + frame(1) + frame(2));
  feed(counter, 1, frame(0) + frame(2));
  assertEquals([counter.delivered, counter.duplicates], [5, 0]);
  assertEquals(counter.latency.quantile(1), 500);
  assertEquals(counter.lastMicros, 1500);
});

Deno.test("DeliveryCounter.count() finds messages wherever chunks are split", () => {
  const events = "event: online\ndata: 2\n\nevent: ping\ndata: {}\n\n";
  const text = events + frame(0) + frame(1, "") + events + frame(9) + frame(10, "yyyyyyyy") +
    events;
  for (let size = 1; size <= text.length; size++) {
    const counter = new DeliveryCounter(1, 11);
    feed(counter, 0, text, size);
    assertEquals([size, counter.delivered, counter.duplicates], [size, 4, 0]);
  }
});

Deno.test("DeliveryCounter.count() counts a copy that arrives twice as a duplicate", () => {
  const counter = new DeliveryCounter(3, 5);
  feed(counter, 2, frame(4) + frame(3) + frame(4));
  assertEquals([counter.delivered, counter.duplicates], [2, 1]);
});

Deno.test("DeliveryCounter.count() counts a copy in another room than its own as a duplicate", () => {
  const counter = new DeliveryCounter(4, 6, 2);
  feed(counter, 3, frame(1) + frame(3) + frame(4));
  assertEquals([counter.delivered, counter.duplicates], [2, 1]);
});

Deno.test("DeliveryCounter.count() ignores what an earlier chunk left in the buffer", () => {
  const counter = new DeliveryCounter(1, 5);
  const buffer = new Uint8Array(256);
  const bytes = encoder.encode(frame(0));
  buffer.set(bytes);
  assertEquals(counter.count(0, buffer, bytes.length, 1500), 0);
  assertEquals(counter.count(0, buffer, 5, 1500), 0);
  assertEquals([counter.delivered, counter.duplicates], [1, 0]);
});
