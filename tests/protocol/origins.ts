/** What pages of other sites may do. */

import { basic, type Fields, unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

const CROSS_SITE = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors" };
/** The names in a list that a header has. */
function listIn(header: string | null): string[] {
  return (header ?? "").toLowerCase().split(/, */);
}

export const ORIGINS: readonly Rule[] = [
  {
    id: "O1",
    name: "a page of another site may neither read nor post",
    needs: ["origins"],
    async check({ room }) {
      const strangers: Fields[] = [
        CROSS_SITE,
        { "sec-fetch-site": "same-site", origin: "http://other.test" },
        { origin: "https://elsewhere.example" },
        { origin: "null" },
      ];
      for (const headers of strangers) {
        await (await room.post({ message: "forged" }, { headers })).expectProblem(403);
        await (await room.ask("chat", { headers })).expectProblem(403);
      }
    },
  },
  {
    id: "O2",
    name: "the chat's own pages may read and post",
    needs: ["origins"],
    async check({ room, options: { url } }) {
      const own: Fields[] = [
        { "sec-fetch-site": "same-origin", origin: url.origin },
        { "sec-fetch-site": "none" },
        { origin: url.origin },
      ];
      for (const headers of own) {
        await room.say(unique("our own"), {}, { headers });
        (await room.ask("chat", { headers })).expectStatus(200);
      }
    },
  },
  {
    id: "O3",
    name: "a person may follow a link from another site",
    needs: ["origins", "html"],
    async check({ room }) {
      const link = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
      };
      (await room.ask("chat", { headers: link })).expectStatus(200);
    },
  },
  {
    id: "O4",
    name: "a page of a site that is allowed may read and post",
    needs: ["allowOrigin"],
    async check({ room, options }) {
      const headers = { ...CROSS_SITE, origin: options.allowOrigin! };
      const answers = [
        await room.post({ message: unique("from an allowed site") }, { headers }),
        await room.ask("chat", { headers }),
        await room.post({ message: " " }, { headers }),
      ];
      expectSame("the list of statuses", answers.map(({ status }) => status), [201, 200, 422]);
      for (const { headers, what } of answers) {
        const allowed = headers.get("access-control-allow-origin");
        expectSame(`Access-Control-Allow-Origin in ${what}`, allowed, options.allowOrigin);
        expect(listIn(headers.get("vary")).includes("origin"), `${what} does not vary by origin`);
      }
    },
  },
  {
    id: "O5",
    name: "a browser that asks for an allowed site what it may do hears so",
    needs: ["allowOrigin"],
    async check({ room, options }) {
      const answer = await room.ask("chat", {
        method: "OPTIONS",
        headers: {
          ...CROSS_SITE,
          origin: options.allowOrigin!,
          "access-control-request-method": "POST",
          "access-control-request-headers": "content-type",
        },
        as: "stranger",
      });
      const { headers } = answer;
      expectSame("the status", answer.status, 204);
      expectSame("the origin", headers.get("access-control-allow-origin"), options.allowOrigin);
      const methods = listIn(headers.get("access-control-allow-methods"));
      expect(methods.includes("post"), `the methods are ${methods}`);
      const names = listIn(headers.get("access-control-allow-headers"));
      for (const name of ["authorization", "content-type", "idempotency-key", "last-event-id"]) {
        expect(names.includes(name), `the headers are ${names}`);
      }
    },
  },
  {
    id: "O6",
    name: "no other site gets CORS headers",
    needs: ["origins"],
    async check({ room }) {
      const headers = { ...CROSS_SITE, origin: "https://elsewhere.example" };
      for (const method of ["GET", "OPTIONS"]) {
        const answer = await room.ask("chat", { method, headers });
        const allowed = answer.headers.get("access-control-allow-origin");
        expectSame(`Access-Control-Allow-Origin in ${answer.what}`, allowed, null);
      }
    },
  },
  {
    id: "O7",
    name: "an allowed site's page sends the password as Basic, and cookies do not count",
    needs: ["allowOrigin", "password"],
    async check(chat) {
      const { password, allowOrigin } = chat.options;
      const body = { password: password! };
      const signedIn = await chat.ask("session", { method: "POST", body, as: "stranger" });
      const [cookie] = (signedIn.headers.getSetCookie()[0] ?? "").split(";");
      expectMatch("the cookie", cookie, /./);
      const headers = { ...CROSS_SITE, origin: allowOrigin! };
      const ask = (more: Fields) =>
        chat.room.ask("chat", { headers: { ...headers, ...more }, as: "stranger" });
      await (await ask({ cookie })).expectProblem(401);
      (await ask({ authorization: basic(password!) })).expectStatus(200);
    },
  },
];
