/** What a message is. */

import { type Chat, idOf, numberOf, parseEntry, unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

/** The cookie that comes with the page. */
export async function newVisitor(chat: Chat): Promise<string> {
  const answer = await chat.ask("");
  const cookies = answer.headers.getSetCookie().filter((each) => /^chat-visitor=./.test(each));
  expect(cookies.length === 1, `${answer.what} sets ${cookies.length} cookies "chat-visitor"`);
  return cookies[0].split(";", 1)[0];
}

export const MESSAGES: readonly Rule[] = [
  {
    id: "F1",
    name: "a message is one line of JSON, also where lines end at U+2028 and U+2029",
    async check({ room }) {
      const events = await room.listen();
      await room.send(`${unique("lines")} \u2028 and \u2029, too`);
      const event = await events.nextOf("message");
      expect(!/[\n\r\u2028\u2029]/.test(event.data!), `it is ${JSON.stringify(event.data)}`);
      expectMatch("the message", parseEntry(event).message, / \u2028 and \u2029, too$/);
    },
  },
  {
    id: "F2",
    name: "a message has id, nickname, message, timestamp and time",
    async check({ room }) {
      const text = unique("members");
      const message = await room.say(text, { nickname: "ann" });
      expectSame('"message"', message.message, text);
      expectSame('"nickname"', message.nickname, "ann");
      for (const name of ["id", "timestamp", "time"]) {
        expectMatch(`"${name}" of the message`, message[name], /./);
      }
    },
  },
  {
    id: "F3",
    name: "an id is a time in milliseconds and a number",
    async check({ room }) {
      const message = await room.say(unique("an id"));
      expectMatch("the id", message.id, /^\d{13,15}-\d{1,15}$/);
    },
  },
  {
    id: "F4",
    name: "ids strictly increase",
    async check({ room }) {
      const ids = await room.sayAll(...Array.from({ length: 5 }, (_, n) => unique(`no. ${n}`)));
      for (const [n, id] of ids.slice(1).entries()) {
        const [ms, number] = id.split("-").map(Number);
        const [msBefore, numberBefore] = ids[n].split("-").map(Number);
        expect(
          ms >= msBefore && number > numberBefore,
          `the id after ${ids[n]} is ${id}`,
        );
      }
    },
  },
  {
    id: "F5",
    name: "the number in an id counts what is in the log",
    needs: ["rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const ids = await room.sayAll("one", "two", "three");
      expectSame("the list of numbers", ids.map((id) => Number(id.split("-")[1])), [1, 2, 3]);
    },
  },
  {
    id: "F6",
    name: "time is RFC 3339 in UTC",
    async check({ room }) {
      const { time } = await room.say(unique("a time"));
      expectMatch(
        '"time"',
        time,
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]00:00)$/i,
      );
    },
  },
  {
    id: "F7",
    name: "timestamp is the same moment as time, as HH:MM:SS",
    async check({ room }) {
      const { time, timestamp } = await room.say(unique("a timestamp"));
      expectMatch('"timestamp"', timestamp, /^\d\d:\d\d:\d\d$/);
      const [, , seconds] = String(timestamp).split(":");
      expectSame('the second in "timestamp"', seconds, String(time).slice(17, 19));
      // Time zones differ by quarters of an hour.
      const minutes = Number(String(timestamp).split(":")[1]) - Number(String(time).slice(14, 16));
      expect(minutes % 15 === 0, `"timestamp" is ${timestamp} and "time" ${time}`);
    },
  },
  {
    id: "F8",
    name: "by is the same for all that one visitor writes in a room",
    needs: ["marks", "page"],
    async check(chat) {
      const { room } = chat;
      const headers = { cookie: await newVisitor(chat) };
      const first = await room.say(unique("a mark"), { nickname: "ann" }, { headers });
      expectMatch('"by"', first.by, /^[\w-]{8}$/);
      const second = await room.say(unique("the mark again"), { nickname: "ben" }, { headers });
      expectSame('"by" of the second message', second.by, first.by);
    },
  },
  {
    id: "F9",
    name: "by tells visitors apart",
    needs: ["marks", "page"],
    async check(chat) {
      const marks: unknown[] = [];
      for (let n = 0; n < 2; n++) {
        const headers = { cookie: await newVisitor(chat) };
        marks.push((await chat.room.say(unique("a mark"), {}, { headers })).by);
      }
      expect(marks[0] !== marks[1], `both are marked ${marks[0]}`);
    },
  },
  {
    id: "F10",
    name: "nobody can choose what the server adds to a message",
    async check({ room }) {
      const chosen = {
        id: "1-1",
        time: "never",
        timestamp: "never",
        by: "chosen_1",
        moderator: "1",
      };
      const message = await room.say(unique("chosen"), chosen);
      for (const [name, value] of Object.entries(chosen)) {
        expect(message[name] !== value, `"${name}" is ${JSON.stringify(value)}`);
      }
    },
  },
  {
    id: "F11",
    name: "messages of moderators, and no others, have moderator: true",
    needs: ["moderatorPassword"],
    async check({ room }) {
      const of = await room.say(unique("a moderator's"), {}, { as: "moderator" });
      expectSame('"moderator"', of.moderator, true);
      const other = await room.say(unique("not a moderator's"));
      expect(!("moderator" in other), '"moderator" is in the message of somebody else');
    },
  },
  {
    id: "F12",
    name: "a removal is an entry with an id of its own and what it removes",
    needs: ["moderatorPassword"],
    async check({ room }) {
      const { id } = await room.say(unique("removed"));
      const events = await room.listen();
      await room.moderate({ action: "remove", id: `${id}` });
      const event = await events.nextOf("removed");
      const removal = parseEntry(event);
      expectSame('"removes"', removal.removes, id);
      expectSame("the id of the event", event.id, idOf(removal));
    },
  },
  {
    id: "F13",
    name: "a message after a removal has a number greater by two",
    needs: ["moderatorPassword", "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const first = await room.say("removed");
      await room.moderate({ action: "remove", id: idOf(first) });
      expectSame("the number", numberOf(await room.say("next")), numberOf(first) + 2);
    },
  },
];
