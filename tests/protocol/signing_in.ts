/** How those sign in who know a password. */

import { newVisitor } from "./messages.ts";
import { type Answer, basic, type Chat, type Fields, unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

const NAVIGATION = { "sec-fetch-mode": "navigate" };
const WRONG = "not the password";

/** The cookie that an answer sets. */
function sessionOf(answer: Answer): string {
  const cookies = answer.headers.getSetCookie().filter((each) => /chat-session=./.test(each));
  expect(cookies.length === 1, `${answer.what} sets ${cookies.length} cookies for the session`);
  return cookies[0];
}

/** Signs in; the cookie as it is sent back. */
async function signIn(chat: Chat): Promise<string> {
  const body = { password: chat.options.password! };
  const answer = await chat.ask("session", { method: "POST", body, as: "stranger" });
  answer.expectStatus(204);
  return sessionOf(answer).split(";", 1)[0];
}

/** The status of the stream for whoever has a cookie and nothing else. */
async function statusWith(chat: Chat, cookie: string): Promise<number> {
  return (await chat.room.ask("chat", { headers: { cookie }, as: "stranger" })).status;
}

export const SIGNING_IN: readonly Rule[] = [
  {
    id: "A1",
    name: "with a password everything asks for it",
    needs: ["password"],
    async check(chat) {
      const paths = [
        "chat",
        "chat?since=all",
        ...chat.has("page") ? ["", "invite.svg"] : [],
        ...chat.options.moderatorPassword !== undefined ? ["moderation", "rooms"] : [],
      ];
      for (const path of paths) {
        await (await chat.ask(path, { as: "stranger" })).expectProblem(401);
      }
      const body = { message: unique("from a stranger") };
      await (await chat.room.post(body, { as: "stranger" })).expectProblem(401);
    },
  },
  {
    id: "A2",
    name: "/livez, the page to sign in at and OPTIONS are open",
    needs: ["password"],
    async check(chat) {
      for (const path of ["session", ...chat.has("health") ? ["livez"] : []]) {
        (await chat.ask(path, { as: "stranger" })).expectStatus(200);
      }
      (await chat.ask("chat", { method: "OPTIONS", as: "stranger" })).expectStatus(204);
    },
  },
  {
    id: "A3",
    name: "a moderator needs no other password",
    needs: ["password", "moderatorPassword"],
    async check({ room }) {
      await room.say(unique("a moderator's"), {}, { as: "moderator" });
      (await room.ask("chat", { as: "moderator" })).expectStatus(200);
    },
  },
  {
    id: "A4",
    name: "the password comes by HTTP Basic, under any user name",
    needs: ["password"],
    async check({ room, options }) {
      for (const user of ["", "ann", "\u00e9"]) {
        const headers = { authorization: basic(options.password!, user) };
        (await room.ask("chat", { headers, as: "stranger" })).expectStatus(200);
      }
      const headers = { authorization: basic(WRONG) };
      await (await room.ask("chat", { headers, as: "stranger" })).expectProblem(401);
    },
  },
  {
    id: "A5",
    name: "GET /session is a page",
    needs: ["password"],
    async check(chat) {
      const answer = (await chat.ask("session")).expectStatus(200);
      expectMatch("the content type", answer.headers.get("content-type"), /^text\/html\b/);
    },
  },
  {
    id: "A6",
    name: "GET /session is a 404 where no password is set",
    needs: ["open"],
    async check(chat) {
      await (await chat.ask("session")).expectProblem(404);
    },
  },
  {
    id: "A7",
    name: "POST /session with the password is a 204 and a cookie that lets one in",
    needs: ["password"],
    async check(chat) {
      expectSame("the status without the cookie", await statusWith(chat, "a=b"), 401);
      expectSame("the status with it", await statusWith(chat, await signIn(chat)), 200);
    },
  },
  {
    id: "A8",
    name: "the cookie lasts for 30 days",
    needs: ["password"],
    async check(chat) {
      const body = { password: chat.options.password! };
      const answer = await chat.ask("session", { method: "POST", body, as: "stranger" });
      expectMatch("the cookie", sessionOf(answer), /; ?max-age=2592000(;|$)/i);
    },
  },
  {
    id: "A9",
    name: "POST /session with a wrong password is a 401",
    needs: ["password"],
    async check(chat) {
      const body = { password: WRONG };
      const answer = await chat.ask("session", { method: "POST", body, as: "stranger" });
      await answer.expectProblem(401);
    },
  },
  {
    id: "A10",
    name: "a form that signs in gets a 303 to the path in to",
    needs: ["password"],
    async check(chat) {
      const where = (to: string) =>
        chat.ask("session", {
          method: "POST",
          body: { password: chat.options.password!, to },
          headers: NAVIGATION,
          as: "stranger",
        });
      const answer = (await where("/biology?x")).expectStatus(303);
      sessionOf(answer);
      const { pathname, search } = new URL(
        answer.headers.get("location") ?? "",
        "http://chat/session",
      );
      expectSame("where it leads", pathname + search, "/biology?x");
      const away = (await where("https://elsewhere.example/")).expectStatus(303);
      const { host } = new URL(away.headers.get("location") ?? "", "http://chat/session");
      expectSame("the host it leads to", host, "chat");
    },
  },
  {
    id: "A11",
    name: "POST /session with leave, and DELETE, end the session and every copy of its cookie",
    needs: ["password"],
    async check(chat) {
      for (const leave of [{ method: "POST", body: { leave: "1" } }, { method: "DELETE" }]) {
        const cookie = await signIn(chat);
        const answer = await chat.ask("session", { ...leave, headers: { cookie }, as: "stranger" });
        answer.expectStatus(204);
        expectSame("the status with a copy of the cookie", await statusWith(chat, cookie), 401);
      }
    },
  },
  {
    id: "A12",
    name: "with forget the browser's chat-visitor ends too",
    needs: ["password", "marks", "page"],
    async check(chat) {
      const cookie = `${await signIn(chat)}; ${await newVisitor(chat)}`;
      const body = { forget: "1" };
      const answer = await chat.ask("session", { method: "POST", body, headers: { cookie } });
      const ended = answer.headers.getSetCookie().find((each) => each.startsWith("chat-visitor=;"));
      expectMatch("the cookie that ends", ended, /; ?max-age=0(;|$)/i);
    },
  },
  {
    id: "A13",
    name: "a navigation without the password is answered with the page, as a 401",
    needs: ["password"],
    async check(chat) {
      const paths = [
        "chat",
        ...chat.has("page") ? [""] : [],
        ...chat.options.moderatorPassword !== undefined ? ["rooms"] : [],
      ];
      for (const path of paths) {
        const answer = await chat.ask(path, { headers: NAVIGATION, as: "stranger" });
        answer.expectStatus(401);
        expectMatch("the page", await answer.text(), /<input[^>]*name="password"/);
      }
    },
  },
  {
    id: "A14",
    name: "WWW-Authenticate is only sent to programs",
    needs: ["password"],
    async check(chat) {
      const ask = async (headers: Fields) =>
        (await chat.ask("chat", { headers, as: "stranger" })).headers.get("www-authenticate");
      expectMatch("WWW-Authenticate", await ask({}), /^Basic\b/);
      const browsers: Fields[] = [{ "sec-fetch-mode": "cors" }, { "accept-language": "en" }];
      for (const headers of browsers) {
        expectSame(`WWW-Authenticate with ${Object.keys(headers)}`, await ask(headers), null);
      }
    },
  },
  {
    id: "A15",
    name: "when a session ends, so do its streams",
    needs: ["password"],
    async check(chat) {
      const cookie = await signIn(chat);
      const answer = await chat.room.ask("chat?since=none", {
        headers: { cookie },
        as: "stranger",
      });
      const events = answer.expectStatus(200).events();
      await events.next("the beginning of the stream");
      await chat.ask("session", { method: "DELETE", headers: { cookie }, as: "stranger" });
      while (await events.nextOrEnd("the end of the stream") !== undefined);
    },
  },
  {
    id: "A16",
    name: "/healthz asks for the password where a proxy has passed the request on",
    needs: ["password", "health"],
    async check(chat) {
      const proxies: Fields[] = [{ via: "1.1 a.example" }, { "x-forwarded-for": "192.0.2.1" }];
      for (const headers of proxies) {
        await (await chat.ask("healthz", { headers, as: "stranger" })).expectProblem(401);
      }
      (await chat.ask("healthz")).expectStatus(200);
    },
  },
];
