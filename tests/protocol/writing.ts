/** What is posted, and what is answered. */

import {
  type Answer,
  type Ask,
  describedIn,
  type Entry,
  type Fields,
  FORM,
  idOf,
  JSON_TYPE,
  type Room,
  unique,
} from "./chat.ts";
import { expect, expectMatch, expectSame, type Rule } from "./rule.ts";

const MULTIPART = { "content-type": "multipart/form-data; boundary=limit" };
const MAX_BODY_BYTES = 64 * 1024;

type Pairs = readonly (readonly [name: string, value: string])[];

/** Fields in each kind of body. */
const KINDS: readonly { readonly headers: Fields; encode(pairs: Pairs): string }[] = [
  { headers: FORM, encode: (pairs) => `${new URLSearchParams(pairs.map((pair) => [...pair]))}` },
  {
    headers: MULTIPART,
    encode: (pairs) =>
      pairs.map(([name, value]) =>
        `--limit\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
      ).join("") + "--limit--\r\n",
  },
  {
    headers: JSON_TYPE,
    encode: (pairs) =>
      `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)}}`,
  },
];

/** What was stored of a post in a kind of body. */
async function store(room: Room, kind: typeof KINDS[number], pairs: Pairs) {
  return await room.store(kind.encode(pairs), { headers: kind.headers });
}

/** A rule that one kind of body is taken. */
function takes(id: string, type: string, kind: typeof KINDS[number]): Rule {
  return {
    id,
    name: `a post may be ${type}`,
    async check({ room }) {
      const text = unique("a & b = \u00fc \u{1f44b} 100%");
      const { nickname, message } = await store(room, kind, [["nickname", "\u00e9"], [
        "message",
        text,
      ]]);
      expectSame("what was stored", [nickname, message], ["\u00e9", text]);
    },
  };
}

/** Checks that a repeat of a post is answered with its message. */
async function expectRepeat(repeat: Answer, message: Entry): Promise<void> {
  const repeated = await repeat.expectStatus(200).json();
  expectSame("the repeat", describedIn(repeated), describedIn(message));
}

/** Checks that a post is refused and that nothing of it is stored. */
async function expectRefusal(
  room: Room,
  body: NonNullable<Ask["body"]>,
  { status, field, headers }: { status: number; field?: string; headers?: Fields },
): Promise<void> {
  await (await room.post(body, { headers })).expectProblem(status, field);
}

export const WRITING: readonly Rule[] = [
  takes("W1", "application/x-www-form-urlencoded", KINDS[0]),
  takes("W2", "multipart/form-data", KINDS[1]),
  takes("W3", "application/json", KINDS[2]),
  {
    id: "W4",
    name: "a message is required",
    async check({ room }) {
      await expectRefusal(room, { nickname: "ann" }, { status: 422, field: "message" });
      await expectRefusal(room, "", { status: 422, field: "message", headers: FORM });
    },
  },
  {
    id: "W5",
    name: "a message has 4,000 characters at most",
    async check({ room }) {
      for (const character of ["x", "\u{1f44b}"]) {
        const { message } = await room.say(character.repeat(4000));
        expectSame("the length of the message", [...String(message)].length, 4000);
      }
      await expectRefusal(room, { message: "x".repeat(4001) }, { status: 422, field: "message" });
    },
  },
  {
    id: "W6",
    name: "a nickname has 40 characters at most",
    async check({ room }) {
      const nickname = "\u{1f44b}".repeat(40);
      expectSame("the nickname", (await room.say(unique("hi"), { nickname })).nickname, nickname);
      await expectRefusal(room, { message: "hi", nickname: "n".repeat(41) }, {
        status: 422,
        field: "nickname",
      });
    },
  },
  {
    id: "W7",
    name: "a nickname that is blank or absent is anonymous",
    async check({ room }) {
      const bodies: Fields[] = [{ message: "hi" }, { message: "hi", nickname: " \t" }];
      for (const body of bodies) {
        const { nickname } = await room.store(body);
        expectSame("the nickname", nickname, "anonymous");
      }
    },
  },
  {
    id: "W8",
    name: "a key has 100 characters at most",
    needs: ["keys"],
    async check({ room }) {
      await room.say(unique("hi"), { key: unique("").padEnd(100, "k") });
      await expectRefusal(room, { message: "hi", key: "k".repeat(101) }, {
        status: 422,
        field: "key",
      });
    },
  },
  {
    id: "W9",
    name: "if a field is repeated, the last value counts in every kind of body",
    async check({ room }) {
      for (const kind of KINDS) {
        const texts = [unique("first"), unique("last")];
        const { message } = await store(room, kind, texts.map((text) => ["message", text]));
        expectSame(`the message as ${kind.headers["content-type"]}`, message, texts[1]);
      }
    },
  },
  {
    id: "W10",
    name: "other fields are ignored",
    async check({ room }) {
      for (const kind of KINDS) {
        const text = unique("others");
        const { message } = await store(room, kind, [["other", "1"], ["message", text], ["", ""]]);
        expectSame("the message", message, text);
      }
    },
  },
  {
    id: "W11",
    name: "a field that is not text is refused",
    async check({ room }) {
      for (const [field, value] of [["message", 7], ["nickname", ["ann"]], ["key", {}]]) {
        const body = JSON.stringify({ message: "hi", [`${field}`]: value });
        await expectRefusal(room, body, { status: 422, field: `${field}`, headers: JSON_TYPE });
      }
    },
  },
  {
    id: "W12",
    name: "a body has 64 KiB at most",
    async check({ room }) {
      const body = `message=${unique("long")}&rest=`.padEnd(MAX_BODY_BYTES, "x");
      await room.store(body, { headers: FORM });
      (await room.post(`${body}x`, { headers: FORM })).expectStatus(413);
    },
  },
  {
    id: "W13",
    name: "a body has 100 fields or values at most",
    async check({ room }) {
      const fields = (count: number): Pairs => [
        ["message", unique("many")],
        ...Array.from({ length: count - 1 }, (_, n) => [`f${n}`, "1"] as const),
      ];
      for (const kind of KINDS) {
        await store(room, kind, fields(100));
        await expectRefusal(room, kind.encode(fields(101)), { status: 400, headers: kind.headers });
      }
      const nested = JSON.stringify({ message: "hi", deep: [[Array(120).fill(1)]] });
      await expectRefusal(room, nested, { status: 400, headers: JSON_TYPE });
    },
  },
  {
    id: "W14",
    name: "a body is not compressed",
    async check({ room }) {
      for (const coding of ["gzip", "br"]) {
        const headers = { ...FORM, "content-encoding": coding };
        await expectRefusal(room, "message=hi", { status: 415, headers });
      }
    },
  },
  {
    id: "W31",
    name: "a body comes with its length or in chunks",
    async check({ room }) {
      const text = unique("in chunks");
      const chunks = ["message=", encodeURIComponent(text), ""].map((chunk) =>
        `${chunk.length.toString(16)}\r\n${chunk}\r\n`
      );
      const headers = { ...FORM, "transfer-encoding": "chunked" };
      expectSame("the message", (await room.store(chunks.join(""), { headers })).message, text);
    },
  },
  {
    id: "W15",
    name: "a charset other than UTF-8 is refused",
    async check({ room }) {
      for (const { headers, encode } of KINDS) {
        const as = (charset: string) => ({
          "content-type": `${headers["content-type"]}; charset=${charset}`,
        });
        const body = encode([["message", unique("a charset")]]);
        await room.store(body, { headers: as("UTF-8") });
        await expectRefusal(room, body, { status: 415, headers: as("iso-8859-1") });
      }
    },
  },
  {
    id: "W16",
    name: "bytes that are not UTF-8 are refused, percent-encoded or not",
    async check({ room }) {
      await expectRefusal(room, "message=%ff", { status: 400, headers: FORM });
      for (const { headers, encode } of KINDS) {
        const body = Uint8Array.from(encode([["message", "\xff"]]), (text) => text.charCodeAt(0));
        if (headers === FORM) body.set([0xff], "message=".length);
        await expectRefusal(room, body, { status: 400, headers });
      }
    },
  },
  {
    id: "W17",
    name: "a body that is not what its content type says is refused",
    async check({ room }) {
      for (const body of ["{", '"hi"', "null", '["message"]', ""]) {
        await expectRefusal(room, body, { status: 400, headers: JSON_TYPE });
      }
      for (const body of ["hi", "--limit\r\nbroken"]) {
        await expectRefusal(room, body, { status: 400, headers: MULTIPART });
      }
    },
  },
  {
    id: "W18",
    name: "another content type is refused, and Accept-Post lists those that are not",
    async check({ room }) {
      for (const type of ["text/plain", "application/xml"]) {
        const answer = await room.post("message=hi", { headers: { "content-type": type } });
        await answer.expectProblem(415);
        for (const { headers } of KINDS) {
          const accepted = answer.headers.get("accept-post") ?? "";
          const [wanted] = headers["content-type"].split(";");
          expect(accepted.includes(wanted), `Accept-Post is "${accepted}"`);
        }
      }
    },
  },
  {
    id: "W19",
    name: "a lone surrogate becomes U+FFFD",
    async check({ room }) {
      const body = '{"message": "half \\ud83d pair"}';
      const { message } = await room.store(body, { headers: JSON_TYPE });
      expectSame("the message", message, "half \ufffd pair");
    },
  },
  {
    id: "W20",
    name: "the answer is a 201 with the message as its readers get it",
    async check({ room }) {
      const events = await room.listen();
      const text = unique("answered");
      const answer = await room.post({ nickname: "ann", message: text });
      answer.expectStatus(201);
      expectMatch("the content type", answer.headers.get("content-type"), /^application\/json\b/);
      const message = describedIn(await answer.json());
      expectSame("what a reader gets", describedIn(await events.nextMessage()), message);
    },
  },
  {
    id: "W21",
    name: "a repeat with the same key is a 200 with the same message, which is stored once",
    needs: ["keys"],
    async check({ room }) {
      const fields = { nickname: "ann", message: unique("once"), key: unique("key") };
      const message = await room.say(fields.message, fields);
      await expectRepeat(await room.post(fields), message);
      const json = JSON.stringify(fields);
      await expectRepeat(await room.post(json, { headers: JSON_TYPE }), message);
      const [ms, number] = idOf(message).split("-").map(Number);
      const got = await room.replay(`?since=${ms}-${number}`);
      expectSame("what comes after the message", got, []);
    },
  },
  {
    id: "W22",
    name: "repeats at the same time are stored once",
    needs: ["keys"],
    async check({ room }) {
      const fields = { message: unique("at once"), key: unique("key") };
      const posts = await Promise.all(Array.from({ length: 6 }, () => room.post(fields)));
      const statuses = posts.map(({ status }) => status).toSorted();
      expectSame("the list of statuses", statuses, [200, 200, 200, 200, 200, 201]);
      const ids = new Set();
      for (const post of posts) ids.add((await post.json() as Fields).id);
      expectSame("the number of messages", ids.size, 1);
    },
  },
  {
    id: "W23",
    name: "the key may be in Idempotency-Key",
    needs: ["keys"],
    async check({ room }) {
      const fields = { nickname: "ann", message: unique("a header") };
      const key = unique("key");
      const headers = { "idempotency-key": key };
      const message = await room.say(fields.message, fields, { headers });
      const repeats = [await room.post(fields, { headers }), await room.post({ ...fields, key })];
      for (const repeat of repeats) await expectRepeat(repeat, message);
    },
  },
  {
    id: "W24",
    name: "the field key takes precedence over the header",
    needs: ["keys"],
    async check({ room }) {
      const fields = { nickname: "ann", message: unique("both"), key: unique("key") };
      const message = await room.say(fields.message, fields);
      const headers = { "idempotency-key": unique("other") };
      await expectRepeat(await room.post(fields, { headers }), message);
    },
  },
  {
    id: "W25",
    name: "a key that belongs to another message is refused",
    needs: ["keys"],
    async check({ room }) {
      const key = unique("key");
      await room.say(unique("mine"), { key });
      await expectRefusal(room, { message: unique("theirs"), key }, { status: 422, field: "key" });
    },
  },
  {
    id: "W26",
    name: "a repeat of a message that was removed is a 410",
    needs: ["keys", "moderatorPassword"],
    async check(chat) {
      const room = chat.freshRoom();
      for (const action of ["remove", ...chat.has("rooms") ? ["clear"] : []]) {
        const fields = { nickname: "ann", message: unique("gone"), key: unique("key") };
        const id = idOf(await room.say(fields.message, fields));
        await room.moderate({ action, ...(action === "remove" && { id }) });
        await expectRefusal(room, fields, { status: 410 });
      }
    },
  },
  {
    id: "W27",
    name: "an Idempotency-Key that is not UTF-8 is refused",
    needs: ["keys"],
    async check({ room }) {
      const headers = { "idempotency-key": "k\xff" };
      await (await room.post({ message: "hi" }, { headers })).expectProblem(400);
    },
  },
  {
    id: "W28",
    name: "a browser that submits a plain form gets a 303 to the page",
    needs: ["html"],
    async check({ room }) {
      const headers = { "sec-fetch-mode": "navigate" };
      const answer = await room.post({ message: unique("a form") }, { headers });
      answer.expectStatus(303);
      const location = answer.headers.get("location");
      expect(location !== null, "there is no Location");
      const { pathname } = new URL(location, `http://chat/${room.path("chat")}`);
      expectSame("where it leads", decodeURIComponent(pathname), `/${room.name}`);
    },
  },
  {
    id: "W29",
    name: "a browser without Sec-Fetch-Mode is known by what else it says",
    needs: ["html"],
    async check({ room }) {
      const accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
      const cases: [headers: Fields, status: number][] = [
        [{ accept }, 303],
        [{ accept: "text/html, */*;q=0.5", "accept-language": "en" }, 303],
        [{ "upgrade-insecure-requests": "1" }, 303],
        [{ accept, "sec-fetch-mode": "cors" }, 201],
        [{ accept: "text/html, image/gif, *; q=.2, */*; q=.2" }, 201],
        [{ accept: "*/*", "accept-language": "en" }, 201],
      ];
      for (const [headers, status] of cases) {
        const answer = await room.post({ message: unique("a browser") }, { headers });
        expectSame(`the status with ${JSON.stringify(headers)}`, answer.status, status);
      }
      const query = await room.ask("chat?html", { method: "POST", body: { message: "hi" } });
      query.expectStatus(303);
    },
  },
  {
    id: "W30",
    name: "what is refused changes nothing",
    async check({ room }) {
      const events = await room.listen();
      await room.post({ nickname: "nobody" });
      await room.post({ message: "x".repeat(4001) });
      await room.post("{", { headers: JSON_TYPE });
      await room.post("message=%ff", { headers: FORM });
      const text = unique("the only one");
      await room.send(text);
      expectSame("the next message", (await events.nextMessage()).message, text);
    },
  },
];
