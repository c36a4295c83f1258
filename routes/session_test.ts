/** Signing in and out, and what is kept from those who have not. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseConfig } from "../config.ts";
import { StoreAwayError } from "../message_log/message_log.ts";
import { openMessageStore } from "../message_log/open.ts";
import { Guard } from "../visitor_guard/guard.ts";
import { Sessions } from "../visitor_guard/session.ts";
import { SignIn } from "./session.ts";
import { toVisit } from "./visit.ts";
import { basic } from "../tests/chat_client.ts";
import { EventReader } from "../tests/event_reader.ts";
import { changedStore } from "../tests/open_log.ts";
import { assertProblem, form, openChat, openRoom } from "../tests/open_room.ts";

const PASSWORD = "correct horse";
const MODERATOR = "battery staple";
const FLAGS = ["--password", PASSWORD];
/** What a browser sends with a navigation. */
const NAVIGATION = { "sec-fetch-mode": "navigate", "accept-language": "en" };
/** What it sends with a page's fetch. */
const FETCH = { "sec-fetch-mode": "cors", "accept-language": "en" };

type Chat = Awaited<ReturnType<typeof openRoom>>;

function signIn(chat: Chat, fields: Record<string, string>, headers: HeadersInit = {}) {
  return chat.ask("/session", { method: "POST", body: form(fields), headers });
}

/** The cookie that a password is answered with. */
async function cookieFor(chat: Chat, password: string): Promise<string> {
  const response = await signIn(chat, { password });
  assertEquals(response.status, 204);
  return cookieOf(response);
}

function cookieOf(response: Response): string {
  return response.headers.get("set-cookie")!.split(";", 1)[0];
}

async function statusOf(response: Response | Promise<Response>): Promise<number> {
  const { status, body } = await response;
  await body?.cancel();
  return status;
}

Deno.test("with a password everything is kept from those who do not know it", async () => {
  await using chat = await openRoom(...FLAGS);
  const paths = ["/", "/chat", "/chat.js", "/page.js", "/manifest.webmanifest", "/invite.svg"];
  for (const path of [...paths, "/biology", "/biology/chat", "/rooms", "/moderation", "/nowhere"]) {
    await assertProblem(await chat.ask(path), 401);
    await assertProblem(await chat.ask(path, { headers: FETCH }), 401);
  }
  await assertProblem(await chat.post(form({ message: "hi" })), 401);
  assertEquals((await chat.log.read({ latest: 10 })).entries, []);
  for (const path of ["/session", "/chat.css", "/icon.svg", "/livez"]) {
    assertEquals(await statusOf(chat.ask(path)), 200, path);
  }
  assertEquals(await statusOf(chat.ask("/chat", { method: "OPTIONS" })), 204);
});

Deno.test("a program is told of Basic, a browser is not, lest it ask by itself", async () => {
  await using chat = await openRoom(...FLAGS);
  const refused = await chat.ask("/chat");
  assertEquals(refused.headers.get("www-authenticate"), 'Basic realm="chat", charset="UTF-8"');
  assertStringIncludes(await assertProblem(refused, 401), "curl -u :PASSWORD");
  for (const headers of [FETCH, NAVIGATION, { "accept-language": "en" }]) {
    const response = await chat.ask("/chat", { headers });
    assertEquals(response.headers.get("www-authenticate"), null);
    await response.body?.cancel();
  }
  assertEquals(await statusOf(chat.post(form({ message: "hi" }), basic(PASSWORD))), 201);
  assertEquals(await statusOf(chat.ask("/chat", { headers: basic(PASSWORD) })), 200);
  const wrong = await chat.ask("/chat", { headers: basic("wrong password") });
  assertMatch(wrong.headers.get("www-authenticate")!, /^Basic /);
  await assertProblem(wrong, 401);
});

