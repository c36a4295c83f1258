/**
 * What a request can be refused with. A refusal is thrown as an
 * {@linkcode HttpError} wherever it is found and becomes a response in one
 * place; its text says what to change.
 */

import { type ErrorStatus, STATUS_CODE, STATUS_TEXT } from "@std/http/status";
import {
  KeyConflictError,
  LogUnavailableError,
  RemovedError,
  RoomLimitError,
  StoreAwayError,
  UnfinishedRemovalError,
} from "../message_log/message_log.ts";
import { RESERVED_NAMES } from "../chat_message.ts";
import { isNavigation } from "./accept.ts";
import { escapeHtml } from "./html.ts";

/** `Retry-After` when the log is unavailable. */
const LOG_RETRY_S = 5;
/** `Retry-After` when the store can't be reached, which may last no longer than its restart. */
const AWAY_RETRY_S = 2;
/** Longest text of a request that a refusal repeats, in Unicode code points. */
const MAX_EXCERPT_LENGTH = 100;

/** What goes with a refusal besides its status and sentence. */
export interface HttpErrorOptions {
  /** The field of the posted body that the problem is about. */
  readonly field?: string;
  readonly headers?: { readonly [name: string]: string };
}

/** A refusal: a status, and a sentence for a person. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly #options: HttpErrorOptions;

  /** `detail` says what was wrong, what is wanted, and which field or setting to change. */
  constructor(readonly status: ErrorStatus, detail: string, options: HttpErrorOptions = {}) {
    super(detail);
    this.#options = options;
  }

  /**
   * The refusal as `application/problem+json` (RFC 9457), with `field` as an
   * extension member where one field is to blame; as a small page where a
   * browser is to show it.
   */
  toResponse(request?: Request): Response {
    const { status, message } = this;
    const { field, headers } = this.#options;
    const title = STATUS_TEXT[status];
    const isPage = request !== undefined && isNavigation(request);
    const problem = { type: "about:blank", title, status, detail: message, field };
    return new Response(isPage ? toHtml(request, title, message) : `${JSON.stringify(problem)}\n`, {
      status,
      headers: {
        ...headers,
        "cache-control": "no-store",
        "content-type": isPage ? "text/html; charset=utf-8" : "application/problem+json",
      },
    });
  }
}

/** Text of a request as a refusal repeats it: its beginning, where it is long. */
export function excerpt(text: string): string {
  const start = [...text.slice(0, 2 * MAX_EXCERPT_LENGTH + 2)];
  return start.length > MAX_EXCERPT_LENGTH
    ? `${start.slice(0, MAX_EXCERPT_LENGTH).join("")}…`
    : text;
}

function toHtml(request: Request, title: string, detail: string): string {
  // Relative, since a proxy may have put the chat under a path.
  const [, room, ...rest] = URL.parse(request.url)?.pathname.split("/") ?? [];
  const isInRoom = rest.length > 0 && /^[\w%-]+$/.test(room) && !RESERVED_NAMES.includes(room);
  const back = "../".repeat(rest.length) + (isInRoom ? room : "") || ".";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<h1>${title}</h1>
<p>${escapeHtml(detail)}</p>
<p><a href="${back}">Back to the chat</a></p>
`;
}

/** Maps an error to a refusal; an unexpected one becomes a 500. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof KeyConflictError) {
    return new HttpError(
      STATUS_CODE.UnprocessableEntity,
      'The field "key" was already used for a different message; use a new key for each message.',
      { field: "key" },
    );
  }
  if (error instanceof RemovedError) {
    return new HttpError(
      STATUS_CODE.Gone,
      "This message was stored, and a moderator has removed it; do not send it again.",
    );
  }
  if (error instanceof RoomLimitError) {
    return new HttpError(
      STATUS_CODE.Forbidden,
      "This room has no messages yet, and as many others as may be have some; write in one of " +
        "those, or start the server with a greater --max-rooms.",
    );
  }
  if (error instanceof UnfinishedRemovalError) {
    return new HttpError(
      STATUS_CODE.ServiceUnavailable,
      "What others no longer see is removed for everybody, but the server can't use its message log at " +
        "the moment: what is left there of the text is erased later, at the latest when the server " +
        "starts again. Remove again what is still to be seen.",
      { headers: { "retry-after": String(LOG_RETRY_S) } },
    );
  }
  if (error instanceof StoreAwayError) {
    return new HttpError(
      STATUS_CODE.ServiceUnavailable,
      "The server can't reach its message log at the moment; try again in a few seconds, and send a " +
        "post with the same key.",
      { headers: { "retry-after": String(AWAY_RETRY_S) } },
    );
  }
  if (error instanceof LogUnavailableError) {
    return new HttpError(
      STATUS_CODE.ServiceUnavailable,
      "The server can't use its message log at the moment; nothing was stored. Try again later.",
      { headers: { "retry-after": String(LOG_RETRY_S) } },
    );
  }
  return new HttpError(
    STATUS_CODE.InternalServerError,
    "The server failed at this request; its terminal says why. Try again.",
  );
}
