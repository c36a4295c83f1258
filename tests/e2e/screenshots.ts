/**
 * Takes the pictures in docs/screenshots/ of chats that it starts:
 * `deno run --allow-all tests/e2e/screenshots.ts`
 */

import type { BrowserContextOptions } from "playwright-core";
import { post } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { launchBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";
import { arriveAsModerator, moderate, Newcomer, startModerated } from "./moderated_chat.ts";

const FOLDER = new URL("../../docs/screenshots/", import.meta.url);
const WIDE = { viewport: { width: 1000, height: 680 } };
const PHONE = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  hasTouch: true,
  isMobile: true,
};
/** 1280 × 1024 at 400 %. */
const ENLARGED = { viewport: { width: 320, height: 256 }, deviceScaleFactor: 2 };

const CONVERSATION = [
  ["ben", "Good morning! Is everybody in?"],
  ["Chiara", "Here. Where do we find today's exercise?"],
  ["ann", "In the shared folder, under week 3."],
  ["ann", "Start with the first part, the second one needs it:\nhttps://example.org/week-3"],
  ["ליאור", "תודה, מצאתי"],
  ["ben", "Does the stream end when my laptop sleeps?"],
  ["ann", "It does, and your page picks it up where it was."],
];

await using browser = await launchBrowser();

/** Takes one picture of a new chat that ann visits, once `prepare` has brought it there. */
async function picture(
  name: string,
  options: BrowserContextOptions,
  prepare: (ann: Visitor, network: FlakyNetwork, url: string) => Promise<void>,
  flags: string[] = [],
): Promise<void> {
  await using chat = await ChatProcess.start(flags);
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser, network.url, options);
  await ann.connection("1 online");
  await ann.nickname.fill("ann");
  await prepare(ann, network, chat.url);
  await ann.page.screenshot({ path: new URL(`${name}.png`, FOLDER).pathname });
}

/** With the button: on a touch screen Enter breaks the line. */
async function send(ann: Visitor, message: string): Promise<void> {
  await ann.message.fill(message);
  await ann.page.getByRole("button", { name: "Send" }).click();
}

async function converse(ann: Visitor, url: string): Promise<void> {
  for (const [nickname, message] of CONVERSATION) {
    if (nickname === "ann") await send(ann, message);
    else await post(url, message, nickname);
    await ann.see(message);
  }
  await ann.unsent.waitFor({ state: "detached" });
}

await picture("empty", WIDE, (ann) => ann.page.getByText("No messages yet").waitFor());
await picture("busy", WIDE, (ann, _network, url) => converse(ann, url));
await picture("dark", { ...WIDE, colorScheme: "dark" }, (ann, _network, url) => converse(ann, url));
await picture("phone", PHONE, (ann, _network, url) => converse(ann, url));
await picture("enlarged", ENLARGED, (ann, _network, url) => converse(ann, url));
await picture(
  "forced_colors",
  { ...WIDE, colorScheme: "dark", forcedColors: "active" },
  (ann, _network, url) => converse(ann, url),
);
await picture("folded", WIDE, async (ann, _network, url) => {
  await converse(ann, url);
  const lines = Array.from({ length: 60 }, (_, n) => `${n + 1}: a line of what somebody pasted`);
  await post(url, lines.join("\n"), "Dmitri");
  await ann.page.getByRole("button", { name: "Show all" }).waitFor();
});
await picture("not_sent", WIDE, async (ann, network, url) => {
  await converse(ann, url);
  await ann.refuseNextPost(403, "You may not write until 15:30.");
  await send(ann, "What the server refuses stays here.");
  await ann.unsent.getByText("Not sent").waitFor();
  network.cut();
  await ann.connection(/in \d+ s/);
  await send(ann, "And what I write meanwhile?");
  await ann.unsent.getByText("Waiting for the connection").waitFor();
});
await picture("gap", WIDE, async (ann, network, url) => {
  await converse(ann, url);
  network.cut();
  await ann.connection("Reconnecting");
  for (let n = 1; n <= 500; n++) await post(url, `Message ${n} of a long day`);
  network.mend();
  await ann.see("Message 500 of a long day");
  await ann.page.getByText("no longer kept").scrollIntoViewIfNeeded();
}, ["--keep", "10"]);
await picture("rooms", WIDE, async (ann, _network, url) => {
  await converse(ann, url);
  for (const room of ["biology", "group-1"]) {
    await ann.page.goto(new URL(room, ann.page.url()).href);
    await ann.connection("1 online");
  }
  await post(`${url}/biology`, "Have you seen the new microscope?", "Chiara");
  await ann.page.goto(new URL("/", ann.page.url()).href);
  await ann.page.getByRole("button", { name: "Simple Chat" }).click();
  await ann.page.getByText("1 new").waitFor();
});
await picture("invitation", PHONE, async (ann, _network, url) => {
  await ann.page.goto(`http://chat.test:${new URL(url).port}/biology`);
  await ann.page.getByRole("button", { name: "Invite" }).click();
  await ann.page.getByRole("img", { name: "/biology" }).waitFor();
});

/** Takes one picture of what a moderator sees, who has removed something. */
async function moderated(
  name: string,
  options: BrowserContextOptions,
  prepare: (moran: Visitor) => Promise<unknown>,
): Promise<void> {
  await using chat = await startModerated();
  await using moran = await arriveAsModerator(browser, chat.url, options);
  const [ben, chiara, troll] = await Promise.all(
    Array.from({ length: 3 }, () => Newcomer.arrive(chat.url)),
  );
  await ben.post("Is everybody in?", "ben");
  await moran.nickname.fill("Ms Moran");
  await send(moran, "Good morning! We start in five minutes.");
  await moran.unsent.waitFor({ state: "detached" });
  await chiara.post("Good morning", "Chiara");
  const { id } = await troll.post("Something that nobody should read", "incognito");
  await moran.see("Something that nobody should read");
  await moderate(chat.url, { action: "remove", id });
  await troll.post("You can't stop me", "incognito");
  await moran.see("You can't stop me");
  await moran.page.getByText("A moderator removed a message").last().waitFor();
  await prepare(moran);
  await moran.page.screenshot({ path: new URL(`${name}.png`, FOLDER).pathname });
}

await moderated("moderation", WIDE, async ({ page }) => {
  const entry = page.locator(".entry", { hasText: "You can't stop me" });
  await entry.hover();
  await entry.getByRole("button", { name: "Moderate" }).click();
  await page.getByText("What is removed is gone for good").waitFor();
});
await moderated("moderated", { ...PHONE, colorScheme: "dark" }, async ({ page }) => {
  await page.locator(".act").last().tap();
  await page.getByRole("button", { name: "1 hour" }).tap();
  await page.locator(".deed").getByText("incognito is muted until").waitFor();
  await page.getByRole("dialog").waitFor({ state: "detached" });
});

{
  await using chat = await ChatProcess.start(["--title", "Biology 8b"], {
    env: { CHAT_PASSWORD: "what everybody knows" },
  });
  await using ann = await Visitor.arrive(browser, chat.url, PHONE);
  await ann.page.locator("[name=password]").waitFor();
  await ann.page.screenshot({ path: new URL("sign_in.png", FOLDER).pathname });
}
