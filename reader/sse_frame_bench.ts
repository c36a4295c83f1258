/**
 * Why does the hub encode a batch once, and not once for every reader? Run with
 * `deno bench`: both give 20 messages to 1,000 streams and read them.
 */

import type { LogEntry } from "../message_log/message_log.ts";
import { entryFrames } from "./sse_frame.ts";

const READERS = 1000;
const MESSAGES = 20;

const encoder = new TextEncoder();
const batch: readonly LogEntry[] = Array.from({ length: MESSAGES }, (_, n) => {
  const id = `1763908894123-${n}`;
  const text = { nickname: "ann", message: "See you at the station at ten" };
  const time = { timestamp: "14:41:34", time: "2025-11-23T14:41:34.123Z" };
  return { id, json: JSON.stringify({ id, ...text, ...time }) };
});
const streams = Array.from({ length: READERS }, () => {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
  return { controller, reader: stream.getReader() };
});

/** Gives every stream what `encode` returns, and takes it out again. */
async function fanOut(encode: () => Uint8Array): Promise<void> {
  for (const { controller } of streams) controller.enqueue(encode());
  await Promise.all(streams.map(({ reader }) => reader.read()));
}

const encodeBatch = () => encoder.encode(entryFrames(batch));

Deno.bench("20 messages to 1,000 readers, encoded once for all", { baseline: true }, async () => {
  const bytes = encodeBatch();
  await fanOut(() => bytes);
});

Deno.bench("20 messages to 1,000 readers, encoded for each of them", () => fanOut(encodeBatch));
