/** Where a reader begins. */

import { type Events, type Fields, idOf, nameOf, parseEntry, type Room, unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

/** Three messages, with their ids. */
async function sayThree(room: Room): Promise<{ texts: string[]; ids: string[] }> {
  const texts = ["one", "two", "three"].map((word) => unique(word));
  return { texts, ids: await room.sayAll(...texts) };
}

/** The first event that has data or says that something is missing. */
async function firstOf(events: Events): Promise<{ name: string; data: string; id?: string }> {
  for (;;) {
    const event = await events.next("a message or a gap");
    const name = nameOf(event);
    if (name === "" || name === "online" || name === "ping") continue;
    return { name, data: event.data!, id: event.id };
  }
}

/** Checks that a gap comes first, and how many it says are missing. */
async function expectGap(events: Events, missed: number | null): Promise<void> {
  const { name, data } = await firstOf(events);
  expectSame("the first event", name, "gap");
  expectSame('"missed" in it', parseEntry({ data }).missed, missed);
}

/** More than a room keeps; the ids and texts of what was posted. */
export async function overfill(
  room: Room,
  keep: number,
): Promise<{ texts: string[]; ids: string[] }> {
  const texts = Array.from({ length: keep + 5 }, (_, n) => unique(`kept ${n}`));
  return { texts, ids: await room.sayAll(...texts) };
}

export const BEGINNING: readonly Rule[] = [
  {
    id: "B1",
    name: "a reader that comes back with Last-Event-ID gets every message after it once",
    async check({ room }) {
      const first = await room.say(unique("before"));
      const texts = Array.from({ length: 12 }, (_, n) => unique(`resumed ${n}`));
      const got: unknown[] = [];
      let cursor = idOf(first);
      const writing = (async () => {
        for (const text of texts) await room.send(text);
      })();
      while (got.length < texts.length) {
        const answer = await room.ask("chat", { headers: { "last-event-id": cursor } });
        const events = answer.expectStatus(200).events();
        // A connection that breaks off after one message, again and again.
        const { name, data, id } = await firstOf(events);
        expectSame("the event after the cursor", name, "message");
        got.push(parseEntry({ data }).message);
        cursor = id ?? "";
        answer.hangUp();
      }
      await writing;
      expectSame("what the reader got", got, texts);
    },
  },
  {
    id: "B2",
    name: "the header takes precedence over a parameter",
    async check({ room }) {
      const { texts, ids } = await sayThree(room);
      const headers = { "last-event-id": ids[1] };
      for (const query of [`?lastEventId=${ids[0]}`, `?since=${ids[0]}`, "?since=all"]) {
        expectSame(`the first with ${query}`, (await room.replay(query, headers))[0], texts[2]);
      }
    },
  },
  {
    id: "B3",
    name: "lastEventId, last_event_id and Last-Event-ID are the cursor too, in this order",
    async check({ room }) {
      const { texts, ids } = await sayThree(room);
      const cases = [
        [`?lastEventId=${ids[1]}`, texts[2]],
        [`?last_event_id=${ids[1]}`, texts[2]],
        [`?Last-Event-ID=${ids[1]}`, texts[2]],
        [`?Last-Event-ID=${ids[0]}&last_event_id=${ids[1]}`, texts[2]],
        [`?last_event_id=${ids[0]}&lastEventId=${ids[1]}`, texts[2]],
        [`?since=${ids[0]}&Last-Event-ID=${ids[1]}`, texts[2]],
      ];
      for (const [query, text] of cases) {
        expectSame(`the first with ${query}`, (await room.replay(query))[0], text);
      }
    },
  },
  {
    id: "B4",
    name: "an empty cursor counts for none",
    async check({ room }) {
      const { texts, ids } = await sayThree(room);
      const query = `?lastEventId=&last_event_id=&since=${ids[1]}`;
      const [first] = await room.replay(query, { "last-event-id": "" });
      expectSame("the first message", first, texts[2]);
    },
  },
  {
    id: "B5",
    name: "since is a cursor too",
    async check({ room }) {
      const { texts, ids } = await sayThree(room);
      const got = await room.replay(`?since=${ids[0]}`);
      expectSame("what comes after the first", got, texts.slice(1));
    },
  },
  {
    id: "B6",
    name: "without a cursor a reader gets the last 50",
    async check(chat) {
      const room = chat.freshRoom();
      const texts = Array.from({ length: chat.latestCount + 3 }, (_, n) => unique(`${n}`));
      await room.sendAll(texts);
      const events = await room.read();
      const got: unknown[] = [];
      while (got.length < chat.latestCount) got.push((await events.nextMessage()).message);
      expectSame("the list of messages", got, texts.slice(3));
      const last = unique("new");
      await room.send(last);
      expectSame("the message after them", (await events.nextMessage()).message, last);
    },
  },
  {
    id: "B7",
    name: "since=all is everything that is kept",
    async check(chat) {
      const room = chat.freshRoom();
      const texts = [unique("one"), unique("two"), unique("three")];
      await room.sendAll(texts);
      const got = await room.replay("?since=all");
      expectSame("the end of it", got.slice(-3), texts);
      if (chat.has("rooms")) expectSame("everything", got, texts);
    },
  },
  {
    id: "B8",
    name: "since=none is nothing but what is new",
    async check({ room }) {
      const { texts } = await sayThree(room);
      // Of several instances each hears a moment later what others have stored.
      await room.listen();
      const got = await room.replay("?since=none");
      expect(!texts.some((text) => got.includes(text)), `${got.join(", then ")} comes before that`);
    },
  },
  {
    id: "B9",
    name: "with an unknown cursor a gap comes first, then everything that is kept",
    async check(chat) {
      const room = chat.freshRoom();
      const { texts } = await sayThree(room);
      for (const cursor of ["1-1", "0-0", "9999999999999-999999"]) {
        const got = (await room.replay(`?since=${cursor}`)).filter((each) => !/^live /.test(each));
        expectSame("the first event", got[0], "gap null");
        expectSame("the end of what follows", got.slice(-3), texts);
      }
    },
  },
  {
    id: "B10",
    name: "a gap says how many are missing that are no longer kept, then comes what is kept",
    needs: ["keep", "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const keep = chat.options.keep!;
      const { texts, ids } = await overfill(room, keep);
      const events = await room.read(`?since=${ids[0]}`);
      await expectGap(events, 4);
      expectSame("the first message", (await events.nextMessage()).message, texts[5]);
    },
  },
  {
    id: "B11",
    name: "a gap counts a removed message that is no longer kept",
    needs: ["keep", "rooms", "moderatorPassword"],
    async check(chat) {
      const room = chat.freshRoom();
      const ids = await room.sayAll("cursor", "removed");
      await room.moderate({ action: "remove", id: ids[1] });
      await overfill(room, chat.options.keep!);
      // Two entries, the removal among them, and the five that are too many.
      await expectGap(await room.read(`?since=${ids[0]}`), 7);
    },
  },
  {
    id: "B12",
    name: "a removed message is passed over, and is not missing",
    needs: ["moderatorPassword"],
    async check({ room }) {
      const { texts, ids } = await sayThree(room);
      await room.moderate({ action: "remove", id: ids[1] });
      const got = (await room.replay(`?since=${ids[0]}`)).filter((text) => !/^removed /.test(text));
      expectSame("what comes after the first", got, [texts[2]]);
    },
  },
  {
    id: "B13",
    name: "whoever comes back to a room that was cleared gets that removal first",
    needs: ["moderatorPassword", "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const { ids } = await sayThree(room);
      await room.moderate({ action: "clear" });
      const events = await room.read(`?since=${ids[0]}`);
      const { name, data } = await firstOf(events);
      expectSame("the first event", name, "removed");
      expectSame("what it removes", parseEntry({ data }).removes, "all");
    },
  },
  {
    id: "B14",
    name: "any other since is a 400",
    async check({ room }) {
      for (const since of ["", "latest", "1", "1-", "-1-1", "1e3-0"]) {
        await (await room.ask(`chat?since=${since}`)).expectProblem(400);
      }
    },
  },
  {
    id: "B15",
    name: "a malformed cursor in the header, or a parameter that stands for it, is a gap",
    async check({ room }) {
      await sayThree(room);
      const cases: [query: string, headers: Fields][] = [
        ["", { "last-event-id": "nonsense" }],
        ["?lastEventId=42", {}],
        ["?last_event_id=%00", {}],
      ];
      for (const [query, headers] of cases) {
        await expectGap(await room.read(query, headers), null);
      }
    },
  },
  {
    id: "B16",
    name: "the id of a removal, and that of a removed message, is a cursor",
    needs: ["moderatorPassword"],
    async check({ room }) {
      const { texts, ids } = await sayThree(room);
      const events = await room.listen();
      await room.moderate({ action: "remove", id: ids[1] });
      const { id } = await events.nextOf("removed");
      const text = unique("after the removal");
      await room.send(text);
      expectSame("what comes after the removal", await room.replay(`?since=${id}`), [text]);
      const [next] = await room.replay(`?since=${ids[1]}`);
      expectSame("what comes after the removed message", next, texts[2]);
    },
  },
  {
    id: "B17",
    name: "a reader that goes on gets each message once, from the replay to what is new",
    async check({ room }) {
      const texts = Array.from({ length: 20 }, (_, n) => unique(`on and on ${n}`));
      const cursor = idOf(await room.say(unique("before")));
      const writing = (async () => {
        for (const text of texts) await room.send(text);
      })();
      const readers = await Promise.all(texts.slice(0, 5).map(() => room.read(`?since=${cursor}`)));
      for (const reader of readers) {
        const got: unknown[] = [];
        while (got.length < texts.length) {
          const { name, data } = await firstOf(reader);
          expectMatch("the event", name, /^message$/);
          got.push(parseEntry({ data }).message);
        }
        expectSame("what a reader got", got, texts);
      }
      await writing;
    },
  },
];
