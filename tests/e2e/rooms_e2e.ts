/// <reference lib="dom" />
/** Rooms as a person sees them: ways between them, what is new there, and the invitation. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { post } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { startNginx } from "./nginx.ts";
import { useBrowser, Visitor } from "./browser.ts";

const browser = useBrowser();

/** The dialog that is open. */
function dialog({ page }: Visitor) {
  return page.getByRole("dialog");
}

async function press({ page }: Visitor, name: string): Promise<void> {
  await page.getByRole("button", { name, exact: true }).click();
}

Deno.test("what is said in a room stays there, as do names and drafts", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), `${chat.url}/biology`);
  await using ben = await Visitor.arrive(browser(), chat.url);
  await ann.send("hello biology", "ann");
  await ann.see("hello biology");
  await ann.message.fill("half a thought");
  await post(chat.url, "hello main room");
  await ben.see("hello main room");
  assertEquals(await ben.texts, ["hello main room"]);
  assertEquals(await ann.texts, ["hello biology"]);
  assertEquals(await ann.page.title(), "biology · Simple Chat");
  await ann.page.goto(chat.url);
  await ann.see("hello main room");
  assertEquals(await ann.message.inputValue(), "");
  await ann.page.goto(`${chat.url}/Biology/`);
  await ann.see("hello biology");
  assertEquals(await ann.message.inputValue(), "half a thought");
  assertEquals(ann.page.url(), `${chat.url}/biology`);
});

Deno.test("the heading leads to another room, and says what is new where one has been", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await ann.connection("1 online");
  await press(ann, "Simple Chat");
  await dialog(ann).getByLabel("Go to a room").fill("?");
  await ann.page.keyboard.press("Enter");
  await dialog(ann).getByText("a letter or digit first").waitFor();
  await dialog(ann).getByLabel("Go to a room").fill("Group Two");
  await ann.page.keyboard.press("Enter");
  await ann.page.waitForURL(`${chat.url}/group-two`);
  await ann.connection("1 online");
  for (let n = 0; n < 3; n++) await post(chat.url, `news ${n}`);
  await press(ann, "group-two");
  const main = dialog(ann).getByRole("listitem").filter({ hasText: "Main room" });
  await main.getByText("3 new").waitFor();
  const here = dialog(ann).getByRole("link", { name: "group-two" });
  assertEquals(await here.getAttribute("aria-current"), "page");
  await main.getByRole("link").click();
  await ann.see("news 2");
  await ann.connection("1 online");
  await press(ann, "Simple Chat");
  await dialog(ann).getByRole("link", { name: "group-two" }).waitFor();
  assertEquals(await dialog(ann).getByText("new", { exact: false }).count(), 0);
  await ann.page.keyboard.press("Escape");
  assertEquals(await dialog(ann).count(), 0);
});

Deno.test("tabs in eight rooms are all served, those that were looked at last at once", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), `${chat.url}/room1`);
  const tabs = [ann];
  for (let n = 2; n <= 8; n++) {
    const tab = await ann.openTab();
    await tab.page.goto(`${chat.url}/room${n}`);
    tabs.push(tab);
    await tab.connection("1 online");
  }
  for (const [n, tab] of tabs.entries()) await tab.send(`to room ${n + 1}`, "ann");
  for (const [n, tab] of tabs.entries()) await tab.see(`to room ${n + 1}`);
  for (let n = 1; n <= 8; n++) await post(`${chat.url}/room${n}`, `answer ${n}`);
  for (const [n, tab] of tabs.entries()) await tab.see(`answer ${n + 1}`);
  await ann.look(false);
  await ann.look(true);
  await ann.connection("1 online");
  for (const [n, tab] of tabs.entries()) {
    assertEquals(await tab.texts, [`to room ${n + 1}`, `answer ${n + 1}`]);
  }
});

Deno.test("two people of one name are two", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await using other = await Visitor.arrive(browser(), chat.url);
  await using reader = await Visitor.arrive(browser(), chat.url);
  await ann.send("I am Ann", "Ann");
  await reader.see("I am Ann");
  await ann.send("the first");
  await reader.see("the first");
  await other.send("so am I", "Ann");
  await reader.see("so am I");
  const entries = reader.page.locator(".transcript .entry");
  assertEquals(
    await entries.evaluateAll((all) => all.map((one) => one.classList.contains("continued"))),
    [false, true, false],
  );
});

Deno.test("the invitation is an address that others can reach, as text and as a code", async () => {
  await using chat = await ChatProcess.start(["--hostname", "0.0.0.0"]);
  await using ann = await Visitor.arrive(browser(), `${chat.url}/biology`, {
    permissions: ["clipboard-read", "clipboard-write"],
  });
  await press(ann, "Invite");
  await dialog(ann).getByRole("button", { name: "Copy" }).waitFor();
  const address = await dialog(ann).locator(".address").textContent();
  assertMatch(address!, /^http:\/\/\d+\.\d+\.\d+\.\d+:\d+\/biology$/);
  assert(!address!.includes("127.0.0.1"), address!);
  await dialog(ann).getByRole("img", { name: address! }).waitFor();
  await press(ann, "Copy");
  await dialog(ann).getByRole("button", { name: "Copied" }).waitFor();
  assertEquals(await ann.page.evaluate(() => navigator.clipboard.readText()), address);
  await press(ann, "Close");
  await dialog(ann).waitFor({ state: "detached" });
});

Deno.test("the invitation says how to let others in where nobody else can come", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await press(ann, "Invite");
  await dialog(ann).getByText("--hostname 0.0.0.0").waitFor();
});

Deno.test("the invitation is copied over plain HTTP too, where there is no clipboard", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), `http://chat.test:${chat.port}/biology`);
  assertEquals(await ann.page.evaluate(() => "clipboard" in navigator), false);
  await press(ann, "Invite");
  await dialog(ann).locator(".address", { hasText: `http://chat.test:${chat.port}/biology` })
    .waitFor();
  await press(ann, "Copy");
  await dialog(ann).getByRole("button", { name: "Copied" }).waitFor();
});

Deno.test("rooms and invitations work under a path that a proxy has put the chat under", async () => {
  await using chat = await ChatProcess.start();
  await using nginx = await startNginx(
    `location /a/b/ { proxy_pass ${chat.url}/; proxy_set_header Host $http_host; }`,
  );
  const page = `${nginx.url.replace("127.0.0.1", "chat.test")}/a/b/`;
  await using ann = await Visitor.arrive(browser(), page);
  await ann.connection("1 online");
  await press(ann, "Simple Chat");
  await dialog(ann).getByLabel("Go to a room").fill("biology");
  await ann.page.keyboard.press("Enter");
  await ann.page.waitForURL(`${page}biology`);
  await ann.send("hello", "ann");
  await ann.see("hello");
  await press(ann, "Invite");
  await dialog(ann).locator(".address", { hasText: `${page}biology` }).waitFor();
});
