/**
 * What is kept in the log, as a JSON array: for clients that want to look
 * things up rather than to follow.
 */

import { STATUS_CODE } from "@std/http/status";
import { compareIds, parseId } from "../chat_message.ts";
import type { LogPage, Range } from "../message_log/message_log.ts";
import { nextTurn, PIECE_BYTES } from "../reader/piece.ts";
import { BrokenOffError, MAX_IDLE_HEARTBEATS } from "../reader/reader.ts";
import { jsonRows, SEPARATOR, toJson } from "../reader/replay.ts";
import type { Room } from "../room.ts";
import { excerpt, HttpError } from "./http_error.ts";
import { readStart } from "./start.ts";
import type { Visit } from "./visit.ts";

/** `?before=` responds with this many messages. */
const BEFORE_COUNT = 50;
/** Before every message. */
const BEFORE_ALL = "0-0";

/**
 * `GET /chat` with `Accept: application/json`: the messages a reader would get
 * before the live ones, or those before the one that `?before=` names. If messages
 * before them are missing, `chat-gap` is their number, or `unknown`; if
 * older ones are kept, `link` says where. With `?removed` the removals among them are there too, each as
 * `{"id", "removes"}`.
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
  const withRemovals = visit.url.searchParams.has("removed");
  const body = visit.request.method === "HEAD" ? null : new ReadableStream(
    new HistoryBody(page, { room, withRemovals, held: held.move() }),
    { highWaterMark: 0 },
  );
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

/**
 * A range as a JSON array: each page is read once the client has taken the one before it. It breaks
 * off when a message is removed that has been read and not yet sent.
 */
class HistoryBody implements UnderlyingDefaultSource<Uint8Array> {
  readonly #encoder = new TextEncoder();
  readonly #room: Room;
  readonly #withRemovals: boolean;
  /** The range ends here, whatever is appended later. */
  readonly #end: string;
  /** What has been read and not yet sent is after the one id, up to the other. */
  #after = BEFORE_ALL;
  #cursor: string;
  #rest: Uint8Array;
  #hasRows = false;
  #isReading = false;
  /** Disposed of once the body has ended, in one way or another. */
  readonly #held: DisposableStack;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #isOver = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    firstPage: LogPage,
    { room, withRemovals, held }: { room: Room; withRemovals: boolean; held: DisposableStack },
  ) {
    this.#room = room;
    this.#withRemovals = withRemovals;
    this.#held = held;
    held.use(room.use());
    held.use(room.follow(({ entries, missed }) => {
      // One of them may have been a removal.
      if (missed !== 0 && this.#holds("all")) this.#breakOff("The log has lost messages");
      else if (entries.some(({ removes }) => this.#holds(removes))) {
        this.#breakOff("A message in the history has been removed");
      }
    }));
    this.#end = firstPage.end;
    this.#cursor = firstPage.cursor;
    this.#rest = this.#encoder.encode(`[${this.#encode(firstPage)}`);
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.#timer = setTimeout(
      () => this.#breakOff("Nobody reads the history"),
      this.#room.heartbeatMs * MAX_IDLE_HEARTBEATS,
    );
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    clearTimeout(this.#timer);
    try {
      do {
        await nextTurn();
        // Of a page whose messages have all been removed nothing is sent.
        if (this.#rest.length === 0 && !this.#isOver) await this.#readOn();
      } while (this.#rest.length === 0 && !this.#isOver);
    } catch (error) {
      if (this.#isOver) return;
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

  #breakOff(reason: string): void {
    this.cancel();
    this.#controller.error(new BrokenOffError(reason));
  }

  /** Whether a removal removes something that has been read and not yet sent. */
  #holds(removes: string | undefined): boolean {
    if (removes === undefined || (this.#rest.length === 0 && !this.#isReading)) return false;
    const end = this.#isReading ? this.#end : this.#cursor;
    return removes === "all" ||
      (compareIds(removes, this.#after) > 0 && compareIds(removes, end) <= 0);
  }

  get #isLast(): boolean {
    return compareIds(this.#cursor, this.#end) >= 0;
  }

  async #readOn(): Promise<void> {
    const range = { since: this.#cursor };
    this.#after = this.#cursor;
    this.#isReading = true;
    const shared = this.#withRemovals ? undefined : await this.#room.history.read(range);
    // The last page may have grown since; it is encoded without what was appended.
    const isShared = shared !== undefined && compareIds(shared.cursor, this.#end) < 0;
    const page = isShared ? shared : await this.#room.log.read(range);
    this.#isReading = false;
    if (page.missed !== 0) throw new BrokenOffError("The history has lost its next message");
    this.#cursor = page.cursor;
    if ("entries" in page) this.#rest = this.#encoder.encode(this.#encode(page));
    else {
      this.#rest = this.#hasRows ? page.bytes : page.bytes.subarray(SEPARATOR.length);
      this.#hasRows ||= page.bytes.length > 0;
    }
  }

  /** A page as it goes on in the array, or ends it. */
  #encode({ entries }: LogPage): string {
    const untilEnd = entries.filter(({ id }) => compareIds(id, this.#end) <= 0);
    const rows = this.#withRemovals ? jsonRows(untilEnd) : toJson({ entries: untilEnd });
    const text = this.#hasRows ? rows : rows.slice(SEPARATOR.length);
    this.#hasRows ||= rows !== "";
    return text + (this.#isLast ? "]\n" : "");
  }
}
