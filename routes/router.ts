/** Which function answers which path and method. */

import { STATUS_CODE } from "@std/http/status";
import { MAIN_ROOM } from "../room.ts";
import { excerpt, HttpError } from "./http_error.ts";
import { toRoomPath } from "./room_path.ts";
import type { Visit } from "./visit.ts";

/** Answers a visit to one path in a room with one method. */
export type Route = (visit: Visit, room: string) => Response | Promise<Response>;

/** Routes by path, then by method. A `GET` answers `HEAD` as well, every path `OPTIONS`. */
export type Routes = ReadonlyMap<string, ReadonlyMap<string, Route>>;

/**
 * Answers a visit by its route, among those of the whole server or those of every room.
 * Another spelling of a room's address is answered with 308 to the one.
 *
 * @throws {HttpError} 404 for an unknown path, 405 with `Allow` for a method
 * that the path does not take, and what the route throws.
 */
export async function dispatch(visit: Visit, routes: Routes, inRooms: Routes): Promise<Response> {
  const { pathname, search } = visit.url;
  const methods = routes.get(pathname) ?? inRooms.get(pathname);
  if (methods) return await answer(visit, MAIN_ROOM, methods);
  const { room, path, canonical } = toRoomPath(pathname);
  const methodsInRoom = inRooms.get(path);
  if (!methodsInRoom) {
    throw new HttpError(
      STATUS_CODE.NotFound,
      `There is nothing at ${excerpt(pathname)}; the page is at / and its messages at /chat, ` +
        "those of a room at /NAME and /NAME/chat.",
    );
  }
  // A browser asks so before it asks another site, and follows no redirect there.
  if (pathname !== canonical && visit.request.method !== "OPTIONS") {
    // Relative, as all addresses here: a proxy may have put the chat under a path.
    const location = "../".repeat(pathname.split("/").length - 2) + canonical.slice(1) + search;
    return new Response(`The address is ${canonical}${search}; nothing was stored at this one.\n`, {
      status: STATUS_CODE.PermanentRedirect,
      headers: { location, "content-type": "text/plain; charset=utf-8" },
    });
  }
  return await answer(visit, room, methodsInRoom);
}

async function answer(
  visit: Visit,
  room: string,
  methods: ReadonlyMap<string, Route>,
): Promise<Response> {
  const { request: { method }, url: { pathname: path } } = visit;
  const route = methods.get(method === "HEAD" ? "GET" : method);
  if (route) return await route(visit, room);
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
