/** Bodies that are slow, that are compressed, and what they cost. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { mock } from "node:test";
import { HttpError } from "./http_error.ts";
import { readBody } from "./post_body.ts";

function post(body: BodyInit, headers: HeadersInit = {}): Request {
  return new Request("http://localhost/chat", { method: "POST", body, headers });
}

async function assertRefused(request: Request, status: number): Promise<string> {
  const error = await assertRejects(() => readBody(request), HttpError);
  assertEquals(error.status, status);
  return error.message;
}

/** A body as a server has it: whoever reads brings the memory. */
function serverBody(chunks: Iterable<Uint8Array>, requested: number[] = []) {
  const iterator = Iterator.from(chunks);
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      const view = controller.byobRequest!.view as Uint8Array<ArrayBuffer>;
      requested.push(view.byteLength);
      const { value, done } = iterator.next();
      if (done) {
        controller.close();
        controller.byobRequest!.respond(0);
      } else {
        view.set(value);
        controller.byobRequest!.respond(value.length);
      }
    },
  });
}

Deno.test("readBody() takes memory as the body comes, announced or not", async () => {
  for (const headers of [{}, { "content-length": "65536" }] as HeadersInit[]) {
    const requested: number[] = [];
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    const chunks = Array.from({ length: 64 }, (_, n) => bytes.subarray(n * 1024, (n + 1) * 1024));
    assertEquals(await readBody(post(serverBody(chunks, requested), headers)), bytes);
    assert(Math.max(...requested) <= 4096, `asked for ${Math.max(...requested)} bytes at once`);
    // Nor does a body that comes a byte at a time keep more than its bytes.
    const drips = Array.from({ length: 300 }, () => new Uint8Array(1));
    const dripped = await readBody(post(serverBody(drips), headers));
    assertEquals(dripped.length, 300);
    assert(dripped.buffer.byteLength < 1024, `keeps ${dripped.buffer.byteLength} bytes`);
  }
});

Deno.test("readBody() reads a body of any origin", async () => {
  assertEquals(await readBody(post("hi")), new TextEncoder().encode("hi"));
  const announced = { "content-length": "2" };
  assertEquals(await readBody(post("hi", announced)), new TextEncoder().encode("hi"));
  assertEquals((await readBody(post("x".repeat(65_536)))).length, 65_536);
  assertEquals((await readBody(new Request("http://localhost", { method: "POST" }))).length, 0);
});

Deno.test("readBody() waits 15 seconds for a body, then lets go of it", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let isCancelled = false;
    const stalled = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("message=")),
      cancel: () => void (isCancelled = true),
    });
    let isRefused = false;
    const refused = assertRefused(post(stalled), 408).finally(() => isRefused = true);
    mock.timers.tick(14_999);
    await new Promise((resolve) => setImmediate(resolve));
    assertEquals([isRefused, isCancelled], [false, false]);
    mock.timers.tick(1);
    assert((await refused).includes("15 seconds"));
    assert(isCancelled);
  } finally {
    mock.timers.reset();
  }
});

Deno.test("readBody() refuses a compressed body, and says what it would read", async () => {
  for (const coding of ["gzip", "br", "GZIP, identity", "x".repeat(1000)]) {
    const error = await assertRejects(
      () => readBody(post("hi", { "content-encoding": coding })),
      HttpError,
    );
    const response = error.toResponse();
    assertEquals(response.status, 415);
    assertEquals(response.headers.get("accept-encoding"), "identity");
    const { detail } = await response.json();
    assert(detail.includes(`encoding "${coding.slice(0, 100)}`) && detail.length < 200, detail);
  }
  assertEquals((await readBody(post("hi", { "content-encoding": "Identity" }))).length, 2);
});
