/** The chat in browsers that run no script: a graphical one, and lynx. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { post } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { newFolder } from "../folder.ts";
import { useBrowser, Visitor } from "./browser.ts";

const browser = useBrowser();

// Elsewhere than at localhost a browser sends no Sec-Fetch-Site, so Origin decides.
for (const host of ["localhost", "chat.test"]) {
  Deno.test(`without script one reads and writes on the plain page, at ${host}`, async () => {
    await using chat = await ChatProcess.start();
    await post(chat.url, "said before");
    await using ann = await Visitor.arrive(browser(), `http://${host}:${chat.port}/`, {
      javaScriptEnabled: false,
    });
    assert(await ann.page.locator(".notify").isHidden());
    await ann.nickname.fill("ann");
    await ann.message.fill("no script needed");
    await ann.page.getByRole("button", { name: "Send" }).click();
    await ann.see("no script needed");
    await ann.see("said before");

    await post(chat.url, "said meanwhile");
    await ann.page.goto(`http://${host}:${chat.port}/`);
    await ann.page.getByRole("link", { name: "plain page" }).click();
    await ann.page.getByRole("button", { name: "Write a message" }).click();
    await ann.nickname.fill("ann");
    await ann.message.fill("said at last");
    await ann.page.getByRole("button", { name: "Send" }).click();
    await ann.see("said at last");
    await ann.page.getByRole("button", { name: "Write a message" }).click();
    assertEquals(await ann.nickname.inputValue(), "ann");
    const all = ["said at last", "said meanwhile", "no script needed", "said before"];
    assertEquals(await ann.page.locator(".transcript .text").allInnerTexts(), all);
  });
}

Deno.test("lynx shows the chat, and what is typed there arrives", async () => {
  await using chat = await ChatProcess.start();
  await post(chat.url, "said before\nin two lines", "ben");
  const address = `${chat.url}/chat`;
  assertMatch(
    await lynx("-dump", address),
    /ben, \d\d:\d\d\n {7}said before\n {7}in two lines\n/,
  );

  await using folder = await newFolder();
  const script = `${folder.path}/keys`;
  // To the button, to the page to write on, to its fields one after the other, to Send, and out.
  const keys = ["<tab>", "^J", ..."ann", "<tab>", ..."hello", "<tab>", "^J", "Q", "y"];
  await Deno.writeTextFile(script, keys.map((key) => `key ${key}\n`).join(""));
  await lynx("-accept_all_cookies", `-cmd_script=${script}`, address);
  assertMatch(await lynx("-dump", address), /ann, \d\d:\d\d\n {7}hello\n/);
});

/** What lynx prints. */
async function lynx(...args: string[]): Promise<string> {
  const command = new Deno.Command("lynx", { args, env: { TERM: "vt100", LC_ALL: "C.UTF-8" } });
  return new TextDecoder().decode((await command.output()).stdout);
}
