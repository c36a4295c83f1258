/** What is for people, and for whoever watches the server. */

import { type Answer, type Entry, type Fields, unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

const CLIENT = "client.js";
const JAVASCRIPT = /^(text|application)\/javascript\b/;
const NAVIGATION = { "sec-fetch-mode": "navigate" };

/** The bytes of an answer, decoded. */
async function decoded(answer: Answer): Promise<string> {
  const coding = answer.headers.get("content-encoding");
  const bytes = await answer.bytes();
  const stream = new Blob([bytes]).stream();
  return await new Response(
    coding === null
      ? stream
      : stream.pipeThrough(new DecompressionStream(coding === "br" ? "brotli" : "gzip")),
  ).text();
}

export const PAGE: readonly Rule[] = [
  {
    id: "P1",
    name: "GET /livez is 200 with ok",
    needs: ["health"],
    async check(chat) {
      const answer = await chat.ask("livez", { as: "stranger" });
      expectMatch("its body", await answer.expectStatus(200).text(), /^ok\n?$/);
    },
  },
  {
    id: "P2",
    name: "GET / is the page",
    needs: ["page"],
    async check(chat) {
      const answer = (await chat.ask("")).expectStatus(200);
      expectMatch("the content type", answer.headers.get("content-type"), /^text\/html\b/);
      expectMatch("the page", await answer.text(), /^<!doctype html>/i);
    },
  },
  {
    id: "P3",
    name: "the page comes in the coding that Accept-Encoding prefers",
    needs: ["page"],
    async check(chat) {
      const plain = await (await chat.ask("")).text();
      const cases = [
        ["gzip, br", "br"],
        ["gzip", "gzip"],
        ["br;q=0.5, gzip", "gzip"],
        ["identity", null],
        ["br;q=0, gzip;q=0", null],
      ] as const;
      for (const [accepted, coding] of cases) {
        const answer = await chat.ask("", { headers: { "accept-encoding": accepted } });
        const actual = answer.headers.get("content-encoding");
        expectSame(`the coding for "${accepted}"`, actual, coding);
        expect(await decoded(answer) === plain, `the page as ${coding} is another one`);
      }
    },
  },
  {
    id: "P4",
    name: "the page carries an ETag, and If-None-Match gets a 304",
    needs: ["page"],
    async check(chat) {
      const etag = (await chat.ask("")).headers.get("etag");
      expectMatch("the ETag", etag, /^(W\/)?"[^"]+"$/);
      const again = await chat.ask("", { headers: { "if-none-match": etag! } });
      again.expectStatus(304);
      (await chat.ask("", { headers: { "if-none-match": '"other"' } })).expectStatus(200);
    },
  },
  {
    id: "P5",
    name: "HEAD works wherever GET does, without a body",
    async check(chat) {
      const room = chat.room.path("chat");
      const cases: [path: string, headers?: Fields][] = [[room]];
      if (chat.has("history")) cases.push([room, { accept: "application/json" }]);
      if (chat.has("page")) cases.push([""]);
      if (chat.has("health")) cases.push(["livez"]);
      for (const [path, headers] of cases) {
        const answer = (await chat.ask(path, { method: "HEAD", headers })).expectStatus(200);
        // On a connection that is closed then, whatever came would be seen.
        expect(await answer.isOver(), `${answer.what} has a body`);
      }
    },
  },
  {
    id: "P6",
    name: "OPTIONS works everywhere, and Allow lists the methods",
    async check(chat) {
      const cases: [path: string, methods: string[]][] = [
        [chat.room.path("chat"), ["GET", "HEAD", "OPTIONS", "POST"]],
      ];
      if (chat.has("page")) cases.push(["", ["GET", "HEAD", "OPTIONS"]]);
      for (const [path, methods] of cases) {
        const answer = (await chat.ask(path, { method: "OPTIONS" })).expectStatus(204);
        const allowed = (answer.headers.get("allow") ?? "").split(/, ?/).toSorted();
        expectSame("Allow", allowed, methods);
      }
    },
  },
  {
    id: "P7",
    name: "a browser that is led to /chat gets the last 50 messages as HTML, the newest first",
    needs: ["html"],
    async check(chat) {
      const room = chat.freshRoom();
      const mark = unique("no.").replaceAll(" ", "-");
      const count = chat.latestCount;
      await room.sendAll(Array.from({ length: count + 2 }, (_, n) => `${mark}-${n}-`));
      const answer = (await room.ask("chat", { headers: NAVIGATION })).expectStatus(200);
      expectMatch("the content type", answer.headers.get("content-type"), /^text\/html\b/);
      const html = await answer.text();
      const numbers = Array.from(html.matchAll(new RegExp(`${mark}-(\\d+)-`, "g")), ([, n]) => n);
      expectSame(
        "the list of messages",
        numbers,
        Array.from({ length: count }, (_, n) => `${count + 1 - n}`),
      );
    },
  },
  {
    id: "P8",
    name: "a browser that says little of itself asks for /chat?html",
    needs: ["html"],
    async check({ room }) {
      const text = unique("<b>&plain");
      await room.say(text);
      const html = await (await room.ask("chat?html")).expectStatus(200).text();
      const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
      expect(html.includes(escaped), "the page lacks a message, or has it as markup");
    },
  },
  {
    id: "P9",
    name: "a form that is posted to /chat?html gets a 303 back to it",
    needs: ["html"],
    async check({ room }) {
      const body = { nickname: "Ann & Ben", message: unique("a plain form") };
      const answer = await room.ask("chat?html", { method: "POST", body });
      const location = answer.expectStatus(303).headers.get("location") ?? "";
      const path = room.path("chat");
      const { pathname, search } = new URL(location, `http://chat/${path}`);
      expectSame("where it leads", pathname, `/${path}`);
      expectMatch("its parameters", search, /[?&]html\b/);
      const html = await (await room.ask(`chat${search}`)).expectStatus(200).text();
      expect(html.includes(body.message), "the page there lacks the message");
    },
  },
  {
    id: "P10",
    name: "the plain page with before=ID has the messages before that one",
    needs: ["html"],
    async check(chat) {
      const room = chat.freshRoom();
      const mark = unique("no.").replaceAll(" ", "-");
      const ids = await room.sayAll(...Array.from({ length: 4 }, (_, n) => `${mark}-${n}-`));
      const html = await (await room.ask(`chat?html&before=${ids[2]}`)).expectStatus(200).text();
      for (const [n, isShown] of [true, true, false, false].entries()) {
        expectSame(`whether message ${n} is there`, html.includes(`${mark}-${n}-`), isShown);
      }
    },
  },
  {
    id: "P13",
    name: "GET /client.js is a module of JavaScript",
    needs: ["page"],
    async check(chat) {
      const answer = (await chat.ask(CLIENT)).expectStatus(200);
      expectMatch("the content type", answer.headers.get("content-type"), JAVASCRIPT);
      expectMatch("the module", await answer.text(), /^export .*\bChat\b/m);
    },
  },
  {
    id: "P14",
    name: "no password is asked for the client",
    needs: ["page", "password"],
    async check(chat) {
      const answer = (await chat.ask(CLIENT, { as: "stranger" })).expectStatus(200);
      expectMatch("the content type", answer.headers.get("content-type"), JAVASCRIPT);
    },
  },
  {
    id: "P15",
    name: "pages of the sites that are allowed, and of no others, may load the client",
    needs: ["page", "allowOrigin"],
    async check(chat) {
      const own = chat.options.allowOrigin!;
      for (const origin of [own, "https://elsewhere.example"]) {
        const headers = { origin, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors" };
        const answer = await chat.ask(CLIENT, { headers, as: "stranger" });
        if (origin === own) answer.expectStatus(200);
        const allowed = answer.headers.get("access-control-allow-origin");
        const expected = origin === own ? own : null;
        expectSame(`Access-Control-Allow-Origin for ${origin}`, allowed, expected);
      }
    },
  },
  {
    id: "P11",
    name: "GET /healthz says whether a message could be stored just now",
    needs: ["health"],
    async check(chat) {
      const answer = await chat.ask("healthz");
      answer.expectStatus(200);
      expectMatch("the content type", answer.headers.get("content-type"), /^application\/json\b/);
      const { status, version, uptime, readers, rooms, log } = await answer.json() as Entry;
      expectSame('"status"', status, "ok");
      expectMatch('"version"', version, /^\d+\.\d+\.\d+/);
      const counts = [uptime, readers, rooms];
      expect(counts.every((count) => Number.isInteger(count)), `the counts are ${counts}`);
      expectMatch('"log"', log, /^(sqlite|redis|memory)$/);
    },
  },
  {
    id: "P12",
    name: "what is said of the server's health is not cached",
    needs: ["health"],
    async check(chat) {
      for (const path of ["livez", "healthz"]) {
        const { headers, what } = (await chat.ask(path)).expectStatus(200);
        expectMatch(`Cache-Control in ${what}`, headers.get("cache-control"), /\bno-store\b/);
      }
    },
  },
];
