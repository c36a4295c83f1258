/** Which function answers which path and method. */

import { STATUS_CODE } from "@std/http/status";
import { HttpError } from "./http_error.ts";

/** Answers a request for one path and method, from the address given. */
export type Route = (request: Request, address: string) => Response | Promise<Response>;

/** Routes by path, then by method. A `GET` answers `HEAD` as well. */
export type Routes = ReadonlyMap<string, ReadonlyMap<string, Route>>;

/**
 * Answers a request by its route.
 *
 * @throws {HttpError} 404 for an unknown path, 405 with `Allow` for a method
 * that the path does not take, and what the route throws.
 */
export async function dispatch(
  request: Request,
  address: string,
  routes: Routes,
): Promise<Response> {
  const path = URL.parse(request.url)?.pathname ?? "this address";
  const methods = routes.get(path);
  if (!methods) {
    throw new HttpError(
      STATUS_CODE.NotFound,
      `There is nothing at ${path}; the page is at / and its messages at /chat.`,
    );
  }
  const route = methods.get(request.method === "HEAD" ? "GET" : request.method);
  if (route) return await route(request, address);
  const allow = [...methods.keys()].join(", ").replace("GET", "GET, HEAD");
  throw new HttpError(
    STATUS_CODE.MethodNotAllowed,
    `${path} does not take ${request.method}; use ${allow}.`,
    { headers: { allow } },
  );
}
