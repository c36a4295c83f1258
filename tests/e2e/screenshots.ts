/**
 * Takes the pictures in docs/screenshots/ of chats that it starts:
 * `deno run --allow-all tests/e2e/screenshots.ts`
 */

import type { BrowserContextOptions } from "playwright-core";
import { ChatProcess } from "../chat_process.ts";
import { launchBrowser, post, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";

const FOLDER = new URL("../../docs/screenshots/", import.meta.url);
const WIDE = { viewport: { width: 1000, height: 680 } };
const PHONE = { viewport: { width: 360, height: 700 }, deviceScaleFactor: 2, hasTouch: true };

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

async function converse(ann: Visitor, url: string): Promise<void> {
  for (const [nickname, message] of CONVERSATION) {
    if (nickname === "ann") await ann.send(message);
    else await post(url, message, nickname);
    await ann.see(message);
  }
  await ann.unsent.waitFor({ state: "detached" });
}

await picture("empty", WIDE, (ann) => ann.page.getByText("No messages yet").waitFor());
await picture("busy", WIDE, (ann, _network, url) => converse(ann, url));
await picture("dark", { ...WIDE, colorScheme: "dark" }, (ann, _network, url) => converse(ann, url));
await picture("phone", PHONE, (ann, _network, url) => converse(ann, url));
await picture("reconnecting", WIDE, async (ann, network, url) => {
  await converse(ann, url);
  network.cut();
  await ann.connection(/in \d+ s/);
});
await picture("not_sent", WIDE, async (ann, network, url) => {
  await converse(ann, url);
  network.cut();
  await ann.connection("Reconnecting");
  await ann.send("And what I write meanwhile?");
  await ann.unsent.getByText("Not sent").waitFor();
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
