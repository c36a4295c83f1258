/**
 * Takes the pictures in docs/screenshots/ of a chat that it starts:
 * `deno run --allow-all tests/e2e/screenshots.ts`
 */

import type { BrowserContextOptions, Page } from "playwright-core";
import { ChatProcess } from "../chat_process.ts";
import { launchBrowser } from "./browser.ts";

const FOLDER = new URL("../../docs/screenshots/", import.meta.url);
const WIDE = { viewport: { width: 900, height: 600 } };

const CONVERSATION = [
  ["ann", "Good morning! Is everybody in?"],
  ["ben", "Here 👋"],
  ["Chiara", "Here too. Where do we find today's exercise?"],
  [
    "ann",
    "In the shared folder, under week 3.\nStart with the first part, the second one needs it.",
  ],
  ["ליאור", "תודה, מצאתי"],
  ["ben", "Does the stream end when my laptop sleeps?"],
  ["ann", "It does, and your page picks it up where it was."],
];

await using browser = await launchBrowser();

/** Takes one picture of a new chat, after `prepare` has brought it where it should be. */
async function picture(
  name: string,
  options: BrowserContextOptions,
  prepare: (page: Page, chat: ChatProcess) => Promise<void>,
): Promise<void> {
  await using chat = await ChatProcess.start();
  await using context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  await page.goto(chat.url);
  await page.getByText("1 online").waitFor();
  await prepare(page, chat);
  await page.screenshot({ path: new URL(`${name}.png`, FOLDER).pathname });
}

async function converse(page: Page, chat: ChatProcess): Promise<void> {
  for (const [nickname, message] of CONVERSATION) {
    const body = new URLSearchParams({ nickname, message });
    await (await fetch(`${chat.url}/chat`, { method: "POST", body })).body?.cancel();
  }
  await page.getByText(CONVERSATION.at(-1)![1]).waitFor();
}

await picture("busy", WIDE, converse);
