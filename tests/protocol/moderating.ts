/** What moderators do. */

import { newVisitor } from "./messages.ts";
import {
  type Chat,
  type Entry,
  type Fields,
  idOf,
  JSON_TYPE,
  parseEntry,
  type Room,
  unique,
} from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

const NEEDS = ["moderatorPassword"] as const;

/** The marks of those who are muted. */
function mutedIn({ muted }: Entry): unknown[] {
  expect(Array.isArray(muted), `"muted" is ${JSON.stringify(muted)}`);
  return muted.map(({ by }) => by);
}

/** A message of a new visitor, with that one's cookie. */
async function sayAsNewcomer(chat: Chat, room: Room) {
  const headers = { cookie: await newVisitor(chat) };
  const message = await room.say(unique("a newcomer's"), {}, { headers });
  return { headers, message, by: `${message.by}` };
}

/** What is kept in a room, without what has been removed. */
async function textsIn(room: Room): Promise<string[]> {
  return (await room.replay("?since=all")).filter((text) => !text.startsWith("removed "));
}

export const MODERATING: readonly Rule[] = [
  {
    id: "M1",
    name: "GET /moderation is the room's state",
    needs: NEEDS,
    async check(chat) {
      const answer = await chat.freshRoom().ask("moderation", { as: "moderator" });
      const { closed, muted } = await answer.expectStatus(200).json() as Entry;
      expectSame("the state", [typeof closed, Array.isArray(muted)], ["boolean", true]);
    },
  },
  {
    id: "M2",
    name: "anybody else gets a 403",
    needs: NEEDS,
    async check(chat) {
      for (const path of [chat.room.path("moderation"), "rooms"]) {
        await (await chat.ask(path)).expectProblem(403);
      }
      await (await chat.room.tryToModerate({ action: "close" }, "visitor")).expectProblem(403);
    },
  },
  {
    id: "M3",
    name: "an action is posted as a form or JSON",
    needs: NEEDS,
    async check({ room }) {
      for (const headers of [undefined, JSON_TYPE]) {
        const fields = { action: "remove", id: idOf(await room.say(unique("removed"))) };
        const body = headers ? JSON.stringify(fields) : fields;
        const ask = { method: "POST", body, headers, as: "moderator" } as const;
        const { removed } = await (await room.ask("moderation", ask)).expectStatus(200)
          .json() as Entry;
        expectSame('"removed"', removed, 1);
      }
    },
  },
  {
    id: "M4",
    name: "remove with id removes that message",
    needs: NEEDS,
    async check({ room }) {
      const texts = [unique("stays"), unique("goes"), unique("stays, too")];
      const ids = await room.sayAll(...texts);
      await room.moderate({ action: "remove", id: ids[1] });
      const kept = await textsIn(room);
      expectSame("the list of those that are kept", texts.map((text) => kept.includes(text)), [
        true,
        false,
        true,
      ]);
    },
  },
  {
    id: "M5",
    name: "remove with by removes all messages that are marked so",
    needs: [...NEEDS, "marks", "page"],
    async check(chat) {
      const room = chat.freshRoom();
      const { by, headers, message: { message } } = await sayAsNewcomer(chat, room);
      const texts = [`${message}`, unique("another's"), unique("the second")];
      await room.send(texts[1]);
      await room.say(texts[2], {}, { headers });
      expectSame('"removed"', (await room.moderate({ action: "remove", by })).removed, 2);
      const kept = await textsIn(room);
      expectSame("the list of those that are kept", texts.map((text) => kept.includes(text)), [
        false,
        true,
        false,
      ]);
    },
  },
  {
    id: "M6",
    name: "clear removes all messages of the room by one removal",
    needs: [...NEEDS, "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      await room.sayAll("one", "two");
      const events = await room.read();
      while ((await events.nextMessage()).message !== "two");
      expectSame('"removed"', (await room.moderate({ action: "clear" })).removed, 2);
      expectSame("what it removes", parseEntry(await events.nextOf("removed")).removes, "all");
      expectSame("what is kept", await textsIn(room), []);
    },
  },
  {
    id: "M7",
    name: "mute lets nobody with that mark write, and says for how long in Retry-After",
    needs: [...NEEDS, "marks", "page"],
    async check(chat) {
      const room = chat.freshRoom();
      const { by, headers } = await sayAsNewcomer(chat, room);
      const state = await room.moderate({ action: "mute", by, minutes: "2" });
      expectSame("who is muted", mutedIn(state), [by]);
      const answer = await room.post({ message: unique("muted") }, { headers });
      await answer.expectProblem(403);
      const seconds = Number(answer.headers.get("retry-after"));
      expect(seconds > 60 && seconds <= 120, `Retry-After is ${seconds}`);
      await room.moderate({ action: "unmute", by });
    },
  },
  {
    id: "M8",
    name: "a mute is for an hour unless minutes says otherwise, from 1 to 10,080",
    needs: [...NEEDS, "marks", "page"],
    async check(chat) {
      const room = chat.freshRoom();
      const { by } = await sayAsNewcomer(chat, room);
      for (const [minutes, expected] of [["", 60], ["1", 1], ["10080", 10_080]] as const) {
        const fields = { action: "mute", by, ...(minutes && { minutes }) };
        const { muted } = await room.moderate(fields);
        const [{ until }] = muted as { until: string }[];
        const left = (Date.parse(until) - Date.now()) / 60_000;
        // The clocks of the server and of the suite may differ.
        expect(Math.abs(left - expected) < 0.5, `a mute of "${minutes}" is for ${left} minutes`);
      }
      for (const minutes of ["0", "10081", "1.5", "an hour"]) {
        const answer = await room.tryToModerate({ action: "mute", by, minutes });
        await answer.expectProblem(422, "minutes");
      }
      await room.moderate({ action: "unmute", by });
    },
  },
  {
    id: "M9",
    name: "unmute ends a mute",
    needs: [...NEEDS, "marks", "page"],
    async check(chat) {
      const room = chat.freshRoom();
      const { by, headers } = await sayAsNewcomer(chat, room);
      await room.moderate({ action: "mute", by });
      expectSame("who is muted", mutedIn(await room.moderate({ action: "unmute", by })), []);
      await room.say(unique("may write again"), {}, { headers });
    },
  },
  {
    id: "M10",
    name: "close lets only moderators write, and open ends that",
    needs: [...NEEDS, "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      await room.send("before");
      expectSame('"closed"', (await room.moderate({ action: "close" })).closed, true);
      await (await room.post({ message: "closed" })).expectProblem(403);
      await room.say("a moderator's", {}, { as: "moderator" });
      expectSame('"closed"', (await room.moderate({ action: "open" })).closed, false);
      await room.say("after");
    },
  },
  {
    id: "M11",
    name: "the response is the state that the room is in then",
    needs: [...NEEDS, "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      await room.send("one");
      const state = await room.moderate({ action: "close" });
      const answer = await room.ask("moderation", { as: "moderator" });
      const expected = { closed: true, muted: [] };
      expectSame("the response", state, expected);
      expectSame("the state that is asked for", await answer.json(), expected);
      await room.moderate({ action: "open" });
    },
  },
  {
    id: "M12",
    name: "a browser that submits a form gets a 303 to the page",
    needs: [...NEEDS, "html"],
    async check({ room }) {
      const id = idOf(await room.say(unique("removed")));
      const answer = await room.ask("moderation", {
        method: "POST",
        body: { action: "remove", id },
        headers: { "sec-fetch-mode": "navigate" },
        as: "moderator",
      });
      answer.expectStatus(303);
    },
  },
  {
    id: "M13",
    name: "a mute also holds for newcomers at the address, and for nobody else there",
    needs: [...NEEDS, "marks", "page", "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const regular = await sayAsNewcomer(chat, room);
      // The cookie must be older than the mute, by what the server knows of its age: a second.
      await new Promise((resolve) => setTimeout(resolve, 1100));
      const { by } = await sayAsNewcomer(chat, room);
      await room.moderate({ action: "mute", by });
      const newcomers: Fields[] = [{}, { cookie: await newVisitor(chat) }];
      for (const headers of newcomers) {
        await (await room.post({ message: "a newcomer's" }, { headers })).expectProblem(403);
      }
      await room.say("a regular's", {}, { headers: regular.headers });
      await room.moderate({ action: "unmute", by });
    },
  },
  {
    id: "M14",
    name: "an id or by that nothing has is a 404",
    needs: NEEDS,
    async check({ room }) {
      const fields: Fields[] = [
        { action: "remove", id: "1-1" },
        { action: "remove", by: "AAAAAAAA" },
        { action: "unmute", by: "AAAAAAAA" },
      ];
      for (const each of fields) {
        const answer = await room.tryToModerate(each);
        await answer.expectProblem(404, "id" in each ? "id" : "by");
      }
      const id = idOf(await room.say(unique("removed")));
      await room.moderate({ action: "remove", id });
      await (await room.tryToModerate({ action: "remove", id })).expectProblem(404, "id");
    },
  },
  {
    id: "M15",
    name: "a field that is not as it must be is a 422",
    needs: NEEDS,
    async check({ room }) {
      const cases: [fields: Fields, field: string][] = [
        [{}, "action"],
        [{ action: "dance" }, "action"],
        [{ action: "remove" }, "id"],
        [{ action: "mute" }, "by"],
        [{ action: "mute", by: "short" }, "by"],
      ];
      for (const [fields, field] of cases) {
        await (await room.tryToModerate(fields)).expectProblem(422, field);
      }
    },
  },
  {
    id: "M16",
    name: "GET /rooms lists rooms with what they have, the main room first",
    needs: [...NEEDS, "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      await room.sayAll("one", "two");
      const events = await room.read();
      await events.nextOf("message");
      await chat.main.send(unique("in the main room"));
      const wanted = { name: room.name, readers: 1, messages: 2 };
      // Of several instances each hears a moment later how many readers the others have.
      const { patienceMs } = chat.options;
      const deadline = performance.now() + patienceMs;
      for (;;) {
        const answer = await chat.ask("rooms", { as: "moderator" });
        const rooms = await answer.expectStatus(200).json();
        expect(Array.isArray(rooms), "it is no array");
        expectSame("the first name", rooms[0]?.name, "");
        const found = rooms.find(({ name }) => name === room.name);
        if (found?.readers === 1) return expectSame("the room", found, wanted);
        if (performance.now() > deadline) return expectSame("the room", found, wanted);
      }
    },
  },
  {
    id: "M17",
    name: "a removed text is in no answer",
    needs: [...NEEDS, "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const text = unique("gone");
      const id = idOf(await room.say(text, { nickname: "somebody" }));
      await room.moderate({ action: "remove", id });
      const kinds: Fields[] = [
        ...chat.has("history") ? [{ accept: "application/json" }] : [],
        ...chat.has("html") ? [{ "sec-fetch-mode": "navigate" }] : [],
      ];
      for (const headers of kinds) {
        const answer = await room.ask("chat", { headers });
        const body = await answer.text();
        expect(!body.includes(text), `${answer.what} has it`);
        expect(!body.includes("somebody"), `${answer.what} has its nickname`);
      }
      expectMatch("the replay", (await room.replay("?since=all")).join(), /^(?!.*gone)/);
    },
  },
  {
    id: "M18",
    name: "delete removes everything of a room",
    needs: [...NEEDS, "rooms", "marks", "page"],
    async check(chat) {
      const room = chat.freshRoom();
      const { by } = await sayAsNewcomer(chat, room);
      await room.send("goes, too");
      await room.moderate({ action: "mute", by });
      await room.moderate({ action: "close" });
      const state = await room.moderate({ action: "delete" });
      expectSame("the response", state, { closed: false, muted: [], removed: 2 });
      expectSame("what is kept", await textsIn(room), []);
    },
  },
  {
    id: "M19",
    name: "readers of a room that is deleted stay, and hear a removal of all",
    needs: [...NEEDS, "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const events = await room.listen();
      await room.moderate({ action: "delete" });
      expectSame("what is removed", parseEntry(await events.nextOf("removed")).removes, "all");
      await room.send("anew");
      expectSame("the next message", (await events.nextMessage()).message, "anew");
    },
  },
  {
    id: "M20",
    name: "a key of a room that was deleted may be used again",
    needs: [...NEEDS, "rooms", "keys"],
    async check(chat) {
      const room = chat.freshRoom();
      const fields = { nickname: "ann", message: "once", key: unique("key") };
      for (let n = 0; n < 2; n++) {
        (await room.post(fields)).expectStatus(201);
        await room.moderate({ action: "delete" });
      }
    },
  },
  {
    id: "M21",
    name: "no id is given twice, whether its room was deleted or not",
    needs: [...NEEDS, "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const before = await room.say("before");
      await room.moderate({ action: "delete" });
      const after = await room.say("after");
      const [first, second] = [before, after].map((entry) => Number(idOf(entry).split("-")[0]));
      expect(second >= first && after.id !== before.id, `after ${before.id} comes ${after.id}`);
    },
  },
  {
    id: "M22",
    name: "the main room can't be deleted",
    needs: NEEDS,
    async check({ main }) {
      await (await main.tryToModerate({ action: "delete" })).expectProblem(422, "action");
    },
  },
];
