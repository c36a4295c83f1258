/**
 * The page's files, served from memory as they are in static/, scripts without their comments: they
 * are imported as text, so that `deno compile` carries them and the server needs no permission
 * to read files. A file that is not listed here does not exist for a visitor.
 */

import { eTag, ifNoneMatch } from "@std/http/etag";
import { STATUS_CODE } from "@std/http/status";
import { MAX_MESSAGE_LENGTH, MAX_NICKNAME_LENGTH } from "../chat_message.ts";
import { type Config, VERSION } from "../config.ts";
import { MAIN_ROOM } from "../room.ts";
import attention from "../static/attention.js" with { type: "text" };
import bell from "../static/bell.js" with { type: "text" };
import chat from "../static/chat.js" with { type: "text" };
import client from "../static/client.js" with { type: "text" };
import composer from "../static/composer.js" with { type: "text" };
import connection from "../static/connection.js" with { type: "text" };
import css from "../static/chat.css" with { type: "text" };
import dialog from "../static/dialog.js" with { type: "text" };
import dialogsCss from "../static/dialogs.css" with { type: "text" };
import dialogsHtml from "../static/dialogs.html" with { type: "text" };
import drawing from "../static/drawing.js" with { type: "text" };
import html from "../static/index.html" with { type: "text" };
import icon from "../static/icon.svg" with { type: "text" };
import manifest from "../static/manifest.webmanifest" with { type: "text" };
import invitation from "../static/invitation.js" with { type: "text" };
import menu from "../static/menu.js" with { type: "text" };
import message from "../static/message.js" with { type: "text" };
import moderation from "../static/moderation.js" with { type: "text" };
import moderationCss from "../static/moderation.css" with { type: "text" };
import outbox from "../static/outbox.js" with { type: "text" };
import page from "../static/page.js" with { type: "text" };
import roomList from "../static/room_list.js" with { type: "text" };
import sessionCss from "../static/session.css" with { type: "text" };
import session from "../static/session.js" with { type: "text" };
import stream from "../static/stream.js" with { type: "text" };
import transcript from "../static/transcript.js" with { type: "text" };
import viewport from "../static/viewport.js" with { type: "text" };
import views from "../static/views.js" with { type: "text" };
import type { Role } from "../visitor_guard/session.ts";
import { escapeHtml } from "./html.ts";

const SCRIPTS = {
  attention,
  bell,
  chat,
  client,
  composer,
  connection,
  dialog,
  drawing,
  invitation,
  menu,
  message,
  moderation,
  outbox,
  page,
  room_list: roomList,
  session,
  stream,
  transcript,
  viewport,
  views,
};

/** What others import: the chat's client. */
export const CLIENT_PATH = "/client.js";

/** Comments on lines of their own, a quarter of what a first visit would take. */
const COMMENTS = /^ *(?:\/\*\*(?:(?!\*\/)[^])*\*\/|\/\/.*)\n/gm;

/** The content codings that files are compressed with, the smaller first. */
const CODINGS = ["br", "gzip"] as const;

type Coding = typeof CODINGS[number];

/** The best takes ten times as long, and is for files that are the same for all. */
const [BEST_BROTLI, QUICK_BROTLI] = [11, 5];

/** Pages of rooms are kept for this many rooms. */
const MAX_ROOM_PAGES = 100;

/** A longer `If-None-Match` or `Accept-Encoding` is ignored: nothing sends one, and to split it takes long. */
const MAX_LIST_LENGTH = 1024;

/** Options for {@linkcode PageFile}. */
interface PageFileOptions {
  /** Pages of other sites may load it, those that `--allow-origin` names. @default {false} */
  readonly isOpenToOthers?: boolean;
  /** It may come with a cookie, for one visitor. @default {false} */
  readonly isPrivate?: boolean;
  /** It is one of many, so that it must not take long to compress. @default {false} */
  readonly isOneOfMany?: boolean;
}