Deno.test("people are shown the sign-in page wherever they come, and then go on there", async () => {
  await using chat = await openRoom(...FLAGS);
  const cases: [path: string, action: string, to: string, location: string][] = [
    ["/", "session", "/", "./"],
    ["/biology", "session", "/biology", "./biology"],
    [
      "/biology/chat?html&nickname=a%26b",
      "../session",
      "/biology/chat?html&amp;nickname=a%26b",
      "",
    ],
  ];
  for (const [path, action, to, location] of cases) {
    const response = await chat.ask(path, { headers: NAVIGATION });
    assertEquals(response.status, 401);
    assertEquals(response.headers.get("content-type"), "text/html; charset=utf-8");
    assertEquals(response.headers.get("cache-control"), "no-store");
    const html = await response.text();
    assertStringIncludes(html, `action="${action}"`);
    assertStringIncludes(html, `name="to" value="${to}"`);
    assert(!html.includes("http-equiv"));
    const page = await signIn(chat, { password: PASSWORD, to: path }, NAVIGATION);
    assertEquals(page.status, 303);
    assertEquals(page.headers.get("location"), location || `.${path}`);
    const headers = { ...NAVIGATION, cookie: cookieOf(page) };
    assertEquals(await statusOf(chat.ask(path, { headers })), 200);
  }
});

Deno.test("nobody is led to another site after signing in", async () => {
  await using chat = await openRoom(...FLAGS);
  const foreign = [
    "//evil.example",
    "https://evil.example/",
    "/\\evil.example",
    "javascript:alert()",
  ];
  for (const to of [...foreign, "http://[", "\\\\evil.example", "http:evil.example"]) {
    const response = await signIn(chat, { password: PASSWORD, to }, NAVIGATION);
    const location = response.headers.get("location")!;
    assertEquals(new URL(location, "http://chat.test/a/session").origin, "http://chat.test", to);
    assertMatch(location, /^\.(\/|$)/);
  }
});

Deno.test("a link on another site's page leads in all the same", async () => {
  await using chat = await openRoom(...FLAGS);
  const headers = { ...NAVIGATION, "sec-fetch-site": "cross-site", "sec-fetch-dest": "document" };
  const response = await chat.ask("/biology", { headers });
  assertEquals(response.status, 401);
  // Our own page asks again, and then the browser sends its cookie.
  assertStringIncludes(await response.text(), '<meta http-equiv="refresh" content="0">');
});

Deno.test("a wrong password is told to people on the page, to programs as a problem", async () => {
  await using chat = await openRoom(...FLAGS);
  const page = await signIn(chat, { password: "wrong", to: "/biology?x" }, NAVIGATION);
  assertEquals(page.status, 401);
  assertEquals(page.headers.get("set-cookie"), null);
  const html = await page.text();
  assertStringIncludes(html, "That is not the password.");
  assertStringIncludes(html, 'value="/biology?x"');
  await assertProblem(await signIn(chat, { password: "wrong" }), 401);
  await assertProblem(await signIn(chat, {}), 422, "password");
  for (const field of ["password", "to"]) {
    const body = JSON.stringify({ password: PASSWORD, [field]: { toString: 1 } });
    const headers = { "content-type": "application/json" };
    const odd = await chat.ask("/session", { method: "POST", body, headers });
    await assertProblem(odd, 422, field);
  }
  const evil = { origin: "https://evil.example" };
  await assertProblem(await signIn(chat, { password: PASSWORD }, evil), 403);
});

Deno.test("a moderator's password passes as everybody's, and the page knows who is who", async () => {
  await using chat = await openRoom(...FLAGS, "--moderator-password", MODERATOR);
  const cases: [password: string, marks: string][] = [
    [PASSWORD, "<html data-session lang="],
    [MODERATOR, "<html data-session data-moderator lang="],
  ];
  for (const [password, marks] of cases) {
    const cookie = await cookieFor(chat, password);
    for (const path of ["/", "/biology"]) {
      const page = await chat.ask(path, { headers: { ...NAVIGATION, cookie } });
      assertStringIncludes(await page.text(), marks);
    }
    assertEquals(await statusOf(chat.ask("/chat", { headers: basic(password) })), 200);
  }
  await using open = await openRoom("--moderator-password", MODERATOR);
  assertStringIncludes(await (await open.ask("/")).text(), "<html lang=");
  const session = await (await open.ask("/session", { headers: NAVIGATION })).text();
  assertStringIncludes(session, "Moderator's password");
  assertStringIncludes(session, "Back to the chat");
});

