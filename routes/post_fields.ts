/**
 * The fields of a posted body, whatever kind of body it is. Every kind is UTF-8,
 * has few fields, and the last counts of those with one name.
 */

import { STATUS_CODE } from "@std/http/status";
import { excerpt, HttpError } from "./http_error.ts";
import { MAX_BODY_BYTES, readBody } from "./post_body.ts";

/** Fields by name; what is not text in the body is not text here. */
export type Fields = ReadonlyMap<string, unknown>;

/** A post has three fields. Thousands would take longer to read than the longest message. */
const MAX_FIELDS = 100;
/** Longest content type that is understood: to find a long delimiter can take quadratic time. */
const MAX_TYPE_LENGTH = 200;
/** Names of UTF-8, and of what is the same in it. */
const UTF_8 = ["utf-8", "utf8", "us-ascii", "ascii"];

type Body = Uint8Array<ArrayBuffer>;
type Parser = (body: Body, type: string) => Fields | Promise<Fields>;

/** By media type. They throw SyntaxError, TypeError or URIError for a body that is not of it. */
const PARSERS = new Map<string, Parser>([
  ["application/x-www-form-urlencoded", parseForm],
  ["multipart/form-data", parseMultipart],
  ["application/json", parseJson],
]);
const CONTENT_TYPES = [...PARSERS.keys()].join(", ");

/**
 * Reads the fields that a request posts. `onBody` is called with the length of a body that came whole,
 * whatever is in it, or the most that a body may have for one that is longer.
 *
 * @throws {HttpError} 400 for a body that is not what its content type says or
 * has over {@linkcode MAX_FIELDS} fields, 415 for a content type or charset that
 * can't be read, and what {@linkcode readBody} throws.
 */
export async function readFields(
  request: Request,
  onBody?: (bytes: number) => void,
): Promise<Fields> {
  const type = request.headers.get("content-type") ?? "";
  const parse = type.length <= MAX_TYPE_LENGTH
    ? PARSERS.get(type.split(";", 1)[0].trim().toLowerCase())
    : undefined;
  if (!parse) {
    throw unsupported(
      `The content type ${type ? `"${excerpt(type)}"` : "is missing and"} can't be read; ` +
        `send one of ${CONTENT_TYPES}.`,
    );
  }
  const charset = parameter(type, "charset") ?? UTF_8[0];
  if (!UTF_8.includes(charset.toLowerCase())) {
    throw unsupported(`The charset "${excerpt(charset)}" can't be read; send the body in UTF-8.`);
  }
  const body = await readBody(request).catch((error) => {
    if (error instanceof HttpError && error.status === STATUS_CODE.ContentTooLarge) {
      onBody?.(MAX_BODY_BYTES);
    }
    throw error;
  });
  onBody?.(body.length);
  try {
    return await parse(body, type);
  } catch (error) {
    if (
      !(error instanceof TypeError || error instanceof SyntaxError || error instanceof URIError)
    ) {
      throw error;
    }
    throw new HttpError(
      STATUS_CODE.BadRequest,
      `The body can't be read as ${excerpt(type)}; ` +
        "send it as its content-type header says, in UTF-8.",
    );
  }
}

/**
 * The text of a field, empty if it is missing.
 *
 * @throws {HttpError} 422 if it is not text.
 */
export function readText(fields: Fields, name: string): string {
  const value = fields.get(name) ?? "";
  if (typeof value !== "string") throw unprocessable(name, "is not text; send it as a string");
  return value;
}

/** The refusal of a field. */
export function unprocessable(field: string, problem: string): HttpError {
  return new HttpError(STATUS_CODE.UnprocessableEntity, `The field "${field}" ${problem}.`, {
    field,
  });
}

/**
 * Text from UTF-8.
 *
 * @throws {TypeError} For bytes that are not UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array<ArrayBuffer>): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

/** Like URLSearchParams, which would replace what is not UTF-8. */
function parseForm(body: Body): Fields {
  const text = decodeUtf8(body);
  limitFields(text.split("&", MAX_FIELDS + 1).length);
  return new Map(
    text.split("&").map((pair) => {
      const [, name, value] = /^([^=]*)=?([^]*)$/.exec(pair)!;
      return [decodeFormText(name), decodeFormText(value)];
    }),
  );
}

function decodeFormText(text: string): string {
  // A percent sign that encodes nothing means itself (URL Standard, section 1.3).
  return decodeURIComponent(text.replaceAll("+", " ").replace(/%(?![\da-f]{2})/gi, "%25"));
}

async function parseMultipart(body: Body, type: string): Promise<Fields> {
  const text = decodeUtf8(body);
  const delimiter = `--${parameter(type, "boundary")}`;
  limitFields(text.split(delimiter, MAX_FIELDS + 3).length - 2);
  // The parser ignores a truncated part; a missing closing delimiter gives it away (RFC 2046, 5.1.1).
  if (!text.includes(`\r\n${delimiter}--`)) throw new TypeError("The last part has no end");
  return new Map(await new Response(body, { headers: { "content-type": type } }).formData());
}

function parseJson(body: Body): Fields {
  const text = decodeUtf8(body);
  // What stands outside strings opens or separates values: counted first, since to parse them takes long.
  const structure = text.replace(/"(?:[^"\\]|\\[^])*"?/g, "");
  limitFields(structure.split(/[,[{]/, MAX_FIELDS + 2).length - 1);
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError("A JSON body must be an object");
  }
  return new Map(Object.entries(value));
}

function limitFields(count: number): void {
  if (count <= MAX_FIELDS) return;
  throw new HttpError(
    STATUS_CODE.BadRequest,
    `The body has over ${MAX_FIELDS} fields or values; send "message", "nickname" and "key" alone.`,
  );
}

/** A parameter of a media type (RFC 9110, section 8.3.1). */
function parameter(type: string, name: string): string | undefined {
  const [, quoted, token] = new RegExp(`;\\s*${name}=(?:"([^"]*)"|([^;\\s]*))`, "i").exec(type) ??
    [];
  return quoted ?? token;
}

function unsupported(detail: string): HttpError {
  return new HttpError(STATUS_CODE.UnsupportedMediaType, detail, {
    headers: { "accept-post": CONTENT_TYPES },
  });
}