/** A file of the page, compressed once for each coding that somebody asks for. */
export class PageFile {
  readonly #text: string;
  readonly #type: string;
  readonly #tag: string;
  readonly #options: PageFileOptions;
  readonly #compressed = new Map<Coding, Promise<Uint8Array<ArrayBuffer>>>();

  constructor(text: string, type: string, tag: string, options: PageFileOptions = {}) {
    this.#text = text;
    this.#type = type;
    this.#tag = tag;
    this.#options = options;
  }

  /** Answers with the file, or 304 if the client has it (RFC 9110, section 13.1.2). */
  async serve({ headers: asked }: Request): Promise<Response> {
    const coding = chooseCoding(asked.get("accept-encoding") ?? "");
    // Each coding has a tag of its own: the bytes differ.
    const etag = coding ? this.#tag.replace(/"$/, `-${coding}"`) : this.#tag;
    const headers = new Headers({
      etag,
      // Keep it, but ask before each use, so that a new version shows at once.
      "cache-control": this.#options.isPrivate ? "private, no-cache" : "no-cache",
      vary: "accept-encoding",
      ...this.#options.isOpenToOthers && { "cross-origin-resource-policy": "cross-origin" },
    });
    const known = asked.get("if-none-match") ?? "";
    if (known.length <= MAX_LIST_LENGTH && !ifNoneMatch(known, etag)) {
      return new Response(null, { status: STATUS_CODE.NotModified, headers });
    }
    headers.set("content-type", this.#type);
    if (!coding) return new Response(this.#text, { headers });
    headers.set("content-encoding", coding);
    return new Response(await this.#compress(coding), { headers });
  }

  #compress(coding: Coding): Promise<Uint8Array<ArrayBuffer>> {
    const compressed = this.#compressed.get(coding) ??
      compress(this.#text, coding, this.#options.isOneOfMany ? QUICK_BROTLI : BEST_BROTLI);
    this.#compressed.set(coding, compressed);
    return compressed;
  }
}

/** What every page says. */
export interface PageOptions extends Pick<Config, "title" | "heartbeat" | "rooms"> {
  /** Whose messages it shows. */
  readonly storeId: string;
}

/** The files of the page but for itself, by their path in the URL. */
export async function loadFiles(title: string): Promise<ReadonlyMap<string, PageFile>> {
  const files: [path: string, type: string, text: string][] = [
    ["/chat.css", "text/css; charset=utf-8", css],
    ["/dialogs.css", "text/css; charset=utf-8", dialogsCss],
    ["/session.css", "text/css; charset=utf-8", sessionCss],
    ["/dialogs.html", "text/html; charset=utf-8", dialogsHtml],
    ["/moderation.css", "text/css; charset=utf-8", moderationCss],
    ["/icon.svg", "image/svg+xml", icon],
    [
      "/manifest.webmanifest",
      "application/manifest+json",
      JSON.stringify({ ...JSON.parse(manifest), name: title }),
    ],
    ...Object.entries(SCRIPTS).map(([name, text]): [string, string, string] => [
      `/${name}.js`,
      "text/javascript; charset=utf-8",
      // Others import it, and read its types and what it does in its comments.
      `/${name}.js` === CLIENT_PATH ? text : text.replace(COMMENTS, ""),
    ]),
  ];
  const entries = files.map(async ([path, type, text]) => {
    const isOpenToOthers = path === CLIENT_PATH;
    return [path, new PageFile(text, type, await eTag(text), { isOpenToOthers })] as const;
  });
  return new Map(await Promise.all(entries));
}

/** The pages of rooms, the last ones that were asked for. */
export class RoomPages {
  readonly #html: string;
  readonly #title: string;
  readonly #pages = new Map<string, Promise<PageFile>>();

  constructor({ title, heartbeat, rooms, storeId }: PageOptions) {
    const preloads = importsOf("chat")
      .map((name) => `    <link rel="modulepreload" href="${name}.js">\n`);
    this.#title = title;
    this.#html = html
      .replace('data-heartbeat="15"', `data-heartbeat="${heartbeat}"`)
      .replace('data-version="0"', `data-version="${VERSION}"`)
      .replace(
        "<html ",
        () => rooms === "any" ? "<html " : `<html data-rooms="${rooms === "none" ? "" : rooms}" `,
      )
      .replace('data-log=""', `data-log="${storeId}"`)
      .replace('data-most="40"', `data-most="${MAX_NICKNAME_LENGTH}"`)
      .replace('data-most="4000"', `data-most="${MAX_MESSAGE_LENGTH}"`)
      .replace("  </head>", `${preloads.join("")}  </head>`);
  }

  /** The page of a room, for somebody of that role. */
  get(room: string, role?: Role): Promise<PageFile> {
    const name = [role, room].join(" ");
    const known = this.#pages.get(name) ?? this.#make(room, role);
    this.#pages.delete(name);
    this.#pages.set(name, known);
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= MAX_ROOM_PAGES) break;
      // That of the main room takes long to compress.
      if (!oldest.endsWith(" ")) this.#pages.delete(oldest);
    }
    return known;
  }

  async #make(room: string, role?: Role): Promise<PageFile> {
    const marks = (role ? "data-session " : "") + (role === "moderator" ? "data-moderator " : "");
    const text = this.#html
      .replace("<html ", `<html ${marks}`)
      .replace("<title>Simple Chat<", () => `<title>${escapeHtml(titleOf(room, this.#title))}<`)
      .replace("<h1>Simple Chat<", () => `<h1>${escapeHtml(room || this.#title)}<`)
      // Relative to the page's address, which is that of the room.
      .replaceAll('"chat?html"', `"${room && `${encodeURIComponent(room)}/`}chat?html"`);
    const options = { isPrivate: true, isOneOfMany: room !== MAIN_ROOM };
    return new PageFile(text, "text/html; charset=utf-8", await eTag(text), options);
  }
}

