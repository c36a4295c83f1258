/** A request, with what every route wants to know of it, found out once. */

import { STATUS_CODE } from "@std/http/status";
import { HttpError } from "./http_error.ts";

/** One request from one visitor. */
export interface Visit {
  readonly request: Request;
  /** The request's address, parsed. */
  readonly url: URL;
  /** The visitor's IP address; `unknown` where the request came through no connection. */
  readonly address: string;
}

/**
 * The visit that a request makes.
 *
 * @throws {HttpError} 400 for a request whose address can't be parsed.
 */
export function toVisit(request: Request, address = "unknown"): Visit {
  const url = URL.parse(request.url);
  if (url) return { request, url, address };
  throw new HttpError(
    STATUS_CODE.BadRequest,
    "The address of the request can't be parsed; check its Host header and its path.",
  );
}
