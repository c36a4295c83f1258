/**
 * The page's files, served from memory: they are imported as text, so that
 * `deno compile` carries them and the server needs no permission to read files.
 * A file that is not listed here does not exist for a visitor.
 */

import { eTag, ifNoneMatch } from "@std/http/etag";
import { STATUS_CODE } from "@std/http/status";
import css from "./static/chat.css" with { type: "text" };
import script from "./static/chat.js" with { type: "text" };
import icon from "./static/icon.svg" with { type: "text" };
import html from "./static/index.html" with { type: "text" };

/** A file of the page. */
export interface PageFile {
  readonly text: string;
  readonly type: string;
  readonly etag: string;
}

/** The page's files by their path in the URL. */
export async function loadPage(): Promise<ReadonlyMap<string, PageFile>> {
  const files: [path: string, type: string, text: string][] = [
    ["/", "text/html; charset=utf-8", html],
    ["/chat.css", "text/css; charset=utf-8", css],
    ["/chat.js", "text/javascript; charset=utf-8", script],
    ["/icon.svg", "image/svg+xml", icon],
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
  return ifNoneMatch(request.headers.get("if-none-match"), etag)
    ? new Response(text, { headers: { ...headers, "content-type": type } })
    : new Response(null, { status: STATUS_CODE.NotModified, headers });
}