/** What the title of a window says of a room. */
export function titleOf(room: string, title: string): string {
  return room ? `${room} · ${title}` : title;
}

/**
 * The scripts that a script imports, and those that they import in turn: a browser that is told of
 * them all need not find each only in the one before.
 */
function importsOf(script: keyof typeof SCRIPTS): string[] {
  const found = new Set<string>([script]);
  for (const name of found) {
    const text = SCRIPTS[name as keyof typeof SCRIPTS];
    for (const [, imported] of text.matchAll(/ from "\.\/(\w+)\.js";/g)) found.add(imported);
  }
  found.delete(script);
  return [...found];
}

/**
 * The coding to answer in, undefined for none: the one of the highest weight (RFC 9110, section
 * 12.5.3). Of equal ones the smaller counts, however they are ordered: browsers name gzip first.
 */
function chooseCoding(accepted: string): Coding | undefined {
  if (accepted.length > MAX_LIST_LENGTH) return undefined;
  const weights = new Map(
    accepted.toLowerCase().split(",").map((item): [coding: string, weight: number] => {
      const [coding, parameter = "q=1"] = item.split(";").map((part) => part.trim());
      return [coding, Number(parameter.replace("q=", "")) || 0];
    }),
  );
  const weight = (coding: string) => weights.get(coding) ?? weights.get("*") ?? 0;
  const [best] = CODINGS.toSorted((a, b) => weight(b) - weight(a));
  return weight(best) > 0 && weight(best) >= (weights.get("identity") ?? 0) ? best : undefined;
}

/**
 * `node:zlib` makes brotli a tenth smaller than the platform's own stream does. It takes long to load,
 * so the first visitor brings it in rather than the start.
 */
async function compress(
  text: string,
  coding: Coding,
  quality: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { brotliCompress, constants, gzip } = await import("node:zlib");
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const settle = (error: Error | null, bytes: Uint8Array) => error ? reject(error) : resolve(bytes);
  if (coding === "gzip") gzip(text, settle);
  else brotliCompress(text, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }, settle);
  return new Uint8Array(await promise);
}
