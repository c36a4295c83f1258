/** How requests are refused. */

import { unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

const NAVIGATION = { "sec-fetch-mode": "navigate" };

export const REFUSALS: readonly Rule[] = [
  {
    id: "X1",
    name: "a refusal is a problem document whose detail says what to do",
    async check({ room }) {
      const problem = await (await room.post({ nickname: "ann" })).expectProblem(422);
      expectMatch('"type"', problem.type, /^about:blank$/);
      expectMatch('"title"', problem.title, /^[A-Z]/);
      expectMatch('"detail"', problem.detail, /\S+ \S+/);
    },
  },
  {
    id: "X2",
    name: "a refusal names the field that is to blame",
    async check({ room }) {
      await (await room.post({ message: " " })).expectProblem(422, "message");
      const nickname = "n".repeat(41);
      await (await room.post({ message: unique("hi"), nickname })).expectProblem(422, "nickname");
    },
  },
  {
    id: "X3",
    name: "a browser that would show a refusal gets it as a page",
    needs: ["html"],
    async check({ room }) {
      const answer = await room.post({ message: " " }, { headers: NAVIGATION });
      answer.expectStatus(422);
      expectMatch("the content type", answer.headers.get("content-type"), /^text\/html\b/);
      expectMatch("the page", await answer.text(), /<h1>[^]*<a href=/);
    },
  },
  {
    id: "X4",
    name: "a Host that is not a host is a 400",
    needs: ["hosts"],
    async check(chat) {
      for (const host of ["a/b", "a@b"]) {
        (await chat.ask("chat", { headers: { host } })).expectStatus(400);
      }
    },
  },
  {
    id: "X5",
    name: "nothing at a path is a 404",
    async check(chat) {
      for (const path of ["no.thing", "main.ts", "chat/", "no/such/thing", "__proto__"]) {
        await (await chat.ask(path)).expectProblem(404);
      }
    },
  },
  {
    id: "X6",
    name: "a method that a path does not take is a 405, and Allow lists those it takes",
    async check({ room }) {
      const answer = await room.ask("chat", { method: "DELETE" });
      await answer.expectProblem(405);
      const allowed = (answer.headers.get("allow") ?? "").split(/, ?/).toSorted();
      expectSame("Allow", allowed, ["GET", "HEAD", "OPTIONS", "POST"]);
    },
  },
  {
    id: "X7",
    name: "an address of over 2,048 characters is a 414",
    async check({ room }) {
      await (await room.ask(`chat?${"x".repeat(2048)}`)).expectProblem(414);
    },
  },
  {
    id: "X8",
    name: "a name that is not the server's is a 421",
    needs: ["hosts"],
    async check(chat) {
      const paths = [
        "chat",
        ...chat.has("page") ? [""] : [],
        ...chat.has("health") ? ["livez"] : [],
      ];
      for (const path of paths) {
        await (await chat.ask(path, { headers: { host: "chat.example" } })).expectProblem(421);
      }
    },
  },
  {
    id: "X9",
    name: "a refusal repeats only the beginning of what it refuses",
    async check({ room }) {
      const answer = await room.ask(`chat?since=${"x".repeat(1500)}`);
      const { detail } = await answer.expectProblem(400);
      expect(String(detail).length < 500, `"detail" has ${String(detail).length} characters`);
    },
  },
];
