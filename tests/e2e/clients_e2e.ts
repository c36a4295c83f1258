/** Pages of another site take part in a chat that lets them, by the chat's client. */

import { assertEquals } from "@std/assert";
import { basic, post, readTexts } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { example } from "../client_examples.ts";
import { until } from "../until.ts";
import { useBrowser, Visitor } from "./browser.ts";

const browser = useBrowser();

/** Another site, whose page can be written once the chat is there that has to know its address. */
function openSite() {
  let html = "";
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    return new Response(html, { headers: { "content-type": "text/html; charset=utf-8" } });
  });
  return {
    origin: `http://127.0.0.1:${server.addr.port}`,
    set page(text: string) {
      html = text;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("the example for a page reads, writes and takes out what is removed", async () => {
  await using site = openSite();
  await using chat = await ChatProcess.start([
    ...["--allow-origin", site.origin, "--moderator-password", "quite secret"],
  ]);
  site.page = await example("html", chat.url);
  const room = `${chat.url}/biology`;
  const { id } = await post(room, "said before");
  await using ann = await Visitor.arrive(browser(), site.origin);
  await ann.page.getByText("ben: said before").waitFor();
  await ann.page.getByLabel("Message").fill("from elsewhere");
  await ann.page.getByRole("button", { name: "Send" }).click();
  await ann.page.getByText("ann: from elsewhere").waitFor();
  assertEquals(await readTexts(room), ["said before", "from elsewhere"]);
  const init = { method: "POST", headers: basic("quite secret") };
  const body = new URLSearchParams({ action: "remove", id });
  await (await fetch(`${room}/moderation`, { ...init, body })).body?.cancel();
  await ann.page.getByText("said before").waitFor({ state: "detached" });
  assertEquals(ann.errors, []);
});

Deno.test("a worker of another site's page follows a chat with a password", async () => {
  await using site = openSite();
  await using chat = await ChatProcess.start([
    ...["--allow-origin", site.origin, "--password", "quite secret"],
  ]);
  site.page = "<!doctype html><title>Another site</title>";
  await using ann = await Visitor.arrive(browser(), site.origin);
  const script = `
    import { Chat } from "${chat.url}/client.js";
    const chat = new Chat(undefined, { nickname: "worker", password: "quite secret" });
    for await (const { type, detail } of chat) {
      if (detail.message === "Who is there?") await chat.send("A worker");
    }`;
  await ann.page.evaluate((script) => {
    const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    new Worker(address, { type: "module" });
  }, script);
  const headers = { ...basic("quite secret"), accept: "application/json" };
  const body = new URLSearchParams({ message: "Who is there?" });
  await (await fetch(`${chat.url}/chat`, { method: "POST", headers, body })).body?.cancel();
  await until(async () => {
    const messages = await (await fetch(`${chat.url}/chat`, { headers })).json();
    return messages.some(({ message }: { message: string }) => message === "A worker");
  });
  assertEquals(ann.errors, []);
});
