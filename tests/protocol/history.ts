/** The history as JSON. */

import { overfill } from "./beginning.ts";
import { describedIn, idOf, type Room, unique } from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

const JSON_ONLY = { accept: "application/json" };

/** Numbered messages in a room, with their ids. */
async function fill(room: Room, count: number): Promise<{ texts: string[]; ids: string[] }> {
  const texts = Array.from({ length: count }, (_, n) => unique(`${n}`));
  return { texts, ids: await room.sayAll(...texts) };
}

export const HISTORY: readonly Rule[] = [
  {
    id: "H1",
    name: "with Accept: application/json the response is a finite array of messages",
    needs: ["history"],
    async check({ room }) {
      const { texts } = await fill(room, 2);
      const { texts: got, headers } = await room.history();
      expectMatch("the content type", headers.get("content-type"), /^application\/json\b/);
      expectSame("the end of the history", got.slice(-2), texts);
    },
  },
  {
    id: "H2",
    name: "a message in the history is the same as in the stream and in the answer to its post",
    needs: ["history"],
    async check({ room }) {
      const text = unique("three times");
      const posted = describedIn(await room.say(text));
      const { entries } = await room.history();
      expectSame("the message in the history", describedIn(entries.at(-1)), posted);
      const events = await room.read();
      for (;;) {
        const message = await events.nextMessage();
        if (message.message !== text) continue;
        expectSame("the message in the stream", describedIn(message), posted);
        return;
      }
    },
  },
  {
    id: "H3",
    name: "since works in the history as in the stream",
    needs: ["history"],
    async check({ room }) {
      const { texts, ids } = await fill(room, 3);
      expectSame("since an id", (await room.history(`?since=${ids[0]}`)).texts, texts.slice(1));
      const after = await room.history("", { "last-event-id": ids[1] });
      expectSame("what is after the header", after.texts, texts.slice(2));
      expectSame("since=none", (await room.history("?since=none")).texts, []);
      expectSame("since=all", (await room.history("?since=all")).texts.slice(-3), texts);
    },
  },
  {
    id: "H4",
    name: "without since it is the last 50",
    needs: ["history"],
    async check(chat) {
      const room = chat.freshRoom();
      const { texts } = await fill(room, chat.latestCount + 2);
      expectSame("the history", (await room.history()).texts, texts.slice(2));
    },
  },
  {
    id: "H5",
    name: "before=ID is the 50 messages before that one, oldest first",
    needs: ["history"],
    async check(chat) {
      const room = chat.freshRoom();
      const { keep = Infinity } = chat.options;
      const { texts, ids } = await fill(room, 54);
      const { texts: got } = await room.history(`?before=${ids[53]}`);
      const count = Math.min(50, keep - 1);
      expectSame("what is before the last", got, texts.slice(53 - count, 53));
    },
  },
  {
    id: "H6",
    name: "Link leads to older messages as long as some are kept",
    needs: ["history", "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const { keep = Infinity } = chat.options;
      const { texts } = await fill(room, Math.min(52, keep));
      const { texts: newest, headers } = await room.history();
      if (keep <= 50) return expectSame("the header Link", headers.get("link"), null);
      const link = headers.get("link");
      expectMatch("the header Link", link, /^<\?before=\d+-\d+>; rel="prev"$/);
      const { texts: older, headers: last } = await room.history(/<(.*)>/.exec(link!)![1]);
      expectSame("what both pages have", [...older, ...newest], texts);
      expectSame("the header Link of the oldest page", last.get("link"), null);
    },
  },
  {
    id: "H7",
    name: "Chat-Gap is the number of those missing",
    needs: ["history", "keep", "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const { texts, ids } = await overfill(room, chat.options.keep!);
      const { texts: got, headers } = await room.history(`?since=${ids[0]}`);
      expectSame("the header Chat-Gap", headers.get("chat-gap"), "4");
      expectSame("what is kept", got, texts.slice(5));
      const { headers: whole } = await room.history("?since=all");
      expectSame("the header Chat-Gap where none is missing", whole.get("chat-gap"), null);
    },
  },
  {
    id: "H8",
    name: "Chat-Gap is unknown where the number is",
    needs: ["history"],
    async check({ room }) {
      await fill(room, 1);
      const { headers } = await room.history("?since=1-1");
      expectSame("the header Chat-Gap", headers.get("chat-gap"), "unknown");
    },
  },
  {
    id: "H9",
    name: "with before, Chat-Gap is unknown where the one named is not from this log",
    needs: ["history"],
    async check({ room }) {
      await fill(room, 1);
      const { texts, headers } = await room.history("?before=1-1");
      expectSame("what is before it", texts, []);
      expectSame("the header Chat-Gap", headers.get("chat-gap"), "unknown");
    },
  },
  {
    id: "H15",
    name: "with before, Chat-Gap leaves out what is missing before these messages",
    needs: ["history", "keep", "rooms"],
    async check(chat) {
      const room = chat.freshRoom();
      const { ids } = await overfill(room, chat.options.keep!);
      const { texts, headers } = await room.history(`?before=${ids.at(-1)}`);
      expect(texts.length > 0, "nothing is before the last");
      expectSame("the header Chat-Gap", headers.get("chat-gap"), null);
    },
  },
  {
    id: "H10",
    name: "the history has neither removals nor what they have removed",
    needs: ["history", "moderatorPassword"],
    async check({ room }) {
      const { texts, ids } = await fill(room, 3);
      await room.moderate({ action: "remove", id: ids[1] });
      const { entries, headers } = await room.history(`?since=${ids[0]}`);
      expectSame("the history", entries.map(({ message }) => message), [texts[2]]);
      expectSame("the header Chat-Gap", headers.get("chat-gap"), null);
    },
  },
  {
    id: "H11",
    name: "with ?removed the removals are in the history, each in its place",
    needs: ["history", "moderatorPassword"],
    async check({ room }) {
      const { ids } = await fill(room, 2);
      await room.moderate({ action: "remove", id: ids[0] });
      const next = await room.say(unique("next"));
      const { entries } = await room.history(`?since=${ids[0]}&removed`);
      expectSame(
        "the list of messages and removals",
        entries.map(({ id, removes }) => removes ?? id),
        [
          ids[1],
          ids[0],
          next.id,
        ],
      );
    },
  },
  {
    id: "H12",
    name: "a malformed before is a 400",
    needs: ["history"],
    async check({ room }) {
      for (const before of ["", "all", "1"]) {
        const answer = await room.ask(`chat?before=${before}`, { headers: JSON_ONLY });
        await answer.expectProblem(400);
      }
    },
  },
  {
    id: "H13",
    name: "before is for the history alone",
    needs: ["history"],
    async check({ room }) {
      const id = idOf(await room.say(unique("before")));
      for (const accept of ["*/*", "text/event-stream"]) {
        const answer = await room.ask(`chat?before=${id}`, { headers: { accept } });
        await answer.expectProblem(400);
      }
    },
  },
  {
    id: "H14",
    name: "what has been answered with 201 is in the history at once",
    needs: ["history"],
    async check({ room }) {
      for (let n = 0; n < 5; n++) {
        const text = unique("stored");
        await room.say(text);
        const { texts } = await room.history();
        expect(texts.includes(text), "the history lacks it");
      }
    },
  },
];
