/** Reading the body of a post: bounded in bytes, in time and in the memory that waits for it. */

import { STATUS_CODE } from "@std/http/status";
import { MAX_MESSAGE_LENGTH } from "../chat_message.ts";
import { excerpt, HttpError } from "./http_error.ts";

/** Longest body, in bytes; 4,000 emoji in a form take 48,000. */
export const MAX_BODY_BYTES = 64 * 1024;
/** A client that drips its body must not hold it here for ever. */
const BODY_DEADLINE_MS = 15_000;
/** What is read at once. It waits with each body, so that one that never comes costs no more. */
const READ_BYTES = 4096;

/** Errors that reading a body throws when the client hangs up or garbles the transfer. */
const BROKEN_TRANSFER = [
  Deno.errors.BadResource,
  Deno.errors.ConnectionAborted,
  Deno.errors.ConnectionReset,
  Deno.errors.Http,
  Deno.errors.UnexpectedEof,
];

/**
 * Reads a body whole, whatever its `content-length` says.
 *
 * @throws {HttpError} 400 for one that breaks off, 408 for one that takes over
 * {@linkcode BODY_DEADLINE_MS}, 413 for one over {@linkcode MAX_BODY_BYTES}, 415
 * for one that is compressed.
 */
export async function readBody(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  const coding = request.headers.get("content-encoding") ?? "";
  if (!/^(identity)?$/i.test(coding)) {
    throw new HttpError(
      STATUS_CODE.UnsupportedMediaType,
      `The content encoding "${excerpt(coding)}" can't be read; send the body as it is.`,
      { headers: { "accept-encoding": "identity" } },
    );
  }
  const announced = request.headers.get("content-length");
  if (Number(announced) > MAX_BODY_BYTES) throw tooLarge();
  if (!request.body) return new Uint8Array();
  // HTTP ends a body where its length says. To read a short one in pieces costs as much again as the post.
  const isShort = announced !== null && Number(announced) <= READ_BYTES;
  const reader = isShort ? undefined : openReader(request.body);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const deadline = setTimeout(() => {
    reject(tooLate());
    reader?.cancel();
  }, BODY_DEADLINE_MS);
  try {
    return await Promise.race([reader ? readAll(reader) : request.bytes(), late]);
  } catch (error) {
    if (!BROKEN_TRANSFER.some((kind) => error instanceof kind)) throw error;
    // The client hung up: there is most likely nobody to tell.
    throw new HttpError(STATUS_CODE.BadRequest, "The body ended early; send it whole.");
  } finally {
    clearTimeout(deadline);
  }
}

/**
 * A reader that brings its own memory: without it, 64 KiB wait for each body
 * from before its first byte.
 */
function openReader(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader {
  try {
    return body.getReader({ mode: "byob" });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // Not a stream of a server's: its chunks exist already, and read() leaves the view alone.
    return body.getReader() as ReadableStreamReader<Uint8Array> as ReadableStreamBYOBReader;
  }
}

async function readAll(reader: ReadableStreamBYOBReader): Promise<Uint8Array<ArrayBuffer>> {
  let body = new Uint8Array();
  let length = 0;
  for (;;) {
    const { value, done } = await reader.read(new Uint8Array(READ_BYTES));
    if (done) return body.subarray(0, length);
    const end = length + value.length;
    if (end > MAX_BODY_BYTES) {
      await reader.cancel();
      throw tooLarge();
    }
    if (end > body.length) {
      const grown = new Uint8Array(Math.min(Math.max(end, 2 * body.length), MAX_BODY_BYTES));
      grown.set(body);
      body = grown;
    }
    body.set(value, length);
    length = end;
  }
}

function tooLate(): HttpError {
  return new HttpError(
    STATUS_CODE.RequestTimeout,
    `The body took over ${BODY_DEADLINE_MS / 1000} seconds; send it again, faster.`,
  );
}

function tooLarge(): HttpError {
  return new HttpError(
    STATUS_CODE.ContentTooLarge,
    `The body is over ${MAX_BODY_BYTES / 1024} KiB; a message has at most ` +
      `${MAX_MESSAGE_LENGTH} characters, so send a shorter one.`,
  );
}
