/** What is written as frames is what a parser of the standard library reads. */

import { assertEquals } from "@std/assert";
import { ServerSentEventParseStream } from "@std/http/server-sent-event-parse-stream";
import fc from "fast-check";
import { cursorFrame, entryFrames, eventFrame, retryFrame } from "../reader/sse_frame.ts";

const text = fc.string({ unit: "binary" });
const id = fc.tuple(fc.nat(), fc.nat()).map(([ms, seq]) => `${ms}-${seq}`);
const json = fc.dictionary(text, text).map((value) => JSON.stringify(value));

/** Frames as text, and the events that they are. */
const frames = fc.oneof(
  fc.array(fc.record({ id, json }), { minLength: 1, maxLength: 4 }).map((entries) => ({
    text: entryFrames(entries),
    events: entries.map(({ id, json }): unknown => ({ id, data: json })),
  })),
  fc.record({ id, json, removes: id }).map((entry) => ({
    text: entryFrames([entry]),
    events: [{ id: entry.id, event: "removed", data: entry.json }],
  })),
  fc.tuple(
    fc.constantFrom("gap", "online", "ping"),
    fc.oneof(fc.nat(), fc.record({ missed: fc.option(fc.nat()) })),
  ).map(([event, data]) => ({
    text: eventFrame(event, data),
    events: [{ event, data: JSON.stringify(data) }],
  })),
  id.map((id) => ({ text: cursorFrame(id), events: [{ id }] })),
  fc.nat().map((retry) => ({ text: retryFrame(retry), events: [{ retry }] })),
);

Deno.test("frames are read as they were written, however their bytes are divided", async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(frames),
    fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
    async (written, sizes) => {
      const bytes = new TextEncoder().encode(written.map(({ text }) => text).join(""));
      const events = ReadableStream.from(pieces(bytes, sizes))
        .pipeThrough(new ServerSentEventParseStream());
      assertEquals(await Array.fromAsync(events), written.flatMap(({ events }) => events));
    },
  ));
});

function* pieces(bytes: Uint8Array<ArrayBuffer>, sizes: Iterator<number>) {
  for (let start = 0, end; start < bytes.length; start = end) {
    end = start + sizes.next().value;
    yield bytes.slice(start, end);
  }
}
