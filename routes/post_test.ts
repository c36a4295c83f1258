/** `POST /chat`: what counts in each kind of body, and what is refused as not being what it says. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Post } from "../chat_message.ts";
import { assertProblem, form, openRoom } from "../tests/open_room.ts";
import { postMessage } from "./post.ts";

const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";
const MULTIPART = "multipart/form-data; boundary=x";

/** Characters as one byte each. */
function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function part(name: string, text: string): string {
  return `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;
}

Deno.test("POST /chat counts the last of several fields of one name, in every kind of body", async () => {
  await using room = await openRoom();
  const bodies: [type: string, body: string][] = [
    [FORM, "message=first&nickname=ann&message=second&nickname=ben"],
    [JSON_TYPE, '{"message":"first","nickname":"ann","message":"second","nickname":"ben"}'],
    [
      MULTIPART,
      `${part("message", "first")}${part("nickname", "ann")}` +
      `${part("message", "second")}${part("nickname", "ben")}--x--\r\n`,
    ],
  ];
  for (const [type, body] of bodies) {
    const response = await room.post(body, { "content-type": type });
    const { message, nickname } = await response.json();
    assertEquals({ message, nickname }, { message: "second", nickname: "ben" }, type);
  }
});

Deno.test("POST /chat reads UTF-8 under each of its names, and refuses other charsets", async () => {
  await using room = await openRoom();
  const bodies: [type: string, body: string][] = [
    [FORM, "message=caf%C3%A9"],
    [MULTIPART, `${part("message", "caf\u00e9")}--x--\r\n`],
    [JSON_TYPE, '{"message":"caf\u00e9"}'],
  ];
  for (const [type, body] of bodies) {
    for (const charset of ["utf-8", "UTF-8", '"utf-8"', "utf8", "US-ASCII"]) {
      const response = await room.post(body, { "content-type": `${type}; charset=${charset}` });
      assertEquals((await response.json()).message, "caf\u00e9", `${type} ${charset}`);
    }
    for (const charset of ["iso-8859-1", '"windows-1252"', "utf-16", "x"]) {
      const response = await room.post(body, { "content-type": `${type};CharSet=${charset}` });
      assertStringIncludes(response.headers.get("accept-post")!, JSON_TYPE);
      const detail = await assertProblem(response, 415);
      assertStringIncludes(detail, charset.replaceAll('"', ""));
      assertStringIncludes(detail, "UTF-8");
    }
  }
});

Deno.test("POST /chat refuses bytes that are not UTF-8, however they are written", async () => {
  await using room = await openRoom();
  const bodies: [type: string, body: string][] = [
    [FORM, "message=caf\xe9"],
    [FORM, "message=caf%E9"],
    [FORM, "message=hi&nickname=%ff"],
    [FORM, "message=%ED%A0%80"],
    [FORM, "message=%C0%AF"],
    [FORM, "message=hi&%e9"],
    [JSON_TYPE, '{"message":"caf\xe9"}'],
    [JSON_TYPE, '{"message":"hi","caf\xe9":1}'],
    [MULTIPART, `${part("message", "caf\xe9")}--x--\r\n`],
    [MULTIPART, `${part("message", "hi")}${part("caf\xe9", "")}--x--\r\n`],
  ];
  for (const [type, body] of bodies) {
    const response = await room.post(bytes(body), { "content-type": type });
    assertStringIncludes(await assertProblem(response, 400), "UTF-8");
  }
  const header = await room.post(form({ message: "hi" }), { "idempotency-key": "caf\xe9" });
  assertStringIncludes(await assertProblem(header, 400), "Idempotency-Key");
});

Deno.test("POST /chat takes a key for the same in the body and in UTF-8 in the header", async () => {
  await using room = await openRoom();
  const fields = { message: "hi" };
  assertEquals((await room.post(form({ ...fields, key: "caf\u00e9" }))).status, 201);
  const header = await room.post(form(fields), { "idempotency-key": "caf\xc3\xa9" });
  assertEquals(header.status, 200);
  // Half a surrogate pair is no character: JSON alone can write one.
  const half = new Request("http://localhost/chat", {
    method: "POST",
    body: '{"message":"hi","key":"\\ud83d"}',
    headers: { "content-type": JSON_TYPE },
  });
  const posts: Post[] = [];
  const append = (post: Post) => {
    posts.push(post);
    return room.log.append(post);
  };
  await postMessage(half, { room: "", log: { append }, author: {} });
  assertEquals(posts[0].key, "\ufffd");
});

Deno.test("POST /chat refuses more fields than any post has", async () => {
  await using room = await openRoom();
  const members = (count: number) => Array.from({ length: count }, (_, n) => `"${n}":[]`).join(",");
  // In a string they are no structure.
  const signs = String.raw`[{,\\\"`;
  const bodies: [type: string, body: string, status: number][] = [
    [FORM, `message=hi${"&".repeat(99)}`, 201],
    [FORM, `message=hi${"&".repeat(100)}`, 400],
    [MULTIPART, `${part("message", "hi")}${part("a", "").repeat(99)}--x--\r\n`, 201],
    [MULTIPART, `${part("message", "hi")}${part("a", "").repeat(100)}--x--\r\n`, 400],
    [JSON_TYPE, `{"message":"${signs.repeat(500)}",${members(48)}}`, 201],
    [JSON_TYPE, `{"message":"hi",${members(100)}}`, 400],
    [JSON_TYPE, `{"message":"hi","a":${"[".repeat(100)}${"]".repeat(100)}}`, 400],
  ];
  for (const [type, body, status] of bodies) {
    const response = await room.post(body, { "content-type": type });
    if (status === 400) assertStringIncludes(await assertProblem(response, 400), "over 100 fields");
    else assertEquals(response.status, status, body.slice(0, 80));
  }
});

Deno.test("POST /chat refuses a compressed body for being compressed", async () => {
  await using room = await openRoom();
  const { body } = new Response("message=hi");
  const zipped = await new Response(body!.pipeThrough(new CompressionStream("gzip"))).bytes();
  const response = await room.post(zipped, { "content-type": FORM, "content-encoding": "gzip" });
  assertStringIncludes(await assertProblem(response, 415), '"gzip"');
});
