/** A request, with what every route wants to know of it, found out once. */

import { STATUS_CODE } from "@std/http/status";
import { hostOf } from "../visitor_guard/host.ts";
import type { Role } from "../visitor_guard/session.ts";
import { HttpError } from "./http_error.ts";

/** Longest address of a request. All ours are short, and thousands of parameters take long to read. */
export const MAX_URL_LENGTH = 2048;
/** A host and its port. Anything else in `Host` would become part of the path, which follows it. */
const HOST = /^(\[[\da-f:.]+\]|[^\s/?#@:\\[\]]+)?(:\d*)?$/i;

/** One request from one visitor. */
export interface Visit {
  readonly request: Request;
  /** The request's address, parsed. */
  readonly url: URL;
  /** The visitor's IP address; `unknown` where the request came through no connection. */
  readonly address: string;
  /** The address at the other end of the connection, a proxy's maybe; `unknown` likewise. */
  readonly peer: string;
  /** The visitor sees HTTPS. */
  readonly isSecure: boolean;
  /** What the visitor has shown to be; undefined for one who has shown nothing. */
  readonly role?: Role;
  /** The session by which that was shown, unless it was by the password itself. */
  readonly sessionId?: string;
}

/**
 * The visit that a request makes.
 *
 * @throws {HttpError} 400 for a request whose address can't be parsed, 414 for one
 * whose address is too long.
 */
export function toVisit(
  request: Request,
  { address = "unknown", peer = "unknown", isSecure = false }: Partial<
    Pick<Visit, "address" | "peer" | "isSecure">
  > = {},
): Visit {
  const { length } = request.url;
  if (length > MAX_URL_LENGTH) {
    throw new HttpError(
      STATUS_CODE.URITooLong,
      `The address has ${length} characters; send at most ${MAX_URL_LENGTH}.`,
    );
  }
  const url = HOST.test(hostOf(request)) ? URL.parse(request.url) : null;
  if (url) return { request, url, address, peer, isSecure };
  throw new HttpError(
    STATUS_CODE.BadRequest,
    "The address of the request can't be parsed; check its Host header and its path.",
  );
}
