/**
 * How a posted body becomes a {@linkcode Post}. Text is made well-formed,
 * normalised and bounded here and nowhere else: code past this point needs no
 * further check.
 */

import { STATUS_CODE } from "@std/http/status";
import {
  MAX_KEY_LENGTH,
  MAX_MESSAGE_LENGTH,
  MAX_NICKNAME_LENGTH,
  type Post,
} from "../chat_message.ts";
import { HttpError } from "./http_error.ts";

/** Longest body read, in bytes; 4,000 emoji in a form take 48,000. */
const MAX_BODY_BYTES = 64 * 1024;

/**
 * Reads the body of a request as a post: a form, a multipart form or a JSON
 * object with `message` and, if wanted, `nickname` and `key`. The key may also be
 * in the `Idempotency-Key` header.
 *
 * @throws {HttpError} 400 for a body that is not what its content type says,
 * 413 for one over {@linkcode MAX_BODY_BYTES}, 415 for another content type,
 * 422 for a field that is missing, empty, too long or not text.
 */
export async function readPost(request: Request): Promise<Post> {
  const type = request.headers.get("content-type") ?? "";
  const parse = PARSERS.get(type.split(";", 1)[0].trim().toLowerCase());
  if (!parse) {
    throw new HttpError(
      STATUS_CODE.UnsupportedMediaType,
      `The content type ${type ? `"${type}"` : "is missing and"} can't be read; ` +
        `send one of ${CONTENT_TYPES}.`,
      { headers: { "accept-post": CONTENT_TYPES } },
    );
  }
  const body = await readBody(request);
  let field: Field;
  try {
    field = await parse(body, type);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    throw new HttpError(
      STATUS_CODE.BadRequest,
      `The body can't be read as ${type}; send it as its content-type header says, in UTF-8.`,
    );
  }
  const key = readText(field, "key") || request.headers.get("idempotency-key");
  return {
    nickname: readNickname(field),
    message: readMessage(field),
    ...(key && { key: bounded("key", key, MAX_KEY_LENGTH) }),
  };
}

/** Looks up a field of a body: undefined or null where there is none. */
type Field = (name: string) => unknown;

type Parser = (body: Uint8Array<ArrayBuffer>, type: string) => Field | Promise<Field>;

/** Throws TypeError or SyntaxError for a body that is not of its type. */
const PARSERS = new Map<string, Parser>([
  ["application/x-www-form-urlencoded", (body) => {
    const form = new URLSearchParams(new TextDecoder().decode(body));
    return (name) => form.get(name);
  }],
  ["multipart/form-data", async (body, type) => {
    const form = await new Response(body, { headers: { "content-type": type } }).formData();
    // The parser passes over a part that breaks off; the closing delimiter tells (RFC 2046, 5.1.1).
    const [, quoted, bare] = /boundary=(?:"([^"]*)"|([^;\s]*))/i.exec(type) ?? [];
    const closing = `\r\n--${quoted ?? bare}--`;
    if (!new TextDecoder("latin1").decode(body).includes(closing)) {
      throw new TypeError("The last part has no end");
    }
    return (name) => form.get(name);
  }],
  ["application/json", (body) => {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new TypeError("A JSON body must be an object");
    }
    const fields = new Map(Object.entries(value));
    return (name) => fields.get(name);
  }],
]);
const CONTENT_TYPES = [...PARSERS.keys()].join(", ");

function readMessage(field: Field): string {
  const message = normalise(readText(field, "message")).trim();
  if (isBlank(message)) throw unprocessable("message", "is empty; write something to send");
  return bounded("message", message, MAX_MESSAGE_LENGTH);
}

function readNickname(field: Field): string {
  const nickname = normalise(readText(field, "nickname")).replace(/\s+/gu, " ").trim();
  return isBlank(nickname) ? "anonymous" : bounded("nickname", nickname, MAX_NICKNAME_LENGTH);
}

function readText(field: Field, name: string): string {
  const value = field(name) ?? "";
  if (typeof value !== "string") throw unprocessable(name, "is not text; send it as a string");
  return value;
}

/** Removes controls before all else, lest they part what belongs together. */
function normalise(text: string): string {
  return text.toWellFormed()
    .replace(/[^\P{Cc}\t\n\r]/gu, "")
    .replace(/\r\n?/g, "\n")
    .normalize("NFC");
}

/** Whether nothing of the text would be seen: only space and invisible characters. */
function isBlank(text: string): boolean {
  return /^[\s\p{Default_Ignorable_Code_Point}]*$/u.test(text);
}

function bounded(name: string, text: string, most: number): string {
  // A string has at least as many UTF-16 units as code points: most need no count.
  const length = text.length <= most ? text.length : [...text].length;
  if (length <= most) return text;
  throw unprocessable(
    name,
    `has ${length.toLocaleString("en")} characters; the most is ${most.toLocaleString("en")}`,
  );
}

function unprocessable(field: string, problem: string): HttpError {
  return new HttpError(STATUS_CODE.UnprocessableEntity, `The field "${field}" ${problem}.`, {
    field,
  });
}

/** What reading a body ends with when the client hangs up or garbles the transfer. */
const BROKEN_TRANSFER = [
  Deno.errors.BadResource,
  Deno.errors.ConnectionAborted,
  Deno.errors.ConnectionReset,
  Deno.errors.Http,
  Deno.errors.UnexpectedEof,
];

/** Reads a body up to {@linkcode MAX_BODY_BYTES}, whatever content-length says. */
async function readBody(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  const announced = request.headers.get("content-length");
  if (Number(announced) > MAX_BODY_BYTES) throw tooLarge();
  try {
    // HTTP ends a body where content-length says. Reading it chunk by chunk costs several times more.
    return announced === null ? await readChunks(request.body) : await request.bytes();
  } catch (error) {
    if (!BROKEN_TRANSFER.some((kind) => error instanceof kind)) throw error;
    // The client hung up: there is most likely nobody to tell.
    throw new HttpError(STATUS_CODE.BadRequest, "The body ended early; send it whole.");
  }
}

async function readChunks(
  stream: ReadableStream<Uint8Array> | null,
): Promise<Uint8Array<ArrayBuffer>> {
  const body = new Uint8Array(MAX_BODY_BYTES);
  let length = 0;
  for await (const chunk of stream ?? []) {
    if (length + chunk.length > MAX_BODY_BYTES) throw tooLarge();
    body.set(chunk, length);
    length += chunk.length;
  }
  return body.slice(0, length);
}

function tooLarge(): HttpError {
  return new HttpError(
    STATUS_CODE.ContentTooLarge,
    `The body is over ${MAX_BODY_BYTES / 1024} KiB; a message has at most ${
      MAX_MESSAGE_LENGTH.toLocaleString("en")
    } characters, so send a shorter one.`,
  );
}
