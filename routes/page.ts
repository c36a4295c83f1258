/**
 * The page's files, served from memory: they are imported as text, so that
 * `deno compile` carries them and the server needs no permission to read files.
 * A file that is not listed here does not exist for a visitor.
 */

import { eTag, ifNoneMatch } from "@std/http/etag";
import { STATUS_CODE } from "@std/http/status";
import { MAX_MESSAGE_LENGTH, MAX_NICKNAME_LENGTH } from "../chat_message.ts";
import { type Config, VERSION } from "../config.ts";
import attention from "../static/attention.js" with { type: "text" };
import chat from "../static/chat.js" with { type: "text" };
import composer from "../static/composer.js" with { type: "text" };
import connection from "../static/connection.js" with { type: "text" };
import connectionView from "../static/connection_view.js" with { type: "text" };
import css from "../static/chat.css" with { type: "text" };
import dom from "../static/dom.js" with { type: "text" };
import entry from "../static/entry.js" with { type: "text" };
import history from "../static/history.js" with { type: "text" };
import html from "../static/index.html" with { type: "text" };
import icon from "../static/icon.svg" with { type: "text" };
import manifest from "../static/manifest.webmanifest" with { type: "text" };
import message from "../static/message.js" with { type: "text" };
import outbox from "../static/outbox.js" with { type: "text" };
import outboxView from "../static/outbox_view.js" with { type: "text" };
import sharedStream from "../static/shared_stream.js" with { type: "text" };
import store from "../static/store.js" with { type: "text" };
import stream from "../static/stream.js" with { type: "text" };
import streamWorker from "../static/stream_worker.js" with { type: "text" };
import transcript from "../static/transcript.js" with { type: "text" };

/** A file of the page. */
export interface PageFile {
  readonly text: string;
  readonly type: string;
  readonly etag: string;
}

/** A longer `If-None-Match` is ignored: nothing sends one, and to split it takes quadratic time. */
const MAX_IF_NONE_MATCH_LENGTH = 1024;

/** Leading whitespace of each line, and blank lines. */
const INDENTATION = /^\s+/gm;

const SCRIPTS = {
  attention,
  chat,
  composer,
  connection,
  connection_view: connectionView,
  dom,
  entry,
  history,
  message,
  outbox,
  outbox_view: outboxView,
  shared_stream: sharedStream,
  store,
  stream,
  stream_worker: streamWorker,
  transcript,
};

/** The page's files by their path in the URL. */
export async function loadPage(
  { title, heartbeat }: Pick<Config, "title" | "heartbeat">,
): Promise<ReadonlyMap<string, PageFile>> {
  const scripts = Object.entries(SCRIPTS);
  // chat.js imports most scripts; preload the ones that only those import in turn.
  const known = `./chat.js./stream_worker.js${chat}`;
  const preloads = scripts.filter(([name]) => !known.includes(`./${name}.js`))
    .map(([name]) => `<link rel="modulepreload" href="/${name}.js">`);
  const page = html
    .replaceAll("Simple Chat", () => escapeHtml(title))
    .replace('data-heartbeat="15"', `data-heartbeat="${heartbeat}"`)
    .replace('data-version="0"', `data-version="${VERSION}"`)
    .replace('data-most="40"', `data-most="${MAX_NICKNAME_LENGTH}"`)
    .replace('data-most="4000"', `data-most="${MAX_MESSAGE_LENGTH}"`)
    .replace("</head>", `${preloads.join("")}</head>`)
    .replace(INDENTATION, "");
  const files: [path: string, type: string, text: string][] = [
    ["/", "text/html; charset=utf-8", page],
    ["/chat.css", "text/css; charset=utf-8", compactStyles(css)],
    ["/icon.svg", "image/svg+xml", icon],
    [
      "/manifest.webmanifest",
      "application/manifest+json",
      JSON.stringify({ ...JSON.parse(manifest), name: title }),
    ],
    ...scripts.map(([name, text]): [string, string, string] => [
      `/${name}.js`,
      "text/javascript; charset=utf-8",
      compactScript(text),
    ]),
  ];
  return new Map(
    await Promise.all(
      files.map(async ([path, type, text]) =>
        [path, { text, type, etag: await eTag(text) }] as const
      ),
    ),
  );
}

/** Answers with a file, or 304 if the client has it (RFC 9110, section 13.1.2). */
export function servePageFile(request: Request, { text, type, etag }: PageFile): Response {
  // no-cache: keep it, but ask before each use, so that a new version shows at once.
  const headers = { etag, "cache-control": "no-cache" };
  const known = request.headers.get("if-none-match") ?? "";
  return known.length > MAX_IF_NONE_MATCH_LENGTH || ifNoneMatch(known, etag)
    ? new Response(text, { headers: { ...headers, "content-type": type } })
    : new Response(null, { status: STATUS_CODE.NotModified, headers });
}

/** Kept verbatim: strings, templates, and regular expressions (a slash where no division can be). */
const KEPT =
  /(?<kept>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|(?<=[=(,:!&|?] ?)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\[\n])+\/)/;
const COMMENT = /\/\*[^]*?\*\/|\/\/.*/;
/** Space around it means nothing; around + and - it keeps apart what would be ++ or --. */
const SPACED = new RegExp(`${KEPT.source}|\\s*([[\\](){},;:?=<>&|*])\\s*|\\s*(\\n)\\s*`, "g");
const COMMENTED = new RegExp(`${KEPT.source}|${COMMENT.source}`, "g");

/**
 * Leaves out what only readers of a script need: comments, and space that `deno fmt` puts around
 * brackets and operators. That is half of the page. What people read, in strings and templates, and
 * regular expressions stay as they are. A template within a template is not understood; a test
 * compares every script that is served with its source.
 */
export function compactScript(source: string): string {
  return source
    .replace(COMMENTED, (_, kept = "") => kept)
    .replace(SPACED, (_, kept, sign, line) => kept ?? sign ?? line)
    .trim();
}

/** Strips comments and the spacing of `deno fmt`; assumes that no string contains `{};,` or `: `. */
function compactStyles(source: string): string {
  return source
    .replace(/\/\*[^]*?\*\//g, "")
    .replace(/\s*([{};,])\s*|\s*\n\s*|(?<=:) /g, "$1");
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text as it may stand in HTML, also in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character]);
}
