/** What a browser may deny or lack: the page does without it, and everything else works. */

import { assertEquals } from "@std/assert";
import { post } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { newFolder } from "../folder.ts";
import { launchForgetfulBrowser, useBrowser, Visitor } from "./browser.ts";

const browser = useBrowser();

/** What goes before the page's scripts, by what it takes away. */
const DENIED: Record<string, () => void> = {
  "storage": () => {
    for (const name of ["localStorage", "sessionStorage"]) {
      Object.defineProperty(globalThis, name, {
        get() {
          throw new DOMException("blocked", "SecurityError");
        },
      });
    }
  },
  "storage, as in a WebView": () => {
    Object.defineProperty(globalThis, "localStorage", { value: null });
  },
  "any room left in storage": () => {
    Storage.prototype.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  },
  "locks": () => {
    Object.defineProperty(Navigator.prototype, "locks", {
      value: { request: () => Promise.reject(new DOMException("denied", "SecurityError")) },
    });
  },
  "workers and channels": () => {
    for (const name of ["SharedWorker", "BroadcastChannel"]) {
      Object.defineProperty(globalThis, name, {
        value: function () {
          throw new DOMException("denied", "SecurityError");
        },
      });
    }
  },
  "sounds and notifications": () => {
    Reflect.deleteProperty(globalThis, "Notification");
    Object.defineProperty(globalThis, "AudioContext", {
      value: function () {
        throw new DOMException("denied", "NotSupportedError");
      },
    });
  },
  "asking for notifications": () => {
    Notification.requestPermission = () => Promise.reject(new TypeError("denied"));
  },
};

for (const [name, deny] of Object.entries(DENIED)) {
  Deno.test(`without ${name} the page reads and sends`, async () => {
    await using chat = await ChatProcess.start();
    await using ann = await Visitor.arrive(browser(), "about:blank");
    await ann.page.context().addInitScript(deny);
    await ann.page.goto(chat.url);
    await ann.connection("1 online");
    await ann.page.locator(".notify").click();
    await ann.send("one", "ann");
    await ann.see("one");
    const tab = await ann.openTab();
    await tab.connection(/online/);
    await tab.send("two", "ann");
    await ann.see("two");
    await post(chat.url, "three");
    await ann.see("three");
    assertEquals(await ann.texts, ["one", "two", "three"]);
    assertEquals(tab.errors, []);
  });
}

Deno.test("in a browser that keeps nothing for any site the page reads and sends", async () => {
  await using chat = await ChatProcess.start();
  await using folder = await newFolder();
  const context = await launchForgetfulBrowser(folder.path);
  await using ann = await Visitor.open(context, chat.url);
  assertEquals(
    await ann.page.evaluate(() => {
      try {
        return typeof localStorage;
      } catch (error) {
        return (error as Error).name;
      }
    }),
    "SecurityError",
  );
  await ann.connection("1 online");
  await ann.send("one", "ann");
  await ann.see("one");
  await ann.send("two");
  await ann.see("two");
  // Five more are all that the browser has connections for, were they not let go.
  for (let n = 0; n < 6; n++) {
    await ann.look(false);
    const tab = await ann.openTab();
    await tab.connection("online");
    await tab.send(`from tab ${n}`);
    await tab.see(`from tab ${n}`);
    await tab.look(false);
  }
});