Deno.test("signing out ends the session and its copies, by DELETE or a form", async () => {
  await using chat = await openRoom(...FLAGS);
  for (const isForm of [false, true]) {
    const cookie = await cookieFor(chat, PASSWORD);
    const shown = await (await chat.ask("/session", { headers: { ...NAVIGATION, cookie } })).text();
    assertStringIncludes(shown, "Sign out");
    const response = isForm
      ? await signIn(chat, { leave: "1" }, { ...NAVIGATION, cookie })
      : await chat.ask("/session", { method: "DELETE", headers: { cookie } });
    assertEquals(response.status, isForm ? 303 : 204);
    assertMatch(response.headers.get("set-cookie")!, /^chat-session=; Path=\/; Max-Age=0;/);
    assertEquals(await statusOf(chat.ask("/", { headers: { cookie } })), 401);
  }
});

Deno.test("forgetting makes a browser nobody, and signs it out", async () => {
  await using chat = await openRoom(...FLAGS);
  const cookie = await cookieFor(chat, PASSWORD);
  const response = await signIn(chat, { forget: "1" }, { cookie });
  assertEquals(response.status, 204);
  assertEquals(response.headers.getSetCookie().map((each) => each.split(/; (?=Max)/)[0]), [
    "chat-session=; Path=/",
    "chat-visitor=",
  ]);
  assertEquals(await statusOf(chat.ask("/", { headers: { cookie } })), 401);
  // Where there is no password, too.
  await using open = await openRoom();
  assertEquals(await statusOf(signIn(open, { forget: "1" })), 204);
  await assertProblem(await open.ask("/session"), 404);
  await assertProblem(await signIn(open, { password: PASSWORD }), 404);
});

Deno.test("wrong passwords are 100 at once, and lock nobody out who is in", async () => {
  await using chat = await openRoom(...FLAGS);
  const cookie = await cookieFor(chat, PASSWORD);
  for (let n = 0; n < 50; n++) {
    assertEquals(await statusOf(signIn(chat, { password: "wrong" })), 401);
    assertEquals(await statusOf(chat.ask("/chat", { headers: basic("wrong") })), 401);
  }
  const refused = await signIn(chat, { password: PASSWORD });
  assertEquals(refused.headers.get("retry-after"), "6");
  await assertProblem(refused, 429);
  assertEquals(await statusOf(chat.ask("/chat", { headers: basic(PASSWORD) })), 429);
  assertEquals(await statusOf(chat.ask("/chat", { headers: { cookie } })), 200);
  assertMatch(await chat.terminal.errors(), /1 request refused, from unknown: wrong passwords\n$/);
  const elsewhere = await chat.askFrom("10.0.0.2", "/chat", { headers: basic(PASSWORD) });
  assertEquals(await statusOf(elsewhere), 200);
});

Deno.test("right passwords are no tries, however many come together", async () => {
  await using chat = await openRoom(...FLAGS);
  const head = { method: "HEAD", headers: basic(PASSWORD) };
  const responses = await Promise.all(Array.from({ length: 300 }, () => chat.ask("/chat", head)));
  assertEquals(new Set(responses.map(({ status }) => status)), new Set([200]));
  // Of wrong ones no more get through for that.
  const wrong = { method: "HEAD", headers: basic("wrong password") };
  const refused = await Promise.all(Array.from({ length: 300 }, () => chat.ask("/chat", wrong)));
  assertEquals(refused.filter(({ status }) => status === 401).length, 100);
});

