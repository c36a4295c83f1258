/** The page where something is between it and the chat: a path, an error, a page to sign in at. */

import { assert, assertEquals } from "@std/assert";
import { post, readTexts } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { useBrowser, Visitor } from "./browser.ts";
import { startNginx } from "./nginx.ts";
import { Relay } from "./relay.ts";

const browser = useBrowser();

/** Somebody whose page has a connection of its own, which a test can answer for. */
async function arriveAlone(url: string): Promise<Visitor> {
  const visitor = await Visitor.arrive(browser(), "about:blank");
  await visitor.page.addInitScript(() => Reflect.deleteProperty(globalThis, "SharedWorker"));
  await visitor.page.goto(url);
  return visitor;
}

Deno.test("the page works under any path, and asks for nothing outside it", async () => {
  await using chat = await ChatProcess.start();
  await using nginx = await startNginx(
    `location /a/b/ { proxy_pass ${chat.url}/; proxy_set_header Host $http_host; }`,
  );
  await using ann = await Visitor.arrive(browser(), "about:blank");
  const paths = new Set<string>();
  ann.page.context().on("request", (request) => paths.add(new URL(request.url()).pathname));
  const failed: string[] = [];
  ann.page.context().on("response", (response) => {
    if (response.status() >= 400) failed.push(response.url());
  });
  await ann.page.goto(`${nginx.url}/a/b/`);
  await ann.connection("1 online");
  await ann.send("hello", "ann");
  await ann.see("hello");
  await post(chat.url, "hello ann");
  await ann.see("hello ann");
  await (await ann.openTab()).connection("1 online");
  assertEquals([...paths].filter((path) => !path.startsWith("/a/b/")), []);
  assertEquals(failed, []);
  const { background } = await ann.page.locator("body").evaluate((body) => getComputedStyle(body));
  assert(background.includes("rgb"));
  const session = await ann.page.context().newCDPSession(ann.page);
  const { errors, data, url } = await session.send("Page.getAppManifest");
  assertEquals([errors, url], [[], `${nginx.url}/a/b/manifest.webmanifest`]);
  const manifest = JSON.parse(data!);
  assertEquals(new URL(manifest.start_url, url).pathname, "/a/b/");
  assertEquals(new URL(manifest.icons[0].src, url).pathname, "/a/b/icon.svg");
});

Deno.test("a page that was opened with a name and a password in its address reads and sends", async () => {
  await using chat = await ChatProcess.start();
  await using relay = new Relay(chat.url);
  relay.answer = ({ headers }) =>
    headers.get("authorization") ? undefined : new Response("Who are you?", {
      status: 401,
      headers: { "www-authenticate": 'Basic realm="chat"' },
    });
  await using ann = await Visitor.arrive(browser(), relay.url.replace("//", "//ann:secret@"));
  await ann.connection("1 online");
  await ann.send("hello", "ann");
  await ann.see("hello");
});

Deno.test("what is written for one chat never goes to another at the same address", async () => {
  await using one = await ChatProcess.start();
  await using other = await ChatProcess.start();
  const to = (path: string, { url }: ChatProcess) =>
    `location /${path}/ { proxy_pass ${url}/; proxy_set_header Host $http_host; }`;
  await using nginx = await startNginx(to("one", one) + to("other", other));
  await using ann = await Visitor.arrive(browser(), `${nginx.url}/one/`);
  await ann.connection("Live");
  await one.stop("SIGKILL");
  await ann.send("for the one", "ann");
  await ann.message.fill("half a thought");
  await ann.unsent.getByText("Waiting for the connection").waitFor();
  await ann.page.goto(`${nginx.url}/other/`);
  await ann.connection("Live");
  await ann.send("for the other", "not ann");
  await ann.see("for the other");
  assertEquals(await readTexts(other.url), ["for the other"]);
  assertEquals(await ann.unsent.count(), 0);
});

