/**
 * What a request can be refused with. A refusal is thrown as an
 * {@linkcode HttpError} wherever it is found and becomes a response in one
 * place; its text tells the person what to change.
 */

import { type ErrorStatus, STATUS_CODE, STATUS_TEXT } from "@std/http/status";
import { KeyConflictError, LogUnavailableError } from "../message_log/message_log.ts";

/** After this time a client may try a log again that could not be used. */
const LOG_RETRY_S = 5;

/** What goes with a refusal beside its status and sentence. */
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
   * extension member where one field is to blame.
   */
  toResponse(): Response {
    const { status, message } = this;
    const { field, headers } = this.#options;
    const problem = { type: "about:blank", title: STATUS_TEXT[status], status, detail: message };
    return new Response(`${JSON.stringify({ ...problem, field })}\n`, {
      status,
      headers: { ...headers, "content-type": "application/problem+json" },
    });
  }
}

/** The refusal that an error amounts to; 500 for one that should not be. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof KeyConflictError) {
    return new HttpError(
      STATUS_CODE.UnprocessableEntity,
      'The field "key" belongs to a message with another text; give every message its own.',
      { field: "key" },
    );
  }
  if (error instanceof LogUnavailableError) {
    return new HttpError(
      STATUS_CODE.ServiceUnavailable,
      "The server can't use its message log just now; nothing was stored. Try again later.",
      { headers: { "retry-after": String(LOG_RETRY_S) } },
    );
  }
  return new HttpError(
    STATUS_CODE.InternalServerError,
    "The server failed at this request; its terminal says why. Try again.",
  );
}