Deno.test("sign-ins that are held back keep no place from others", async () => {
  const config = parseConfig(FLAGS, () => undefined);
  using guard = new Guard({ config, holdMs: 60_000, now: () => 0, onRefused() {}, onProxy() {} });
  const store = await openMessageStore("memory:", { keep: 10 });
  await using _store = store;
  const sessions = new Sessions({
    password: PASSWORD,
    moderatorPassword: undefined,
    secret: store.secret,
    revoked: store.revoked,
  });
  const signIn = new SignIn({
    sessions,
    guard,
    title: "",
    allowOrigin: [],
    visitors: { forget: () => "" },
  });
  const attempt = async () => {
    const body = form({ password: "wrong" });
    const request = new Request("http://localhost/session", { method: "POST", body });
    return await signIn.post(toVisit(request, { address: "10.0.0.1" }));
  };
  for (let n = 0; n < 100; n++) await attempt().catch(() => {});
  const held = Array.from({ length: 64 }, () => attempt().catch(({ status }) => status));
  // Every one of them has read its body.
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
  for (let n = 0; n < 64; n++) guard.enterSignIn("10.0.0.1");
  guard.close();
  // At once, and not when their time is over.
  const soon = new Promise<string[]>((resolve) => setTimeout(() => resolve(["held"]), 0));
  assertEquals(new Set(await Promise.race([Promise.all(held), soon])), new Set([429]));
  await soon;
});

Deno.test("signing out ends the streams of that session, and no others", async () => {
  await using chat = await openRoom(...FLAGS);
  const [cookie, other] = [await cookieFor(chat, PASSWORD), await cookieFor(chat, PASSWORD)];
  const ending = new EventReader(await chat.ask("/chat", { headers: { cookie } }));
  await using staying = new EventReader(await chat.ask("/chat", { headers: { cookie: other } }));
  await ending.nextOf("online");
  assertEquals(await staying.nextOf("online"), "2");
  await statusOf(chat.ask("/session", { method: "DELETE", headers: { cookie } }));
  await statusOf(chat.post(form({ message: "secret" }), { cookie: other }));
  for (let event; (event = await ending.next());) {
    assertEquals(event.data?.includes("secret"), undefined);
  }
  assertEquals((await staying.nextMessage()).message, "secret");
  assertEquals(chat.hub.readers, 1);
});

Deno.test("an address signs in 240 times at once, and then once a second", async () => {
  await using chat = await openRoom(...FLAGS);
  for (let n = 0; n < 240; n++) {
    assertEquals(await statusOf(signIn(chat, { password: PASSWORD })), 204);
  }
  const refused = await signIn(chat, { password: PASSWORD });
  assertEquals(refused.headers.get("retry-after"), "1");
  await assertProblem(refused, 429);
});

Deno.test("signing in again ends what one was before", async () => {
  await using chat = await openRoom(...FLAGS, "--moderator-password", MODERATOR);
  const cookie = await cookieFor(chat, PASSWORD);
  const again = await signIn(chat, { password: MODERATOR }, { cookie });
  assertEquals(await statusOf(again), 204);
  assertEquals(await statusOf(chat.ask("/", { headers: { cookie } })), 401);
  assertEquals(await statusOf(chat.ask("/rooms", { headers: { cookie: cookieOf(again) } })), 200);
});

Deno.test("the cookie serves the chat's own page alone, whatever sites are allowed", async () => {
  const origin = "http://localhost:3000";
  await using chat = await openRoom("--moderator-password", MODERATOR, "--allow-origin", origin);
  const cookie = await cookieFor(chat, MODERATOR);
  const own = { cookie, host: "localhost:4567", origin: "http://localhost:4567" };
  const others: HeadersInit[] = [
    { cookie, origin, "sec-fetch-site": "same-site" },
    { cookie, origin, host: "localhost:4567" },
  ];
  const close = (headers: HeadersInit) =>
    chat.ask("/moderation", { method: "POST", body: form({ action: "close" }), headers });
  for (const headers of others) await assertProblem(await close(headers), 403);
  assertEquals(await statusOf(close(own)), 200);
  // Behind a proxy that replaces Host the page is told what is wrong, rather than that it has no password.
  await using closed = await openRoom(...FLAGS);
  const member = await cookieFor(closed, PASSWORD);
  const headers = { cookie: member, host: "localhost:4567", origin: "http://chat.test" };
  const detail = await assertProblem(await closed.post(form({ message: "hi" }), headers), 403);
  assertStringIncludes(detail, "a proxy has replaced Host");
});

