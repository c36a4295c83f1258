/**
 * `POST /chat`: body → fields → text → post → log. What a request posts is checked
 * here and in the modules that this one uses; past it nothing is checked again.
 */

import { STATUS_CODE } from "@std/http/status";
import {
  MAX_KEY_LENGTH,
  MAX_MESSAGE_LENGTH,
  MAX_NICKNAME_LENGTH,
  type Post,
} from "../chat_message.ts";
import type { MessageLog, Refuse } from "../message_log/message_log.ts";
import { isNavigation } from "./accept.ts";
import { HttpError } from "./http_error.ts";
import { plainPageAfter } from "./plain_page.ts";
import { decodeUtf8, type Fields, readFields, readText, unprocessable } from "./post_fields.ts";
import { relativePage } from "./room_path.ts";
import { isBlank, normaliseMessage, normaliseNickname } from "./post_text.ts";

/** What is known of a sender: see {@linkcode Post}. */
export type Author = Pick<Post, "by" | "address" | "moderator">;

/**
 * Appends what a request posts to the log, which lets the hub know: posting never
 * waits for readers. A browser that submits a form goes back to the page.
 *
 * @throws {HttpError} What {@linkcode readFields} throws, 400 for an
 * `Idempotency-Key` that is not UTF-8, 422 for a field that is missing, blank, too
 * long or not text; the refusal.
 * @throws {KeyConflictError} If the key belongs to another message.
 * @throws {RemovedError} If the message with this key has been removed.
 * @throws {RoomLimitError} If the room would be one too many.
 * @throws {LogUnavailableError} If it can't be stored now.
 */
export async function postMessage(
  request: Request,
  { room, log, author, refuse, onBody }: {
    readonly room: string;
    readonly log: Pick<MessageLog, "append">;
    readonly author: Author;
    /** What it is refused with unless it is a repeat: see {@linkcode MessageLog.append}. */
    readonly refuse?: Refuse;
    /** Called with the length of the body once it has been read. */
    onBody?(bytes: number): void;
  },
): Promise<Response> {
  const post = { ...await readPost(request, onBody), ...author };
  const { entry, repeated } = await log.append(post, refuse);
  if (isNavigation(request)) {
    const location = plainPageAfter(request, post) ?? relativePage(room);
    return new Response(null, { status: STATUS_CODE.SeeOther, headers: { location } });
  }
  return new Response(`${entry.json}\n`, {
    status: repeated ? STATUS_CODE.OK : STATUS_CODE.Created,
    headers: { "content-type": "application/json" },
  });
}

async function readPost(request: Request, onBody?: (bytes: number) => void): Promise<Post> {
  const fields = await readFields(request, onBody);
  const key = readText(fields, "key").toWellFormed() || readIdempotencyKey(request);
  return {
    nickname: readNickname(fields),
    message: readMessage(fields),
    ...(key && { key: withinLimit("key", key, MAX_KEY_LENGTH) }),
  };
}

function readMessage(fields: Fields): string {
  const message = normaliseMessage(readText(fields, "message"));
  if (isBlank(message)) throw unprocessable("message", "is empty; write something to send");
  return withinLimit("message", message, MAX_MESSAGE_LENGTH);
}

function readNickname(fields: Fields): string {
  const nickname = normaliseNickname(readText(fields, "nickname"));
  return isBlank(nickname) ? "anonymous" : withinLimit("nickname", nickname, MAX_NICKNAME_LENGTH);
}

/** A header arrives as one character a byte. */
function readIdempotencyKey({ headers }: Request): string {
  const header = headers.get("idempotency-key") ?? "";
  try {
    return decodeUtf8(Uint8Array.from({ length: header.length }, (_, n) => header.charCodeAt(n)));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new HttpError(
      STATUS_CODE.BadRequest,
      'The header "Idempotency-Key" can\'t be read; send it in UTF-8.',
    );
  }
}

function withinLimit(name: string, text: string, max: number): string {
  // A string has at least as many UTF-16 units as code points: most need no count.
  const length = text.length <= max ? text.length : [...text].length;
  if (length <= max) return text;
  throw unprocessable(name, `has ${length} characters; send at most ${max}`);
}
