/** The page in a real browser, against the program as a user starts it. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { ChatProcess } from "../chat_process.ts";
import { EventReader } from "../event_reader.ts";
import { launchBrowser } from "./browser.ts";

let browser: Browser;
Deno.test.beforeAll(async () => {
  browser = await launchBrowser();
});
Deno.test.afterAll(() => browser.close());

/** A browser of its own for someone, at the page. */
async function visit(url: string, options?: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("pageerror", (error) => {
    throw error;
  });
  await page.goto(url);
  return page;
}

async function send(page: Page, nickname: string, message: string): Promise<void> {
  await page.getByLabel("Nickname").fill(nickname);
  await page.getByLabel("Message").fill(message);
  await page.getByRole("button", { name: "Send" }).click();
}

/** Waits for a message in the conversation. */
async function see(page: Page, text: string): Promise<void> {
  await page.getByRole("log").getByText(text, { exact: true }).waitFor();
}

Deno.test("two people talk", async () => {
  await using chat = await ChatProcess.start();
  await using ann = (await visit(chat.url)).context();
  const [annPage] = ann.pages();
  const benPage = await visit(chat.url);
  await using _ben = benPage.context();
  await annPage.getByRole("status").getByText("2 online").waitFor();
  await send(annPage, "ann", "hello ben");
  await see(benPage, "hello ben");
  await send(benPage, "ben", "hello ann");
  await see(annPage, "hello ann");
  assertEquals(await annPage.getByLabel("Message").inputValue(), "");
  assertEquals(await annPage.locator(".author").allTextContents(), ["ann", "ben"]);
});

Deno.test("markup in a message or a name is text", async () => {
  await using chat = await ChatProcess.start();
  const page = await visit(chat.url);
  await using _context = page.context();
  const markup =
    "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>";
  await send(page, "<b>ann</b>", markup);
  await see(page, markup);
  await see(page, "<b>ann</b>");
  assertEquals(await page.title(), "Simple Chat");
  assertEquals(await page.locator("[role=log] img, [role=log] b, [role=log] script").count(), 0);
});

Deno.test("a page that loses the server and gets it back goes on by itself", async () => {
  await using chat = await ChatProcess.start();
  const page = await visit(chat.url);
  await using _context = page.context();
  await page.getByRole("status").getByText("1 online").waitFor();
  await chat.stop("SIGTERM");
  await page.getByRole("status").getByText("Reconnecting").waitFor();

  await page.getByLabel("Message").fill("kept");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("alert").getByText("Not sent").waitFor();
  assertEquals(await page.getByLabel("Message").inputValue(), "kept");

  await using _again = await ChatProcess.start(["--port", String(chat.port)]);
  await page.getByRole("status").getByText("1 online").waitFor();
  await page.getByRole("button", { name: "Send" }).click();
  await see(page, "kept");
});

Deno.test("Enter sends, Shift+Enter breaks the line, and a refusal shows its reason", async () => {
  await using chat = await ChatProcess.start();
  const page = await visit(chat.url);
  await using _context = page.context();
  const message = page.getByLabel("Message");
  await message.fill("one");
  await message.press("Shift+Enter");
  await message.pressSequentially("two");
  await message.press("Enter");
  await see(page, "one\ntwo");
  await message.fill("x".repeat(4001));
  await message.press("Enter");
  await page.getByRole("alert").getByText("the most is 4,000").waitFor();
  assertEquals((await message.inputValue()).length, 4001);
});

// Elsewhere than at localhost a browser sends no Sec-Fetch-Site, so Origin decides.
for (const host of ["localhost", "chat.test"]) {
  Deno.test(`the form posts without script, at ${host}`, async () => {
    await using chat = await ChatProcess.start();
    await using reader = new EventReader(await fetch(`${chat.url}/chat`));
    const page = await visit(`http://${host}:${chat.port}/`, { javaScriptEnabled: false });
    await using _context = page.context();
    assertStringIncludes(await page.locator("noscript").innerText(), "Without JavaScript");
    await send(page, "ann", "no script needed");
    const { nickname, message } = await reader.nextMessage();
    assertEquals([nickname, message], ["ann", "no script needed"]);
    assertEquals(page.url(), `http://${host}:${chat.port}/`);
  });
}
