/**
 * The chat as HTML alone, for browsers without script, at `/chat?html`. A page to
 * read on asks for itself again every few seconds; the page to write on,
 * `?html=write`, does not, since what was being typed would be lost. A nickname
 * travels in the address, so that it is typed once.
 */

import { type ChatMessage, compareIds, type Post } from "../chat_message.ts";
import {
  type LogEntry,
  type LogPage,
  type MessageLog,
  type Range,
  withoutRemoved,
} from "../message_log/message_log.ts";
import { nextTurn } from "../reader/piece.ts";
import { splitLinks } from "../static/message.js";
import { readRange } from "./history.ts";
import { escapeHtml, toDocument } from "./html.ts";
import type { Visit } from "./visit.ts";

/** Messages on a page. */
const MESSAGE_COUNT = 50;
/** A page ends early where its messages are longer than this together, in characters of HTML. */
const MAX_LENGTH = 64 * 1024;
/** The page to read on is this old at most. */
const REFRESH_S = 10;

// Made once: to make one takes longer than to use it a hundred times.
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "full" });

/** The parameters of the page's address. */
type Parameters = { readonly [name: string]: string | undefined };

/**
 * `GET /chat?html`: the last messages, or those before the one that `?before=`
 * names, the newest first: where a page that is asked for again begins.
 *
 * @throws {HttpError} 400 for a `before` that is malformed.
 * @throws {LogUnavailableError} If the log can't be read.
 */
export async function sendPlainPage(
  visit: Visit,
  { log, title, base }: {
    readonly log: MessageLog;
    readonly title: string;
    /** What leads from the page to the server's own files. */
    readonly base: string;
  },
): Promise<Response> {
  const { html: view = "", before, nickname } = Object.fromEntries(visit.url.searchParams);
  const range = before === undefined ? { latest: MESSAGE_COUNT } : readRange(visit);
  const { entries, hasOlder } = await readToEnd(log, range);
  const { items, oldest } = toItems(entries);
  const isReading = view !== "write";
  const older = oldest && (hasOlder || oldest !== entries[0])
    ? link({ html: view, before: oldest.id, nickname }, "Older messages")
    : "";
  const newest = before === undefined ? "" : link({ html: "", nickname }, "Newest messages");
  const refreshes = isReading && before === undefined;
  const html = toDocument({
    title,
    base,
    head: refreshes ? `<meta http-equiv="refresh" content="${REFRESH_S}">` : "",
    main: `${isReading ? writeButton(nickname) : form(nickname)}
      <section role="log" aria-label="Conversation" tabindex="0">
        ${newest}
        <ol class="transcript">${items}</ol>
        ${oldest ? older : '<p class="empty">No messages here yet.</p>'}
      </section>`,
  });
  return new Response(html, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "private, no-cache",
      vary: "accept",
    },
  });
}

/** The messages of a whole range, without what is missing in it and before that. */
async function readToEnd(
  log: MessageLog,
  range: Range,
): Promise<Pick<LogPage, "entries" | "hasOlder">> {
  const { end, hasOlder, ...first } = await log.read(range);
  let { entries, cursor } = first;
  using _subscription = log.subscribe((batch) => {
    // One of those that are missing may have been a removal.
    entries = batch.missed === 0 ? withoutRemoved(entries, batch.entries) : [];
  });
  while (compareIds(cursor, end) < 0) {
    await nextTurn();
    const next = await log.read({ since: cursor });
    const more = next.entries.filter(({ id }) => compareIds(id, end) <= 0);
    entries = next.missed === 0 ? [...entries, ...more] : more;
    cursor = next.cursor;
  }
  return { entries: entries.filter(({ removes }) => removes === undefined), hasOlder };
}

/** Where whoever has posted from a plain page can read the message; undefined if it was another page. */
export function plainPageAfter({ url }: Request, { nickname }: Post): string | undefined {
  if (new URL(url).searchParams.has("html")) return address({ html: "", nickname });
}

/** Where one can write: a form that asks for the page to write on. */
function writeButton(nickname: string | undefined): string {
  return `<form action="chat">
        <input type="hidden" name="html" value="write">
        ${nickname ? `<input type="hidden" name="nickname" value="${escapeHtml(nickname)}">` : ""}
        <button>Write a message</button>
      </form>`;
}

function form(nickname = ""): string {
  return `<form method="post" action="chat?html">
        <div class="box">
          <label class="name">Your name <input id="nickname" name="nickname" value="${
    escapeHtml(nickname)
  }" placeholder="Nickname" autocomplete="nickname" dir="auto"></label>
          <label for="message">Message</label>
          <textarea id="message" name="message" rows="3" required autofocus
            placeholder="Start chat here" dir="auto"></textarea>
        </div>
        <div class="submit">
          <button>Send</button>
        </div>
        <p>${link({ html: "", nickname }, "Read on without writing")}</p>
      </form>`;
}

/**
 * Messages as list items, the newest first, with a heading for each day, and the oldest of those that
 * are not too much.
 */
function toItems(entries: readonly LogEntry[]): { items: string; oldest: LogEntry | undefined } {
  let items = "";
  let oldest;
  let day = "";
  for (const entry of entries.toReversed()) {
    const message: ChatMessage = JSON.parse(entry.json);
    const before = day;
    day = DAY.format(new Date(message.time));
    const item = (day === before ? "" : `<li class="line">${day}</li>\n`) + toItem(message);
    if (oldest && items.length + item.length > MAX_LENGTH) break;
    items += item;
    oldest = entry;
  }
  return { items, oldest };
}

function toItem({ nickname, message, timestamp, time, moderator }: ChatMessage): string {
  return `<li class="entry">
  <p class="byline"><bdi class="author">${escapeHtml(nickname)}</bdi>,
    ${moderator ? '<span class="moderator">Moderator</span>' : ""}
    <time datetime="${time}">${timestamp.slice(0, 5)}</time></p>
  <div class="bubble" dir="auto"><span class="text">${text(message)}</span></div>
</li>
`;
}

/** A message with its links; browsers without style sheets need its line breaks as elements. */
function text(message: string): string {
  return splitLinks(message).map(({ text, href }) => {
    const html = escapeHtml(text).replaceAll("\n", "<br>");
    return href ? `<a href="${escapeHtml(href)}" rel="noreferrer nofollow">${html}</a>` : html;
  }).join("");
}

function link(parameters: Parameters, words: string): string {
  return `<a href="${escapeHtml(address(parameters))}">${words}</a>`;
}

/** The page's address with the parameters that there are. */
function address(parameters: Parameters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && (value !== "" || name === "html")) query.set(name, value);
  }
  return `chat?${query}`;
}
