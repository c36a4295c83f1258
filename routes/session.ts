/**
 * `/session`: where people sign in and out, on a page in the chat's own look that needs no script; and
 * what is answered to those who have not signed in where they must.
 */

import { STATUS_CODE } from "@std/http/status";
import type { Guard } from "../visitor_guard/guard.ts";
import { checkOrigin, isFromElsewhere } from "../visitor_guard/origin.ts";
import { basicPassword, type Role, type Sessions } from "../visitor_guard/session.ts";
import type { Visitors } from "../visitor_guard/visitor.ts";
import { isNavigation } from "./accept.ts";
import { escapeHtml, toDocument } from "./html.ts";
import { HttpError } from "./http_error.ts";
import { type Fields, readFields, readText, unprocessable } from "./post_fields.ts";
import type { Visit } from "./visit.ts";

const WRONG = "That is not the password.";

/** What {@linkcode SignIn} works with. */
export interface SignInOptions {
  readonly sessions: Sessions;
  readonly visitors: Pick<Visitors, "forget">;
  readonly guard: Pick<Guard, "tryPassword" | "enterSignIn" | "enterSession">;
  /** What the page is called. */
  readonly title: string;
  /** Sites whose pages may read and post with the password. */
  readonly allowOrigin: readonly string[];
}

/** The way in for those who know a password. */
export class SignIn {
  readonly #sessions: Sessions;
  readonly #visitors: SignInOptions["visitors"];
  readonly #guard: SignInOptions["guard"];
  readonly #title: string;
  readonly #allowOrigin: readonly string[];

  constructor({ sessions, visitors, guard, title, allowOrigin }: SignInOptions) {
    this.#sessions = sessions;
    this.#visitors = visitors;
    this.#guard = guard;
    this.#title = title;
    this.#allowOrigin = allowOrigin;
  }

  /**
   * A visit with what the visitor has shown to be: by a cookie, which is the chat's own page's alone,
   * whatever others `--allow-origin` names, or by HTTP Basic.
   *
   * @throws {HttpError} 401 for a wrong password, 429 for too many of those.
   */
  async identify(visit: Visit): Promise<Visit> {
    const { request, address, isSecure } = visit;
    const session = isFromElsewhere(request)
      ? undefined
      : await this.#sessions.find(request, isSecure);
    if (session) return { ...visit, role: session.role, sessionId: session.id };
    const password = basicPassword(request);
    if (password === undefined || !this.#sessions.isPossible) return visit;
    return { ...visit, role: await this.#try(password, address) ?? refuse(request, WRONG) };
  }

  /**
   * Answers somebody who has shown no password: people with the page to sign in at.
   *
   * @throws {HttpError} 403 to other sites' pages, whose cookie does not count, 401 to all others.
   */
  refuse(visit: Visit): Response {
    const { request, url } = visit;
    checkOrigin(request, this.#allowOrigin);
    if (isNavigation(request)) {
      // A cookie that is ours alone does not come with a link on another site's page; it comes from ours.
      const isLinked = request.method === "GET" &&
        request.headers.get("sec-fetch-site") === "cross-site";
      return this.#page(visit, {
        to: url.pathname + url.search,
        head: isLinked ? '<meta http-equiv="refresh" content="0">' : "",
      });
    }
    return refuse(
      request,
      "The chat asks for a password; sign in at /session, or send it as curl -u :PASSWORD does.",
    );
  }

  /** `GET /session`: the page to sign in at, or out. */
  async show(visit: Visit): Promise<Response> {
    this.#check();
    const session = await this.#sessions.find(visit.request, visit.isSecure);
    const to = visit.url.searchParams.get("to") ?? "";
    return this.#page(visit, { status: STATUS_CODE.OK, role: session?.role, to });
  }

  /**
   * `POST /session`: signs in with the field `password`, out with `leave`; with `forget` the browser is
   * no longer the visitor that it was, too.
   *
   * @throws {HttpError} 401 for a wrong password, 429 for too many of those, 422 without any field, and
   * what {@linkcode readFields} and {@linkcode checkOrigin} throw.
   */
  async post(visit: Visit): Promise<Response> {
    const { request, address, isSecure } = visit;
    checkOrigin(request, []);
    const fields = await this.#read(visit);
    if (fields.has("leave") || fields.has("forget")) {
      const response = await this.leave(visit);
      if (fields.has("forget")) {
        response.headers.append("set-cookie", this.#visitors.forget(isSecure));
      }
      return response;
    }
    this.#check();
    const password = readText(fields, "password");
    if (password === "") {
      throw unprocessable("password", 'is missing; send the password, or "leave" to sign out');
    }
    const to = readText(fields, "to");
    const role = await this.#try(password, address);
    if (!role) {
      if (isNavigation(request)) return this.#page(visit, { to, problem: WRONG });
      return refuse(request, WRONG);
    }
    await this.#guard.enterSession(address);
    // What it was before ends, in its copies too.
    await this.#sessions.end(request, isSecure);
    return toResponse(request, {
      location: toLocation(to),
      "set-cookie": await this.#sessions.begin(role, isSecure),
    });
  }

  /** `DELETE /session`: signs out. */
  async leave({ request, isSecure }: Visit): Promise<Response> {
    checkOrigin(request, []);
    return toResponse(request, {
      location: "session",
      "set-cookie": await this.#sessions.end(request, isSecure),
    });
  }

  /** @throws {HttpError} 404 where there is no password. */
  #check(): void {
    if (this.#sessions.isPossible) return;
    throw new HttpError(
      STATUS_CODE.NotFound,
      "There is nothing to sign in for; start the server with --password to ask everybody for one, " +
        "or with --moderator-password to let moderators sign in.",
    );
  }

  async #read({ request, address }: Visit): Promise<Fields> {
    using _slot = this.#guard.enterSignIn(address);
    return await readFields(request);
  }

  async #try(password: string, address: string): Promise<Role | undefined> {
    let role: Role | undefined;
    await this.#guard.tryPassword(address, async () => {
      role = await this.#sessions.roleOf(password);
      return role !== undefined;
    });
    return role;
  }

  #page(
    { url }: Visit,
    { status = STATUS_CODE.Unauthorized, role, to, head = "", problem }: {
      status?: number;
      role?: Role;
      to: string;
      head?: string;
      problem?: string;
    },
  ): Response {
    // Relative, as all addresses here: a proxy may have put the chat under a path.
    const base = "../".repeat(url.pathname.split("/").length - 2);
    const action = `${base}session`;
    const isModerator = role === "moderator";
    const label = role || !this.#sessions.isRequired ? "Moderator's password" : "Password";
    const main =
      (role ? leaveForm(action, `You are signed in${isModerator ? " as a moderator" : ""}.`) : "") +
      (isModerator ? "" : passwordForm({ action, to, label, problem }));
    const back = role || !this.#sessions.isRequired
      ? `<p><a href="${escapeHtml(base + toLocation(to))}">Back to the chat</a></p>`
      : "";
    const html = toDocument({
      title: this.#title,
      base,
      head: `<link rel="stylesheet" href="${base}session.css">${head}`,
      main: `<div class="session">${main}${back}</div>`,
    });
    return new Response(html, {
      status,
      headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" },
    });
  }
}

