/**
 * What is kept in the log, as a JSON array: for clients that want to look
 * things up rather than to follow.
 */

import { STATUS_CODE } from "@std/http/status";
import { compareIds, parseId } from "../chat_message.ts";
import type { LogPage, Range } from "../message_log/message_log.ts";
import { nextTurn, PIECE_BYTES } from "../reader/piece.ts";
import { BrokenOffError, MAX_IDLE_HEARTBEATS } from "../reader/reader.ts";
import { toJson } from "../reader/replay.ts";
import type { Room } from "../room.ts";
import { excerpt, HttpError } from "./http_error.ts";
import { readStart } from "./start.ts";
import type { Visit } from "./visit.ts";

/** `?before=` responds with this many messages. */
const BEFORE_COUNT = 50;

/**
 * `GET /chat` with `Accept: application/json`: the messages a reader would get
 * before the live ones, or those before the one that `?before=` names. If messages
 * before them are missing, `chat-gap` is their number, or `unknown`; if
 * older ones are kept, `link` says where.
 *
 * @param slot Disposed of once the body has ended.
 * @throws {HttpError} 400 for a `since` or `before` that is malformed.
 * @throws {LogUnavailableError} If the log can't be read.
 */
export async function sendHistory(
  visit: Visit,
  room: Room,
  slot?: Disposable,
): Promise<Response> {
  using held = new DisposableStack();
  held.use(slot);
  const page = await room.log.read(readRange(visit));
  const headers = new Headers({
    "content-type": "application/json",
    "cache-control": "no-store",
    vary: "accept",
  });
  if (page.missed !== 0) headers.set("chat-gap", String(page.missed ?? "unknown"));
  const [oldest] = page.entries;
  if (oldest && page.hasOlder) headers.set("link", `<?before=${oldest.id}>; rel="prev"`);
  const body = visit.request.method === "HEAD"
    ? null
    : new ReadableStream(new HistoryBody(page, room, held.move()), { highWaterMark: 0 });
  return new Response(body, { headers });
}

/** What a request asks for of the log. */
export function readRange({ request, url }: Visit): Range {
  const before = url.searchParams.get("before");
  if (before === null) return readStart(request, url);
  if (parseId(before)) return { before, count: BEFORE_COUNT };
  throw new HttpError(
    STATUS_CODE.BadRequest,
    `The parameter "before" must be the id of a message, received "${excerpt(before)}".`,
  );
}

/** A range as a JSON array: each page is read once the client has taken the one before it. */
class HistoryBody implements UnderlyingDefaultSource<Uint8Array> {
  readonly #encoder = new TextEncoder();
  readonly #room: Room;
  /** The range ends here, whatever is appended later. */
  readonly #end: string;
  /** The id of the last message of the page that is being sent, and what is left of the page. */
  #cursor: string;
  #rest: Uint8Array;
  /** Disposed of once the body has ended, in one way or another. */
  readonly #held: DisposableStack;
  #isOver = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(firstPage: LogPage, room: Room, held: DisposableStack) {
    this.#room = room;
    this.#held = held;
    held.use(room.use());
    this.#end = firstPage.end;
    this.#cursor = firstPage.cursor;
    const rows = toJson(this.#untilEnd(firstPage)).slice(",\n".length);
    this.#rest = this.#encoder.encode(`[${rows}${this.#isLast ? "]\n" : ""}`);
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#timer = setTimeout(
      () => {
        this.cancel();
        controller.error(new BrokenOffError("Nobody reads the history"));
      },
      this.#room.heartbeatMs * MAX_IDLE_HEARTBEATS,
    );
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    clearTimeout(this.#timer);
    await nextTurn();
    try {
      if (this.#rest.length === 0) await this.#readOn();
    } catch (error) {
      this.cancel();
      throw error;
    }
    if (this.#isOver) return;
    controller.enqueue(this.#rest.subarray(0, PIECE_BYTES));
    this.#rest = this.#rest.subarray(PIECE_BYTES);
    if (this.#rest.length > 0 || !this.#isLast) return this.start(controller);
    this.cancel();
    controller.close();
  }

  cancel(): void {
    this.#isOver = true;
    this.#held[Symbol.dispose]();
    clearTimeout(this.#timer);
  }

  get #isLast(): boolean {
    return compareIds(this.#cursor, this.#end) >= 0;
  }

  async #readOn(): Promise<void> {
    const range = { since: this.#cursor };
    const shared = await this.#room.history.read(range);
    this.#cursor = shared.cursor;
    // The last page may have grown since; it is encoded without what was appended.
    const last = this.#isLast ? await this.#room.log.read(range) : undefined;
    if ((last ?? shared).missed !== 0) {
      throw new BrokenOffError("The history has lost its next message");
    }
    this.#rest = last ? this.#encoder.encode(`${toJson(this.#untilEnd(last))}]\n`) : shared.bytes;
  }

  #untilEnd(page: LogPage): LogPage {
    const entries = page.entries.filter(({ id }) => compareIds(id, this.#end) <= 0);
    return { ...page, entries };
  }
}
