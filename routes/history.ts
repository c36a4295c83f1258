/**
 * What is kept in the log, as a JSON array: for clients that want to look
 * things up rather than to follow.
 */

import { STATUS_CODE } from "@std/http/status";
import { parseId } from "../chat_message.ts";
import { HttpError } from "./http_error.ts";
import type { LogPage, MessageLog } from "../message_log/message_log.ts";
import { readStart } from "./start.ts";
import type { Visit } from "./visit.ts";

/** `?before=` answers with this many messages. */
const BEFORE_COUNT = 50;

/**
 * `GET /chat` with `Accept: application/json`: the messages a reader would get
 * before the live ones, or those before the one that `?before=` names. Where
 * messages before them are lost, `chat-gap` has their number, or `unknown`.
 *
 * @throws {HttpError} 400 for a `since` or `before` that is no id.
 * @throws {LogUnavailableError} If the log can't be read.
 */
export async function sendHistory({ request, url }: Visit, log: MessageLog): Promise<Response> {
  const headers = new Headers({ "content-type": "application/json", "cache-control": "no-cache" });
  const before = url.searchParams.get("before");
  if (before !== null) {
    if (!parseId(before)) {
      throw new HttpError(
        STATUS_CODE.BadRequest,
        `The parameter "before" must be the id of a message, received "${before}".`,
      );
    }
    const entries = await log.before(before, BEFORE_COUNT);
    return new Response(`[${entries.map(({ json }) => json).join(",\n")}]\n`, { headers });
  }
  const start = readStart(request, url);
  const page = "latest" in start ? await log.latest(start.latest) : await log.since(start.since);
  if (page.missed !== 0) headers.set("chat-gap", String(page.missed ?? "unknown"));
  const body = ReadableStream.from(toJson(log, page)).pipeThrough(new TextEncoderStream());
  return new Response(body, { headers });
}

/** A page and all behind it, page by page as they are read. */
async function* toJson(log: MessageLog, page: LogPage): AsyncGenerator<string> {
  let separator = "[";
  for (;;) {
    for (const { json } of page.entries) {
      yield separator + json;
      separator = ",\n";
    }
    if (!page.more) break;
    page = await log.since(page.cursor);
  }
  yield separator === "[" ? "[]\n" : "]\n";
}
