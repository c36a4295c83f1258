/** Signing in where the chat asks everybody for a password. */

import { assert, assertEquals } from "@std/assert";
import { ChatProcess } from "../chat_process.ts";
import { violations } from "./axe.ts";
import { useBrowser, Visitor } from "./browser.ts";

const PASSWORD = "correct horse";
const browser = useBrowser();

function startChat(args: string[] = []): Promise<ChatProcess> {
  return ChatProcess.start(args, { env: { CHAT_PASSWORD: PASSWORD } });
}

async function signIn({ page }: Visitor, password: string): Promise<void> {
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

for (const host of ["localhost", "chat.test"]) {
  Deno.test(`a person signs in and then takes part, at ${host}`, async () => {
    await using chat = await startChat();
    const url = `http://${host}:${chat.port}`;
    await using ann = await Visitor.arrive(browser(), `${url}/biology`);
    await signIn(ann, "wrong password");
    await ann.page.getByText("That is not the password.").waitFor();
    await signIn(ann, PASSWORD);
    await ann.connection("Live");
    assertEquals(ann.page.url(), `${url}/biology`);
    await ann.send("hello", "ann");
    await ann.see("hello");
    const manifest = await ann.page.evaluate(() =>
      fetch("manifest.webmanifest").then(({ status }) => status)
    );
    assertEquals(manifest, 200);
    await using tab = await ann.openTab();
    await tab.see("hello");
  });
}

Deno.test("signing in and out takes no script", async () => {
  await using chat = await startChat();
  await using ann = await Visitor.arrive(browser(), `${chat.url}/biology/chat?html`, {
    javaScriptEnabled: false,
  });
  await signIn(ann, PASSWORD);
  await ann.page.getByRole("button", { name: "Write a message" }).click();
  await ann.message.fill("no script needed");
  await ann.page.getByRole("button", { name: "Send" }).click();
  await ann.see("no script needed");
  await ann.page.goto(`${chat.url}/session`);
  await ann.page.getByRole("button", { name: "Sign out" }).click();
  await ann.page.getByLabel("Password").waitFor();
  const response = await ann.page.goto(`${chat.url}/biology/chat?html`);
  assertEquals(response?.status(), 401);
});

Deno.test("whoever is signed in gets in by a link on another site's page", async () => {
  await using chat = await startChat();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await signIn(ann, PASSWORD);
  await ann.connection("Live");
  // Of another site for a browser.
  await ann.page.route(
    "http://other.test/",
    (route) =>
      route.fulfill({
        contentType: "text/html",
        body: `<a href="${chat.url}/biology">Biology</a>`,
      }),
  );
  await ann.page.goto("http://other.test/");
  await ann.page.getByRole("link").click();
  await ann.connection("Live");
  assertEquals(ann.page.url(), `${chat.url}/biology`);
  // Those who are not are asked for the password, once.
  await ann.page.context().clearCookies();
  await ann.page.goto("http://other.test/");
  await ann.page.getByRole("link").click();
  await signIn(ann, PASSWORD);
  await ann.connection("Live");
});

Deno.test("the sign-in page is accessible, on a phone and in the dark", async () => {
  await using chat = await startChat();
  for (const colorScheme of ["light", "dark"] as const) {
    await using ann = await Visitor.arrive(browser(), chat.url, {
      colorScheme,
      viewport: { width: 320, height: 256 },
    });
    await signIn(ann, "wrong password");
    await ann.page.getByText("That is not the password.").waitFor();
    assertEquals(await violations(ann.page, []), [], colorScheme);
    const width = await ann.page.evaluate(() => document.documentElement.scrollWidth);
    assert(width <= 320, `${width} px wide`);
  }
});
