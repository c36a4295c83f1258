/** The page as a whole: what it loads and who it talks to. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { ChatProcess } from "../chat_process.ts";
import { routeWorker, useBrowser, Visitor } from "./browser.ts";

const browser = useBrowser();

Deno.test("two people talk", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await using ben = await Visitor.arrive(browser(), chat.url);
  await ann.connection("2 online");
  await ann.send("hello ben", "ann");
  await ben.see("hello ben");
  await ben.send("hello ann", "ben");
  await ann.see("hello ann");
  assertEquals(await ann.texts, ["hello ben", "hello ann"]);
  assertEquals(await ann.message.inputValue(), "");
});

Deno.test("the page asks nobody but its own server for anything", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), "about:blank");
  const origins = new Set<string>();
  ann.page.on("request", (request) => origins.add(new URL(request.url()).origin));
  await ann.page.goto(chat.url);
  await ann.send("see https://deno.com", "ann");
  await ann.see("see https://deno.com");
  assertEquals([...origins], [chat.url]);
});

Deno.test("history is painted without waiting for the stream", async () => {
  await using chat = await ChatProcess.start();
  await (await fetch(`${chat.url}/chat`, {
    method: "POST",
    body: new URLSearchParams({ message: "written before" }),
  })).body?.cancel();
  await using ann = await Visitor.arrive(browser(), "about:blank");
  // Neither a stream of the page's own nor the worker's script ever arrives.
  await routeWorker(ann.page.context(), () => {});
  await ann.page.goto(chat.url);
  await ann.see("written before");
});

Deno.test("--title is the heading and the title", async () => {
  await using chat = await ChatProcess.start(["--title", "Room <1> & co"]);
  await using ann = await Visitor.arrive(browser(), chat.url);
  assertEquals(await ann.page.title(), "Room <1> & co");
  await ann.page.getByRole("heading", { level: 1, name: "Room <1> & co" }).waitFor();
});

Deno.test("the page can be installed", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  const session = await ann.page.context().newCDPSession(ann.page);
  const { errors, data } = await session.send("Page.getAppManifest");
  assertEquals(errors, []);
  const { name, display, icons } = JSON.parse(data!);
  assertEquals([name, display], ["Simple Chat", "standalone"]);
  assertEquals(icons.map(({ purpose }: { purpose: string }) => purpose), ["any maskable"]);
});

Deno.test("what surrounds the page has its colours", async () => {
  await using chat = await ChatProcess.start();
  const [manifest, icon] = await Promise.all(
    ["manifest.webmanifest", "icon.svg"].map(async (file) =>
      await (await fetch(`${chat.url}/${file}`)).text()
    ),
  );
  const { background_color, theme_color } = JSON.parse(manifest);
  for (const colorScheme of ["light", "dark"] as const) {
    await using ann = await Visitor.arrive(browser(), chat.url, { colorScheme });
    const { header, body, send, theme } = await ann.page.evaluate(() => {
      const context = new OffscreenCanvas(1, 1).getContext("2d")!;
      /** As a canvas writes it: #rrggbb. */
      const hex = (color: string) => {
        context.fillStyle = color;
        return context.fillStyle;
      };
      const backgroundOf = (selector: string) =>
        hex(getComputedStyle(document.querySelector(selector)!).backgroundColor);
      const theme = [...document.querySelectorAll<HTMLMetaElement>("meta[name=theme-color]")]
        .find(({ media }) => matchMedia(media).matches)!.content;
      return {
        header: backgroundOf("header"),
        body: backgroundOf("body"),
        send: backgroundOf("form button"),
        theme: hex(theme),
      };
    });
    assertEquals(theme, header, colorScheme);
    if (colorScheme === "dark") continue;
    assertEquals([background_color, theme_color], [body, header]);
    assertStringIncludes(icon, send);
  }
});
