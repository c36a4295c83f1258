/**
 * `/moderation` and `/rooms`: what a moderator sees and does. Whoever gets here has been found to be one.
 */

import { STATUS_CODE } from "@std/http/status";
import type { MessageLog, Mute, Removal, RoomState } from "../message_log/message_log.ts";
import { MAIN_ROOM, type Rooms } from "../room.ts";
import { isNavigation } from "./accept.ts";
import { excerpt, HttpError } from "./http_error.ts";
import { type Fields, readFields, readText, unprocessable } from "./post_fields.ts";
import { relativePage } from "./room_path.ts";

/** A week. */
const MAX_MINUTES = 10_080;
const DEFAULT_MINUTES = 60;
const MINUTE_MS = 60_000;
/** More are not kept for one room. */
const MAX_MUTES = 1000;
/** What messages are marked with. */
const MARK = /^[\w-]{8}$/;

/** The action that is not for the main room, which is always there. */
const DELETE = "delete";

/** Does what a request asks for; returns how many messages it has removed, if it removes any. */
type Action = (log: MessageLog, fields: Fields) => Promise<number | void>;

const ACTIONS = new Map<string, Action>([
  ["remove", remove],
  ["mute", mute],
  ["unmute", unmute],
  ["close", async (log) => void await log.update((state) => ({ ...state, closed: true }))],
  ["open", async (log) => void await log.update((state) => ({ ...state, closed: false }))],
  ["clear", (log) => log.remove("all")],
  [DELETE, (log) => log.delete()],
]);

/** `GET /moderation`: a room's state. */
export function sendState({ state }: Pick<MessageLog, "state">): Response {
  return toResponse(toAnswer(state));
}

/**
 * `POST /moderation`: does what the field `action` says, and answers the state that the room is in then,
 * with the number of messages that were removed. A browser that submits a form goes back to the page.
 *
 * @param onBody See {@linkcode readFields}.
 * @throws {HttpError} What {@linkcode readFields} throws, 422 for a field that is missing or not as it
 * must be, 404 for one that names nothing that is there.
 * @throws {LogUnavailableError} If it can't be stored now.
 */
export async function moderate(
  request: Request,
  { room, log, onBody }: {
    readonly room: string;
    readonly log: MessageLog;
    onBody?(bytes: number): void;
  },
): Promise<Response> {
  const fields = await readFields(request, onBody);
  const name = readText(fields, "action");
  const act = ACTIONS.get(name);
  if (!act) {
    throw unprocessable(
      "action",
      `must be one of ${[...ACTIONS.keys()].join(", ")}, received "${excerpt(name)}"`,
    );
  }
  if (name === DELETE && room === MAIN_ROOM) {
    throw unprocessable(
      "action",
      `can't be "${DELETE}" in the main room; "clear" removes its messages`,
    );
  }
  const removed = await act(log, fields);
  if (isNavigation(request)) {
    return new Response(null, {
      status: STATUS_CODE.SeeOther,
      headers: { location: relativePage(room) },
    });
  }
  return toResponse({ ...toAnswer(log.state), ...(removed !== undefined && { removed }) });
}

/**
 * `GET /rooms`: the rooms with messages, a state or readers.
 *
 * @throws {LogUnavailableError} If they can't be read now.
 */
export async function sendRooms(rooms: Pick<Rooms, "list">): Promise<Response> {
  return toResponse(await rooms.list());
}

async function remove(log: MessageLog, fields: Fields): Promise<number> {
  const field = fields.has("id") ? "id" : "by";
  const value = readText(fields, field);
  if (value === "") {
    throw unprocessable(
      "id",
      'is missing; send the id of a message, or "by" for all of its sender',
    );
  }
  const what: Removal = field === "id" ? { id: value } : { by: readMark(fields) };
  const count = await log.remove(what);
  if (count === 0) throw notFound(field, `names no message that is here: "${excerpt(value)}"`);
  return count;
}

async function mute(log: MessageLog, fields: Fields): Promise<void> {
  const by = readMark(fields);
  const minutes = readMinutes(fields);
  const address = await log.addressOf(by);
  const now = Date.now();
  // Cookies know the second in which they were issued.
  const since = now - now % 1000;
  const mute: Mute = { by, ...(address && { address }), since, until: now + minutes * MINUTE_MS };
  await log.update((state) => {
    const others = state.muted.filter((other) => other.by !== by);
    if (others.length < MAX_MUTES) return { ...state, muted: [...others, mute] };
    throw unprocessable("by", `can't be muted: ${MAX_MUTES} others are; unmute one of them`);
  });
}

async function unmute(log: MessageLog, fields: Fields): Promise<void> {
  const by = readMark(fields);
  await log.update((state) => {
    const muted = state.muted.filter((other) => other.by !== by);
    if (muted.length < state.muted.length) return { ...state, muted };
    throw notFound("by", `names nobody who is muted: "${by}"`);
  });
}

function readMark(fields: Fields): string {
  const by = readText(fields, "by");
  if (MARK.test(by)) return by;
  throw unprocessable(
    "by",
    `must be the mark of a message, which has 8 characters, received "${excerpt(by)}"`,
  );
}

function readMinutes(fields: Fields): number {
  const value = fields.get("minutes") ?? "";
  const minutes = value === ""
    ? DEFAULT_MINUTES
    : typeof value === "number" || typeof value === "string" && /^\d{1,9}$/.test(value)
    ? Number(value)
    : NaN;
  if (Number.isInteger(minutes) && minutes >= 1 && minutes <= MAX_MINUTES) return minutes;
  throw unprocessable(
    "minutes",
    `must be a whole number from 1 to ${MAX_MINUTES}, received ${excerpt(JSON.stringify(value))}`,
  );
}

function toAnswer({ closed, muted }: RoomState) {
  return {
    closed,
    muted: muted.map(({ by, until }) => ({ by, until: new Date(until).toISOString() })),
  };
}

function toResponse(value: unknown): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    headers: { "content-type": "application/json", "cache-control": "no-store" },
  });
}

function notFound(field: string, problem: string): HttpError {
  return new HttpError(STATUS_CODE.NotFound, `The field "${field}" ${problem}.`, { field });
}
