/** The page over HTTPS, where a browser has one connection to the server for everything. */

import { assertEquals } from "@std/assert";
import { makeCertificate } from "../certificate_files.ts";
import { ChatProcess } from "../chat_process.ts";
import { newFolder } from "../folder.ts";
import { useBrowser, Visitor } from "./browser.ts";

const browser = useBrowser();

Deno.test("over HTTP/2 eight rooms are live at once", async () => {
  await using folder = await newFolder();
  const { cert, key } = await makeCertificate(folder.path, "chat");
  await using chat = await ChatProcess.start(["--tls-cert", cert, "--tls-key", key]);
  const context = await browser().newContext({ locale: "en-GB", ignoreHTTPSErrors: true });
  const tabs: Visitor[] = [];
  for (let n = 1; n <= 8; n++) {
    const tab = await Visitor.open(context, `${chat.url}/room-${n}`);
    tabs.push(tab);
    await tab.connection("1 online");
  }
  // In the order in which they were opened: the first would be the first to lose its stream.
  for (const [n, tab] of tabs.entries()) {
    assertEquals(await tab.page.locator(".connection").innerText(), "Live\n1 online");
    await tab.send(`hello ${n}`, "ann");
    await tab.see(`hello ${n}`);
    assertEquals(await tab.page.locator(".outbox .entry").count(), 0);
  }
  for (const tab of tabs) assertEquals(tab.errors, []);
  await context.close();
});
