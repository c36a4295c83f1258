/** What the stream is. */

import { nameOf, parseEntry, type Room, unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

/** What comes at once takes no longer than this, on a network that is not the fastest. */
const AT_ONCE_MS = 1000;

/** The `retry` that a new reader gets first. */
async function retryOf(room: Room): Promise<number> {
  const events = await room.read("?since=none");
  const { retry } = await events.next("the first event");
  expect(retry !== undefined, "the stream does not begin with a retry");
  return retry;
}

export const READING: readonly Rule[] = [
  {
    id: "S1",
    name: "GET /chat is an event stream",
    async check({ room }) {
      const answer = await room.ask("chat");
      answer.expectStatus(200);
      expectMatch(
        "the content type",
        answer.headers.get("content-type"),
        /^text\/event-stream; ?charset=utf-8$/i,
      );
    },
  },
  {
    id: "S2",
    name: "a stream begins with a retry, at once",
    async check({ room }) {
      const began = performance.now();
      await retryOf(room);
      const took = Math.round(performance.now() - began);
      expect(took < AT_ONCE_MS, `it comes ${took} ms after the request`);
    },
  },
  {
    id: "S3",
    name: "the retry is from 2000 to 4000",
    async check({ room }) {
      const retry = await retryOf(room);
      expect(retry >= 2000 && retry <= 4000, `the retry is ${retry}`);
    },
  },
  {
    id: "S4",
    name: "readers get different retries",
    async check({ room }) {
      const delays = await Promise.all(Array.from({ length: 6 }, () => retryOf(room)));
      expect(new Set(delays).size > 1, `six readers got ${delays.join(", ")}`);
    },
  },
  {
    id: "S5",
    name: "new messages come as they are sent, in one order for all",
    async check({ room }) {
      const readers = [await room.read(), await room.read()];
      const texts = Array.from({ length: 5 }, (_, n) => unique(`live ${n}`));
      for (const text of texts) await room.send(text);
      for (const reader of readers) {
        const got = [];
        while (got.length < texts.length) {
          const { message } = await reader.nextMessage();
          if (got.length > 0 || message === texts[0]) got.push(message);
        }
        expectSame("what a reader gets", got, texts);
      }
    },
  },
  {
    id: "S6",
    name: "the id of an event is that of its message",
    async check({ room }) {
      const events = await room.read();
      const text = unique("an event's id");
      await room.send(text);
      for (;;) {
        const event = await events.nextOf("message");
        const message = parseEntry(event);
        expectSame("the id of the event", event.id, message.id);
        expectMatch("the id of the event", event.id, /./);
        if (message.message === text) return;
      }
    },
  },
  {
    id: "S7",
    name: "a removal is an event of its own",
    needs: ["moderatorPassword"],
    async check({ room }) {
      const events = await room.listen();
      const { id } = await room.say(unique("removed"));
      await room.moderate({ action: "remove", id: `${id}` });
      expectSame("what it removes", parseEntry(await events.nextOf("removed")).removes, id);
    },
  },
  {
    id: "S8",
    name: "an id alone is a cursor after which nothing is left to replay",
    async check({ room }) {
      const events = await room.read("?since=none");
      let id: string | undefined;
      while (id === undefined) {
        const event = await events.next("an id alone");
        if (nameOf(event) === "") id = event.id;
      }
      const text = unique("after the cursor");
      await room.send(text);
      const got = await room.replay(`?since=${id}`);
      expect(got.includes(text), `after ${id} comes ${got.join(", then ")}`);
    },
  },
  {
    id: "S9",
    name: "the number of readers comes at the end of a replay",
    needs: ["presence"],
    async check({ room }) {
      await room.send(unique("replayed"));
      const events = await room.read("?since=all");
      let messages = 0;
      for (;;) {
        const event = await events.next('an event "online"');
        if (nameOf(event) === "message") messages++;
        if (nameOf(event) !== "online") continue;
        expectMatch("the number of readers", event.data, /^[1-9]\d*$/);
        expect(messages > 0, "it comes before what is replayed");
        return;
      }
    },
  },
  {
    id: "S10",
    name: "the number of readers comes when it changes",
    needs: ["presence", "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const events = await room.read();
      expectSame("the number of readers", (await events.nextOf("online")).data, "1");
      const other = await room.ask("chat");
      await other.events().nextOf("online");
      expectSame("the number after another has come", (await events.nextOf("online")).data, "2");
      other.hangUp();
      expectSame("the number after it has gone", (await events.nextOf("online")).data, "1");
    },
  },
  {
    id: "S11",
    name: "the number of readers comes once a second at most",
    needs: ["presence", "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const events = await room.read();
      await events.nextOf("online");
      const moments: number[] = [];
      for (const count of ["2", "3", "4"]) {
        await room.read();
        let number;
        while (number !== count) {
          number = (await events.nextOf("online")).data;
          moments.push(performance.now());
        }
      }
      const pauses = moments.slice(1).map((moment, n) => Math.round(moment - moments[n]));
      expect(pauses.every((ms) => ms > 700), `there were ${pauses.join(" and ")} ms between two`);
    },
  },
];
