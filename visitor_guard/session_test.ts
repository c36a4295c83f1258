import { assert, assertEquals, assertMatch } from "@std/assert";
import { basicPassword, Sessions } from "./session.ts";

const SECRET = new Uint8Array(32).fill(7);
const OPTIONS = { name: "chat", password: "correct horse", secret: SECRET };

function withHeaders(headers: Record<string, string>): Request {
  return new Request("http://localhost/", { headers });
}

function withCookie(setCookie: string): Request {
  return withHeaders({ cookie: `a=b; ${setCookie.split(";", 1)[0]}; c=d` });
}

Deno.test("Sessions.isPassword() takes the password alone, in any normalisation", async () => {
  const sessions = new Sessions({ ...OPTIONS, password: "é:word" });
  assert(await sessions.isPassword("é:word"));
  assert(await sessions.isPassword("é:word".normalize("NFD")));
  for (const text of ["", "é:wor", "É:word", "é:word "]) {
    assertEquals(await sessions.isPassword(text), false, text);
  }
});

Deno.test("Sessions go on over a restart, until they are too old or the password changes", async () => {
  let now = Date.UTC(2026, 0, 1);
  const cookie = await new Sessions({ ...OPTIONS, now: () => now }).begin(false);
  assertMatch(cookie, /^chat=[\w.-]+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Strict$/);
  const later = new Sessions({ ...OPTIONS, now: () => now });
  assert(await later.has(withCookie(cookie)));
  for (
    const other of [
      { password: "another" },
      { secret: new Uint8Array(32) },
      { name: "moderator" },
    ]
  ) {
    const sessions = new Sessions({ ...OPTIONS, ...other, now: () => now });
    assertEquals(await sessions.has(withCookie(cookie)), false);
    assertEquals(await sessions.has(withCookie(cookie.replace("chat", "moderator"))), false);
  }
  now += 30 * 24 * 60 * 60_000;
  assertEquals(await later.has(withCookie(cookie)), false);
});

Deno.test("Sessions take no cookie that they have not given", async () => {
  const sessions = new Sessions(OPTIONS);
  const cookie = await sessions.begin(true);
  assertMatch(cookie, /^__Host-chat=.*; Secure$/);
  assert(await sessions.has(withCookie(cookie)));
  const value = cookie.split(";", 1)[0];
  const forged = [
    value.slice(0, -1) + (value.endsWith("A") ? "B" : "A"),
    value.replace(/=\w+/, "=zzzzzz"),
    "chat=",
    "chat=1.2",
    sessions.end(true),
  ];
  for (const each of forged) assertEquals(await sessions.has(withCookie(each)), false, each);
  assertEquals(await sessions.has(withHeaders({})), false);
  // A stale one before it.
  const stale = await new Sessions({ ...OPTIONS, password: "old" }).begin(true);
  assert(await sessions.has(withHeaders({ cookie: `${stale.split(";")[0]}; ${value}` })));
});

Deno.test("basicPassword() reads what curl -u sends", () => {
  const basic = (text: string) => new TextEncoder().encode(text).toBase64();
  const cases: [authorization: string, password: string | undefined][] = [
    [`Basic ${basic(":word")}`, "word"],
    [`basic ${basic("ann:é:word")}`, "é:word"],
    [`Basic ${basic("word")}`, undefined],
    ["Basic !", undefined],
    ["Basic A", undefined],
    ["Basic /w==", undefined],
    [`Bearer ${basic(":word")}`, undefined],
    ["", undefined],
  ];
  for (const [authorization, password] of cases) {
    assertEquals(basicPassword(withHeaders({ authorization })), password, authorization);
  }
});
