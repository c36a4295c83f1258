/** What rooms are. */

import { newVisitor } from "./messages.ts";
import { idOf, type Room, unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

/** A room's name that nobody else uses. */
function uniqueName(beginning = "p"): string {
  return beginning + Math.random().toString(36).slice(2, 10);
}

/** What is kept in a room. */
async function textsIn(room: Room): Promise<string[]> {
  return (await room.replay("?since=all")).filter((text) => !text.startsWith("gap "));
}

export const ROOMS: readonly Rule[] = [
  {
    id: "R1",
    name: "/NAME is the page of a room and /NAME/chat its messages",
    needs: ["rooms"],
    async check(chat) {
      const name = uniqueName();
      if (chat.has("page")) {
        const page = (await chat.ask(name)).expectStatus(200);
        expectMatch("the page's content type", page.headers.get("content-type"), /^text\/html\b/);
      }
      const body = { message: unique("in a room") };
      (await chat.ask(`${name}/chat`, { method: "POST", body })).expectStatus(201);
      const events = (await chat.ask(`${name}/chat`)).expectStatus(200).events();
      expectSame("its message", (await events.nextMessage()).message, body.message);
    },
  },
  {
    id: "R2",
    name: "/ and /chat are the main room",
    async check({ main }) {
      const events = await main.listen();
      const text = unique("in the main room");
      await main.send(text);
      await events.upTo(text);
    },
  },
  {
    id: "R3",
    name: "what is written in one room is in no other",
    needs: ["rooms"],
    async check(chat) {
      const rooms = [chat.freshRoom(), chat.freshRoom(), chat.main];
      const readers = await Promise.all(rooms.map((room) => room.listen()));
      const text = unique("in the first");
      await rooms[0].send(text);
      for (const [n, reader] of readers.entries()) {
        const last = unique("the last");
        await rooms[n].send(last);
        const seen = await reader.upTo(last);
        const has = seen.some(({ data }) => data?.includes(text));
        expectSame(`whether room ${n + 1} has it`, has, n === 0);
      }
    },
  },
  {
    id: "R4",
    name: "ids and keys are a room's own",
    needs: ["rooms", "keys"],
    async check(chat) {
      const key = unique("key");
      for (const room of [chat.freshRoom(), chat.freshRoom()]) {
        const message = await room.say(unique("the first"), { key });
        expectMatch("the first id of a room", message.id, /^\d+-1$/);
      }
    },
  },
  {
    id: "R5",
    name: "the cursor of another room is an unknown one",
    needs: ["rooms"],
    async check(chat) {
      const [one, other] = [chat.freshRoom(), chat.freshRoom()];
      const id = idOf(await one.say(unique("one")));
      const text = unique("other");
      await other.send(text);
      const got = await other.replay(`?since=${id}`);
      expectSame("what comes", got, ["gap null", text]);
    },
  },
  {
    id: "R6",
    name: "a name has letters, digits, - and _ of any script, and begins with a letter or digit",
    needs: ["rooms"],
    async check(chat) {
      for (
        const beginning of [
          "7",
          "\u00e9cole",
          "\u65e5\u672c",
          "\u0915\u093f\u0924\u093e\u092c",
          "a-b_",
        ]
      ) {
        const name = encodeURIComponent(uniqueName(beginning));
        (await chat.ask(`${name}/chat`)).expectStatus(200);
      }
      for (const name of ["-a", "_a", "a.b", "a%20b", "a!", "%F0%9F%91%8B", "a%2Fb"]) {
        await (await chat.ask(`${name}/chat`)).expectProblem(404);
      }
    },
  },
  {
    id: "R7",
    name: "a name has 40 characters at most",
    needs: ["rooms"],
    async check(chat) {
      const name = uniqueName().padEnd(40, "x");
      (await chat.ask(`${name}/chat`)).expectStatus(200);
      await (await chat.ask(`${name}x/chat`)).expectProblem(404);
      const emDigits = encodeURIComponent("\u{1d7d8}".repeat(40));
      (await chat.ask(`${emDigits}/chat`)).expectStatus(200);
    },
  },
  {
    id: "R8",
    name: "another spelling of a name gets a 308 to the right address, where nothing is stored",
    needs: ["rooms"],
    async check(chat) {
      const name = uniqueName("\u00e9");
      for (const spelling of [name.toUpperCase(), name.normalize("NFD")]) {
        const path = `${encodeURIComponent(spelling)}/chat`;
        for (const method of ["GET", "POST"]) {
          const body = method === "POST" ? { message: "lost" } : undefined;
          const answer = await chat.ask(path, { method, body });
          answer.expectStatus(308);
          const location = answer.headers.get("location");
          expect(location !== null, "there is no Location");
          const { pathname } = new URL(location, `http://chat/${path}`);
          expectSame("where it leads", decodeURIComponent(pathname), `/${name}/chat`);
        }
      }
      const events = (await chat.ask(`${encodeURIComponent(name)}/chat`)).events();
      const body = { message: unique("the only one") };
      await chat.ask(`${encodeURIComponent(name)}/chat`, { method: "POST", body });
      expectSame("the first message", (await events.nextMessage()).message, body.message);
    },
  },
  {
    id: "R9",
    name: "/NAME/ gets a 308 to /NAME",
    needs: ["rooms", "page"],
    async check(chat) {
      const name = uniqueName();
      const answer = await chat.ask(`${name}/`);
      answer.expectStatus(308);
      const { pathname } = new URL(answer.headers.get("location") ?? "", `http://chat/${name}/`);
      expectSame("where it leads", pathname, `/${name}`);
    },
  },
  {
    id: "R10",
    name: "names that the server needs for itself are not names of rooms",
    needs: ["rooms"],
    async check(chat) {
      const names = ["chat", "session", "moderation", "rooms", "livez", "healthz", "metrics"];
      for (const name of names) await (await chat.ask(`${name}/chat`)).expectProblem(404);
    },
  },
  {
    id: "R11",
    name: "the invitation is the room's address as a QR code, with the address as its title",
    needs: ["rooms", "page"],
    async check(chat) {
      const { url } = chat.options;
      const name = uniqueName();
      // An address that is nobody's (RFC 5737), so that the server is not at it either.
      const headers = { host: "192.0.2.1:8080" };
      for (const [path, room] of [["", ""], [`${name}/`, name]]) {
        const answer = await chat.ask(`${path}invite.svg`, { headers });
        answer.expectStatus(200);
        expectMatch("its type", answer.headers.get("content-type"), /^image\/svg\+xml\b/);
        const [, title] = /<title>(.*?)<\/title>/.exec(await answer.text()) ?? [];
        expectMatch("its title", title, /^https?:\/\/192\.0\.2\.1:8080\//);
        expectSame("the path in its title", new URL(title!).pathname, url.pathname + room);
      }
    },
  },
  {
    id: "R12",
    name: "the invitation is the address of the page that asks for it",
    needs: ["rooms", "page"],
    async check(chat) {
      const name = uniqueName();
      const referer = `https://192.0.2.1:8080/under/${name}?x#y`;
      const answer = await chat.ask(`${name}/invite.svg`, {
        headers: { host: "192.0.2.1:8080", referer },
      });
      const [, title] = /<title>(.*?)<\/title>/.exec(await answer.expectStatus(200).text()) ?? [];
      expectSame("its title", title, `https://192.0.2.1:8080/under/${name}`);
    },
  },
  {
    id: "R13",
    name: "a visitor has one mark in a room and another in each other room",
    needs: ["rooms", "marks", "page"],
    async check(chat) {
      const headers = { cookie: await newVisitor(chat) };
      const marks = [];
      for (const room of [chat.freshRoom(), chat.freshRoom()]) {
        marks.push((await room.say(unique("a mark"), {}, { headers })).by);
      }
      expect(marks[0] !== marks[1], `it is ${marks[0]} in both`);
    },
  },
  {
    id: "R14",
    name: "clients without the cookie are known by their address",
    needs: ["marks"],
    async check({ room }) {
      const marks = [(await room.say(unique("one"))).by, (await room.say(unique("two"))).by];
      expectMatch("the mark", marks[0], /./);
      expectSame("the second mark", marks[1], marks[0]);
    },
  },
  {
    id: "R15",
    name: "a room is there when somebody asks for it",
    needs: ["rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const events = await room.read("?since=all");
      const text = unique("the first");
      await room.send(text);
      expectSame("the first message", (await events.nextMessage()).message, text);
      expectSame("what is kept", await textsIn(chat.freshRoom()), []);
    },
  },
];