/** @throws {HttpError} 403 to whoever has not shown to be a moderator. */
export function requireModerator({ role }: Visit): void {
  if (role === "moderator") return;
  throw new HttpError(
    STATUS_CODE.Forbidden,
    "Only moderators may do that; sign in as one at /session, or send the password as " +
      "curl -u :PASSWORD does. The server has one if it was started with --moderator-password.",
  );
}

/** @throws {HttpError} 401. A browser would ask for the password itself, if it were told of Basic. */
function refuse({ headers }: Request, detail: string): never {
  const isProgram = !headers.has("sec-fetch-mode") && !headers.has("accept-language");
  throw new HttpError(STATUS_CODE.Unauthorized, detail, {
    headers: isProgram ? { "www-authenticate": 'Basic realm="chat", charset="UTF-8"' } : {},
  });
}

function toResponse(request: Request, headers: { location: string; "set-cookie": string }) {
  const isPage = isNavigation(request);
  const { location, ...others } = headers;
  return new Response(null, {
    status: isPage ? STATUS_CODE.SeeOther : STATUS_CODE.NoContent,
    headers: { "cache-control": "no-store", ...others, ...(isPage && { location }) },
  });
}

/** The address to go on to, relative to `/session`; the main room's if it is none of ours. */
function toLocation(to: string): string {
  const here = "http://localhost";
  const url = URL.parse(to, here);
  return url?.origin === here ? `.${url.pathname}${url.search}` : ".";
}

function passwordForm(
  { action, to, label, problem }: { action: string; to: string; label: string; problem?: string },
): string {
  return `<form method="post" action="${action}">
        <input type="hidden" name="to" value="${escapeHtml(to)}">
        <label for="password">${label}</label>
        <input id="password" name="password" type="password" required autofocus
          autocomplete="current-password"${problem ? ' aria-describedby="problem"' : ""}>
        ${problem ? `<p class="problem" id="problem" role="alert">${problem}</p>` : ""}
        <button>Sign in</button>
      </form>`;
}

function leaveForm(action: string, words: string): string {
  return `<form method="post" action="${action}">
        <p>${words}</p>
        <button class="quiet" name="leave" value="1">Sign out</button>
      </form>`;
}