Deno.test("behind a trusted proxy that speaks HTTPS the cookies are for HTTPS alone", async () => {
  await using chat = await openRoom(...FLAGS, "--trust-proxy", "127.0.0.1");
  const init = { method: "POST", body: form({ password: PASSWORD }) };
  const headers = { "x-forwarded-proto": "https" };
  const secure = await chat.askFrom("127.0.0.1", "/session", { ...init, headers });
  assertMatch(secure.headers.get("set-cookie")!, /^__Host-chat-session=.*; Secure$/);
  const page = await chat.askFrom("127.0.0.1", "/", {
    headers: { ...headers, cookie: cookieOf(secure) },
  });
  assertMatch(page.headers.get("set-cookie")!, /^chat-visitor=.*; Secure$/);
  assertEquals(await statusOf(page), 200);
  const plain = await chat.askFrom("10.0.0.1", "/session", { ...init, headers });
  assertMatch(plain.headers.get("set-cookie")!, /^chat-session=/);
});

Deno.test("a session that is ended at another instance ends its streams here", async () => {
  const flags = [...FLAGS, "--moderator-password", MODERATOR];
  await using there = await openRoom(...flags);
  const { secret, revoked } = there.store;
  const store = changedStore(await openMessageStore("memory:", { keep: 100 }), { secret, revoked });
  await using here = await openChat(flags, { store });
  const cookie = await cookieFor(there, PASSWORD);
  const other = await cookieFor(there, PASSWORD);
  const reader = await here.read("/chat", { cookie });
  await reader.nextOf("online");
  await using stays = await here.read("/chat", { cookie: other });
  await stays.nextOf("online");
  const left = await there.ask("/session", { method: "DELETE", headers: { cookie } });
  assertEquals(await statusOf(left), 204);
  while (await reader.next() !== undefined);
  assertEquals(here.hub.readers, 1);
  assertEquals(await statusOf(here.ask("/chat", { headers: { cookie } })), 401);
});

Deno.test("a session that ends while its stream begins has none", async () => {
  await using chat = await openRoom(...FLAGS);
  const cookie = await cookieFor(chat, PASSWORD);
  const { openLog } = chat.store;
  chat.store.openLog = async (room) => {
    const log = await openLog.call(chat.store, room);
    await chat.ask("/session", { method: "DELETE", headers: { cookie } });
    return log;
  };
  const stream = await chat.ask("/biology/chat", { headers: { cookie } });
  const frames = await stream.text();
  assertMatch(frames, /^(retry: \d+\n\n)+$/);
});

Deno.test("signing in and out where the store is away is a 503 that says so", async () => {
  await using chat = await openRoom(...FLAGS);
  const cookie = await cookieFor(chat, PASSWORD);
  chat.store.revoked.add = () => Promise.reject(new StoreAwayError("away"));
  const responses = [
    await signIn(chat, { leave: "" }, { cookie }),
    await signIn(chat, { password: PASSWORD }, { cookie }),
    await chat.ask("/session", { method: "DELETE", headers: { cookie } }),
  ];
  for (const response of responses) {
    assertEquals(response.headers.get("set-cookie"), null);
    assertStringIncludes(await assertProblem(response, 503), "can't reach its message log");
  }
  // Who has no session needs no store.
  assertEquals(await statusOf(signIn(chat, { password: PASSWORD })), 204);
});
