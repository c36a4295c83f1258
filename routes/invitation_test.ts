import { assertEquals, assertStringIncludes } from "@std/assert";
import { assertProblem, openChat, openRoom } from "../tests/open_room.ts";

/** The address that an invitation leads to. */
async function addressIn(response: Response): Promise<string> {
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "image/svg+xml");
  assertEquals(response.headers.get("cache-control"), "no-store");
  return /^<svg [^>]*><title>(.*?)<\/title>/.exec(await response.text())![1];
}

Deno.test("GET /invite.svg leads to the page that asks, as others reach it", async () => {
  await using chat = await openRoom();
  const ours = { "sec-fetch-site": "same-origin" };
  const cases: [path: string, headers: HeadersInit, address: string][] = [
    ["/invite.svg", {}, "http://192.168.1.20:4567/"],
    ["/%C3%A9cole/invite.svg", {}, "http://192.168.1.20:4567/%C3%A9cole"],
    [
      "/invite.svg",
      { referer: "http://localhost:4567/?a#b", ...ours },
      "http://192.168.1.20:4567/",
    ],
    [
      "/biology/invite.svg",
      { referer: "https://chat.example.com/a/b/biology", ...ours },
      "https://chat.example.com/a/b/biology",
    ],
    // Over plain HTTP browsers say nothing of the site.
    [
      "/biology/invite.svg",
      { referer: "http://192.0.2.7/biology", host: "192.0.2.7" },
      "http://192.0.2.7/biology",
    ],
    [
      "/invite.svg",
      { referer: "https://evil.example.com/", "sec-fetch-site": "cross-site" },
      "http://192.168.1.20:4567/",
    ],
    ["/invite.svg", { referer: "https://evil.example.com/" }, "http://192.168.1.20:4567/"],
    // It is not the page of the room, or too long for a code.
    [
      "/biology/invite.svg",
      { referer: "http://localhost:4567/physics", ...ours },
      "http://192.168.1.20:4567/biology",
    ],
    [
      "/invite.svg",
      { referer: `http://localhost:4567/${"a/".repeat(2000)}`, ...ours },
      "http://192.168.1.20:4567/",
    ],
  ];
  for (const [path, headers, address] of cases) {
    assertEquals(await addressIn(await chat.ask(path, { headers })), address);
  }
});

Deno.test("GET /invite.svg says how to let others in where nobody else can come", async () => {
  for (const hosts of [[], ["fe80::1%eth0"]]) {
    await using chat = await openChat([], { hosts });
    for (const host of ["localhost", "chat.localhost", "127.0.0.1", "0.0.0.0", "[::1]"]) {
      const response = await chat.handler(new Request(`http://${host}:4567/invite.svg`));
      assertStringIncludes(await assertProblem(response, 404), "--hostname");
    }
  }
});

Deno.test("GET /NAME/invite.svg is there for the rooms that may be", async () => {
  await using chat = await openRoom("--rooms", "none");
  await assertProblem(await chat.ask("/biology/invite.svg"), 404);
});
