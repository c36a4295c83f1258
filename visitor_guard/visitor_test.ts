import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { form, openRoom, ORIGIN } from "../tests/open_room.ts";
import { Visitors } from "./visitor.ts";

const SECRET = new Uint8Array(32).fill(7);

function withCookie(cookie: string): Request {
  return new Request(ORIGIN, { headers: { cookie } });
}

async function newCookie(visitors: Visitors): Promise<string> {
  return (await visitors.greet(new Request(ORIGIN), false))!.split(";", 1)[0];
}

async function markOf(visitors: Visitors, request: Request, address: string, room: string) {
  return (await visitors.identify(request, address, room)).mark;
}

Deno.test("Visitors.identify() has one mark for a visitor in a room, and another elsewhere", async () => {
  const visitors = new Visitors(SECRET);
  const [ann, ben] = [await newCookie(visitors), await newCookie(visitors)];
  const marks = [
    await markOf(visitors, withCookie(ann), "10.0.0.1", ""),
    await markOf(visitors, withCookie(ben), "10.0.0.1", ""),
    await markOf(visitors, withCookie(ann), "10.0.0.1", "biology"),
    await markOf(visitors, new Request(ORIGIN), "10.0.0.1", ""),
    await markOf(visitors, new Request(ORIGIN), "10.0.0.2", ""),
  ];
  for (const mark of marks) assertMatch(mark, /^[\w-]{8}$/);
  assertEquals(new Set(marks).size, marks.length);
  // After a restart, from another address, beside other cookies.
  const later = new Visitors(SECRET);
  assertEquals(await markOf(later, withCookie(`a=b; ${ann}; c=d`), "10.0.0.9", ""), marks[0]);
  assertNotEquals(
    await markOf(new Visitors(new Uint8Array(32)), withCookie(ann), "10.0.0.1", ""),
    marks[0],
  );
});

Deno.test("Visitors take a cookie that they have not signed for none", async () => {
  const visitors = new Visitors(SECRET);
  const cookie = await newCookie(visitors);
  const byAddress = await markOf(visitors, new Request(ORIGIN), "10.0.0.1", "");
  const forged = [
    cookie.slice(0, -1) + (cookie.endsWith("A") ? "B" : "A"),
    cookie.replace("=", "=A"),
    cookie.replace(/\.\w+\./, ".1."),
    "chat-visitor=",
    `chat-visitor=${"x".repeat(9000)}`,
  ];
  for (const each of forged) {
    assertEquals(await markOf(visitors, withCookie(each), "10.0.0.1", ""), byAddress, each);
    assert(await visitors.greet(withCookie(each), false) !== undefined);
  }
});

Deno.test("Visitors find their cookie among others of its name", async () => {
  const visitors = new Visitors(SECRET);
  const foreign = await newCookie(new Visitors(new Uint8Array(32)));
  const own = await newCookie(visitors);
  const mark = await markOf(visitors, withCookie(own), "10.0.0.1", "");
  assertEquals(await markOf(visitors, withCookie(`${foreign}; ${own}`), "10.0.0.1", ""), mark);
  assertEquals(await visitors.greet(withCookie(`${foreign}; ${own}`), false), undefined);
});

Deno.test("GET / and the plain page give a visitor a cookie, once", async () => {
  await using chat = await openRoom();
  for (const path of ["/", "/biology", "/chat?html"]) {
    const first = await chat.ask(path);
    const [cookie, ...attributes] = first.headers.get("set-cookie")!.split("; ");
    assertEquals(attributes, ["Max-Age=34560000", "HttpOnly", "SameSite=Lax"]);
    assertMatch(first.headers.get("cache-control")!, /^private/);
    const again = await chat.ask(path, { headers: { cookie } });
    assertEquals(again.headers.get("set-cookie"), null);
    await first.body?.cancel();
    await again.body?.cancel();
  }
});

Deno.test("POST /chat marks a message with its sender, whatever fields are posted", async () => {
  await using chat = await openRoom();
  const post = async (cookie: string) => {
    const response = await chat.post(form({ message: "hi", nickname: "Ann", by: "forged00" }), {
      cookie,
    });
    return (await response.json()).by;
  };
  const cookies = [];
  for (let n = 0; n < 2; n++) {
    const page = await chat.ask("/");
    cookies.push(page.headers.get("set-cookie")!.split(";", 1)[0]);
    await page.body?.cancel();
  }
  const [ann, other] = [await post(cookies[0]), await post(cookies[1])];
  assertNotEquals(ann, other);
  assertNotEquals(ann, "forged00");
  assertEquals(await post(cookies[0]), ann);
});
