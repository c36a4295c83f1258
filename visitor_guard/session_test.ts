import { assert, assertEquals, assertMatch } from "@std/assert";
import { basicPassword, Sessions, type SessionsOptions } from "./session.ts";

const DAY_MS = 24 * 60 * 60_000;

function newSessions(options: Partial<SessionsOptions> = {}) {
  return new Sessions({
    password: "correct horse",
    moderatorPassword: "battery staple",
    secret: new Uint8Array(32).fill(7),
    revoked: revokedIds(),
    ...options,
  });
}

function revokedIds() {
  const ids = new Map<string, number>();
  const listeners = new Set<(id: string) => void>();
  return {
    ids,
    has: (id: string) => ids.has(id),
    // deno-lint-ignore require-await
    add: async (id: string, untilS: number) => {
      ids.set(id, untilS);
      for (const listener of listeners) listener(id);
    },
    subscribe: (onRevoked: (id: string) => void) => {
      listeners.add(onRevoked);
      return { [Symbol.dispose]: () => void listeners.delete(onRevoked) };
    },
  };
}

function withHeaders(headers: Record<string, string>): Request {
  return new Request("http://localhost/", { headers });
}

function withCookie(setCookie: string): Request {
  return withHeaders({ cookie: `a=b; ${setCookie.split(";", 1)[0]}; c=d` });
}

async function roleIn(sessions: Sessions, setCookie: string, isSecure = false) {
  return (await sessions.find(withCookie(setCookie), isSecure))?.role;
}

Deno.test("Sessions.roleOf() takes the passwords alone, in any normalisation", async () => {
  const sessions = newSessions({ password: "é:password" });
  assertEquals(await sessions.roleOf("é:password"), "member");
  assertEquals(await sessions.roleOf("é:password".normalize("NFD")), "member");
  assertEquals(await sessions.roleOf("battery staple"), "moderator");
  const start = performance.now();
  const slow = "a" +
    ["\u0345", "\u0300", "\u0316", "\u0334"].map((mark) => mark.repeat(8000)).join("");
  for (const text of ["", "é:passwor", "É:password", "é:password ", "undefined", slow]) {
    assertEquals(await sessions.roleOf(text), undefined, text);
  }
  assert(performance.now() - start < 100);
  const open = newSessions({ password: undefined, moderatorPassword: undefined });
  assertEquals([open.isRequired, open.isPossible], [false, false]);
  assertEquals(await open.roleOf("undefined"), undefined);
});

Deno.test("Sessions go on over a restart, until they are too old or the password changes", async () => {
  let now = Date.UTC(2026, 0, 1);
  const options = { now: () => now };
  const cookie = await newSessions(options).begin("member", false);
  assertMatch(
    cookie,
    /^chat-session=[\w.-]+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Strict$/,
  );
  const later = newSessions({ ...options, moderatorPassword: "another" });
  assertEquals(await roleIn(later, cookie), "member");
  for (
    const change of [
      { password: "another" },
      { password: "battery staple", moderatorPassword: "correct horse" },
      { password: undefined },
      { secret: new Uint8Array(32) },
    ]
  ) {
    assertEquals(await roleIn(newSessions({ ...options, ...change }), cookie), undefined);
  }
  now += 30 * DAY_MS - 1;
  assertEquals(await roleIn(later, cookie), "member");
  now += 1000;
  assertEquals(await roleIn(later, cookie), undefined);
});

Deno.test("Sessions take no cookie that they have not given", async () => {
  const sessions = newSessions();
  const cookie = await sessions.begin("moderator", true);
  assertMatch(cookie, /^__Host-chat-session=.*; Secure$/);
  assertEquals(await roleIn(sessions, cookie, true), "moderator");
  // Each is good where it was given.
  assertEquals(await roleIn(sessions, cookie), undefined);
  assertEquals(await roleIn(sessions, cookie.replace("__Host-", ""), true), undefined);
  const value = cookie.split(";", 1)[0];
  const forged = [
    value.slice(0, -2) + (value.endsWith("AA") ? "BB" : "AA"),
    value.replace(/=../, (start) => start === "=AA" ? "=BB" : "=AA"),
    value.replace(/\.\w+\./, ".zzzzzz."),
    "chat-session=",
    "chat-session=1.2.3",
  ];
  for (const each of forged) assertEquals(await roleIn(sessions, each, true), undefined, each);
  assertEquals(await sessions.find(withHeaders({}), true), undefined);
  // A stale one before it.
  const stale = await newSessions({ moderatorPassword: "old password" }).begin("moderator", true);
  const both = withHeaders({ cookie: `${stale.split(";")[0]}; ${value}` });
  assertEquals((await sessions.find(both, true))?.role, "moderator");
});

Deno.test("Sessions.end() ends every copy of a cookie, and no other session", async () => {
  const revoked = revokedIds();
  const now = Date.UTC(2026, 0, 1);
  const sessions = newSessions({ revoked, now: () => now });
  const [cookie, other] = [
    await sessions.begin("member", false),
    await sessions.begin("member", false),
  ];
  const ended = await sessions.end(withCookie(cookie), false);
  assertMatch(ended, /^chat-session=; Path=\/; Max-Age=0; /);
  assertEquals(await roleIn(sessions, cookie), undefined);
  assertEquals(await roleIn(newSessions({ revoked, now: () => now }), cookie), undefined);
  assertEquals(await roleIn(sessions, other), "member");
  assertEquals([...revoked.ids.values()], [(now + 30 * DAY_MS) / 1000]);
  // Nothing is remembered of whoever has none.
  await sessions.end(withCookie(cookie), false);
  await sessions.end(withHeaders({}), false);
  assertEquals(revoked.ids.size, 1);
});

Deno.test("Sessions.end() ends all that a browser has, and calls whoever watches", async () => {
  const sessions = newSessions();
  const cookies = [await sessions.begin("member", false), await sessions.begin("moderator", false)];
  const ids: string[] = [];
  const calls: string[] = [];
  for (const cookie of cookies) ids.push((await sessions.find(withCookie(cookie), false))!.id);
  sessions.watch(ids[0], () => calls.push("first"));
  sessions.watch(ids[1], () => calls.push("second"));
  sessions.watch(ids[1], () => calls.push("over"))[Symbol.dispose]();
  const both = cookies.map((cookie) => cookie.split(";", 1)[0]).join("; ");
  await sessions.end(withHeaders({ cookie: both }), false);
  for (const cookie of cookies) assertEquals(await roleIn(sessions, cookie), undefined);
  assertEquals(calls, ["first", "second"]);
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
  assert(basicPassword(withHeaders({})) === undefined);
});
