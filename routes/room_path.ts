/** Which room an address is in, and what of it. */

import { STATUS_CODE } from "@std/http/status";
import { MAX_ROOM_NAME_LENGTH, RESERVED_NAMES, toRoomName } from "../chat_message.ts";
import type { Config } from "../config.ts";
import { MAIN_ROOM } from "../room.ts";
import { excerpt, HttpError } from "./http_error.ts";

/** An address of a room: `/biology/chat` is `/chat` in the room `biology`. */
export interface RoomPath {
  readonly room: string;
  /** `/` for its page. */
  readonly path: string;
  /** The one address of it, percent-encoded. */
  readonly canonical: string;
}

/**
 * The room that a path of a URL is in, unless that is the main one.
 *
 * @throws {HttpError} 404 for a path in which no room can be.
 */
export function toRoomPath(pathname: string): RoomPath {
  const [, first, ...rest] = pathname.split("/");
  const room = toRoomName(decode(first));
  if (room === undefined) {
    throw new HttpError(
      STATUS_CODE.NotFound,
      `There is nothing at ${excerpt(pathname)}. The name of a room has 1 to ` +
        `${MAX_ROOM_NAME_LENGTH} letters, digits, - and _, begins with a letter or digit, and is ` +
        `none of ${RESERVED_NAMES.join(", ")}.`,
    );
  }
  const path = `/${rest.join("/")}`;
  return { room, path, canonical: roomAddress(room) + (path === "/" ? "" : path) };
}

/**
 * The address of a room's page from another of the room's addresses: relative, as all here, since a
 * proxy may have put the chat under a path.
 */
export function relativePage(room: string): string {
  return room === MAIN_ROOM ? "." : `..${roomAddress(room)}`;
}

/** The path of a room's page. */
export function roomAddress(room: string): string {
  return `/${encodeURIComponent(room)}`;
}

/**
 * Checks that a room may be.
 *
 * @throws {HttpError} 404 if `--rooms` does not have it.
 */
export function checkRoom(room: string, rooms: Config["rooms"]): void {
  if (room === MAIN_ROOM || rooms === "any" || rooms.includes(room)) return;
  throw new HttpError(
    STATUS_CODE.NotFound,
    `There is no room ${room} here; ` +
      (rooms === "none" ? "there is one, at /" : `there are ${(rooms as string[]).join(", ")}`) +
      ". To have others, start the server with another --rooms.",
  );
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    // Not UTF-8: no name.
    if (!(error instanceof URIError)) throw error;
    return "";
  }
}