Deno.test("what a proxy refuses while the chat is away is sent by itself, in order", async () => {
  await using chat = await ChatProcess.start();
  await using nginx = await startNginx(
    `location / { proxy_pass ${chat.url}; proxy_set_header Host $http_host; }`,
  );
  await using ann = await Visitor.arrive(browser(), nginx.url);
  await ann.connection("Live");
  await chat.stop("SIGKILL");
  const refused = ann.page.waitForResponse((response) => response.status() === 502);
  await ann.send("one", "ann");
  await refused;
  await ann.unsent.getByText("Waiting for the connection").waitFor();
  await ann.send("two");
  await using again = await ChatProcess.start(["--port", String(chat.port)]);
  await ann.see("two");
  assertEquals(await readTexts(again.url), ["one", "two"]);
  assertEquals(await ann.unsent.count(), 0);
});

for (
  const [name, answer] of [
    ["a gateway's 504", () => new Response("<h1>Gateway timeout", { status: 504 })],
    ["a redirection", () => new Response("", { status: 302, headers: { location: "/sign-in" } })],
  ] as const
) {
  Deno.test(`a message that is answered with ${name} is sent again, before the next`, async () => {
    await using chat = await ChatProcess.start();
    await using relay = new Relay(chat.url);
    await using ann = await Visitor.arrive(browser(), relay.url);
    await ann.connection("Live");
    let posts = 0;
    relay.answer = ({ method }) => method === "POST" && posts++ === 0 ? answer() : undefined;
    await ann.send("one", "ann");
    await ann.unsent.getByRole("button", { name: "Try again" }).waitFor();
    await ann.send("two");
    await ann.see("two");
    assertEquals(await readTexts(chat.url), ["one", "two"]);
  });
}

for (
  const [name, signIn] of [
    ["redirects", () => new Response("", { status: 302, headers: { location: "/sign-in" } })],
    ["is a page", () => new Response("<h1>Sign in", { headers: { "content-type": "text/html" } })],
    ["is a 401", () => new Response("", { status: 401 })],
  ] as const
) {
  Deno.test(`where a login has run out (${name}) the page leads to where one signs in, and loses nothing`, async () => {
    await using chat = await ChatProcess.start();
    await using relay = new Relay(chat.url);
    await using ann = await arriveAlone(relay.url);
    await ann.connection("Live");
    let isSignedIn = false;
    relay.answer = ({ url }) => !isSignedIn && url.includes("/chat") ? signIn() : undefined;
    // The way out of a stream that a proxy has let in before.
    await ann.page.context().setOffline(true);
    await ann.page.context().setOffline(false);
    await ann.connection("Signed out");
    await ann.send("not lost", "ann");
    await ann.unsent.getByText("Sign in, and it will be sent").waitFor();
    isSignedIn = true;
    // The page itself, in whose place the other one shows its own.
    await ann.page.getByRole("link", { name: "Sign in" }).click();
    await ann.see("not lost");
    assertEquals(await readTexts(chat.url), ["not lost"]);
  });
}

Deno.test("where something holds the stream back the page says so, and misses nothing", async () => {
  // What it takes before it asks for the history depends on the heartbeat.
  await using chat = await ChatProcess.start(["--heartbeat", "1"]);
  await using relay = new Relay(chat.url);
  // Its head arrives, and nothing else.
  relay.answer = ({ headers }) =>
    headers.get("accept") === "text/event-stream"
      ? new Response(new ReadableStream(), { headers: { "content-type": "text/event-stream" } })
      : undefined;
  await using ann = await arriveAlone(relay.url);
  await post(chat.url, "one");
  await ann.connection("Delayed");
  await ann.connection("messages come late");
  await ann.see("one");
  await post(chat.url, "two");
  await ann.send("three", "ann");
  await ann.see("two");
  await ann.see("three");
  relay.answer = () => undefined;
  // Somebody looks: it tries the stream at once.
  await ann.look(false);
  await ann.look(true);
  await ann.connection("1 online");
  await post(chat.url, "four");
  await ann.see("four");
  assertEquals(await ann.texts, ["one", "two", "three", "four"]);
});
