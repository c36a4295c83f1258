/** Which function answers which path and method. */

import { STATUS_CODE } from "@std/http/status";
import { excerpt, HttpError } from "./http_error.ts";
import type { Visit } from "./visit.ts";

/** Answers a visit to one path with one method. */
export type Route = (visit: Visit) => Response | Promise<Response>;

/** Routes by path, then by method. A `GET` answers `HEAD` as well, every path `OPTIONS`. */
export type Routes = ReadonlyMap<string, ReadonlyMap<string, Route>>;

/**
 * Answers a visit by its route.
 *
 * @throws {HttpError} 404 for an unknown path, 405 with `Allow` for a method
 * that the path does not take, and what the route throws.
 */
export async function dispatch(visit: Visit, routes: Routes): Promise<Response> {
  const { request: { method }, url: { pathname: path } } = visit;
  const methods = routes.get(path);
  if (!methods) {
    throw new HttpError(
      STATUS_CODE.NotFound,
      `There is nothing at ${excerpt(path)}; the page is at / and its messages at /chat.`,
    );
  }
  const route = methods.get(method === "HEAD" ? "GET" : method);
  if (route) return await route(visit);
  const allow = [...methods.keys(), "OPTIONS"].join(", ").replace("GET", "GET, HEAD");
  // Load balancers ask so whether a server is alive, and browsers what another site may do.
  if (method === "OPTIONS") {
    return new Response(null, { status: STATUS_CODE.NoContent, headers: { allow } });
  }
  throw new HttpError(
    STATUS_CODE.MethodNotAllowed,
    `${excerpt(path)} does not take ${excerpt(method)}; use ${allow}.`,
    { headers: { allow } },
  );
}
