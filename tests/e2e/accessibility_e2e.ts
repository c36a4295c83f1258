/** The page for everybody: by keyboard, read aloud, enlarged, in every colour scheme. */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { post } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { assertModerationHasNoViolations, assertNoViolations, violations } from "./axe.ts";
import { hueOf } from "../../static/message.js";
import { useBrowser, Visitor } from "./browser.ts";
import { FlakyNetwork } from "./flaky_network.ts";
import { arriveAsModerator, startModerated } from "./moderated_chat.ts";

const browser = useBrowser();

for (const colorScheme of ["light", "dark"] as const) {
  Deno.test(`axe finds nothing in any state of the page (${colorScheme})`, async () => {
    await assertNoViolations(browser(), { colorScheme });
  });
  Deno.test(`axe finds nothing in what moderators see (${colorScheme})`, async () => {
    await assertModerationHasNoViolations(browser(), { colorScheme });
  });
}

Deno.test("axe finds nothing in any state of the page, in forced colours", async () => {
  await assertNoViolations(browser(), { forcedColors: "active" }, false);
});

Deno.test("axe finds nothing without script", async () => {
  await using chat = await ChatProcess.start();
  for (const colorScheme of ["light", "dark"] as const) {
    await using ann = await Visitor.arrive(browser(), "about:blank", { colorScheme });
    // axe-core is a script itself: it sees what a browser without one makes of the markup.
    await ann.page.route(`${chat.url}/`, async (route) => {
      const response = await route.fetch();
      const html = await response.text();
      const body = html.replaceAll("noscript>", "div>").replace(/<script[^]*?<\/script>/, "");
      await route.fulfill({ response, body });
    });
    await ann.page.goto(chat.url);
    await ann.page.getByRole("link", { name: "plain page" }).waitFor();
    assertEquals(await violations(ann.page, []), []);
  }
});

Deno.test("everything can be reached and done by keyboard, with visible focus and no trap", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  await ann.send("sent", "ann");
  await ann.see("sent");
  network.cut();
  await ann.connection("Reconnecting");
  await ann.send("meanwhile");
  await ann.unsent.getByText("Waiting").waitFor();
  const names = new Set<string>();
  // All the way round: nine things and the document itself.
  for (let n = 0; n < 10; n++) {
    await ann.page.keyboard.press("Tab");
    names.add(
      await ann.page.evaluate(() => {
        const element = document.activeElement as HTMLElement & { labels?: NodeListOf<Element> };
        if (element === document.body) return "document";
        // The box round the text area and the log's frame show it for them.
        const { outlineStyle, outlineWidth } = getComputedStyle(
          element.closest(".box:has(textarea:focus), .conversation:has(> :focus)") ?? element,
        );
        if (outlineStyle === "none" || outlineWidth === "0px") return "invisible focus";
        const name = element.ariaLabel ?? element.labels?.[0]?.textContent ?? element.textContent!;
        return name.trim();
      }),
    );
  }
  assert(names.delete("Notify") || names.delete("Sound"));
  assertEquals([...names].toSorted(), [
    "Conversation",
    "Discard",
    "Invite",
    "Message",
    "Send",
    "Simple Chat",
    "Try again",
    "Your name",
    "document",
  ]);
  await ann.unsent.getByRole("button", { name: "Discard" }).press("Enter");
  assertEquals(await ann.unsent.count(), 0);
});

Deno.test("a message is read out once, with who and when; history and what is typed are not", async () => {
  await using chat = await ChatProcess.start();
  await post(chat.url, "history");
  await using ann = await Visitor.arrive(browser(), "about:blank");
  // What a screen reader would say: what comes into a live region that is not busy.
  await ann.page.addInitScript(() => {
    const spoken: string[] = [];
    Object.assign(globalThis, { spoken });
    const regionOf = (node: Node) =>
      (node instanceof Element ? node : node.parentElement)?.closest(
        "[aria-live], [role=log], [role=status], [role=alert]",
      );
    new MutationObserver((records) => {
      for (const { target, addedNodes } of records) {
        const region = regionOf(target);
        if (!region || region.ariaLive === "off" || region.ariaBusy === "true") continue;
        for (const node of addedNodes) {
          const words = node.textContent!.replace(/\s+/g, " ").trim();
          if (words && node.isConnected) spoken.push(words);
        }
      }
    }).observe(document, { childList: true, subtree: true });
  });
  const spoken = () =>
    ann.page.evaluate(() => (globalThis as unknown as { spoken: string[] }).spoken.splice(0));
  await ann.page.goto(chat.url);
  await ann.see("history");
  await ann.connection("1 online");
  await ann.page.locator("[role=log][aria-busy=false]").waitFor();
  assertEquals(await spoken(), ["Connecting…", "Live"]);
  await post(chat.url, "live");
  await ann.see("live");
  const [message, ...more] = await spoken();
  assertMatch(message, /ben, \d\d:\d\d live$/);
  assertEquals(more, []);
  // Sending is not news; the message itself is, once the server has it.
  await ann.nickname.fill("ann");
  await ann.message.pressSequentially("mine");
  await ann.message.press("Enter");
  await ann.see("mine");
  await ann.unsent.waitFor({ state: "detached" });
  assertEquals((await spoken()).map((words) => words.replace(/\d\d:\d\d/, "now")), [
    "ann, now mine",
  ]);
});

Deno.test("nothing is cut off at 320 pixels, nor at 200% of the text size", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, {
    viewport: { width: 320, height: 480 },
  });
  await ann.connection("Live");
  await ann.send("a message of some length, and a word: " + "x".repeat(60), "n".repeat(40));
  await ann.page.locator(".transcript .own").waitFor();
  await ann.message.fill("x".repeat(4001));
  await ann.message.press("Enter");
  for (const size of ["100%", "200%"]) {
    await ann.page.evaluate((size) => document.documentElement.style.fontSize = size, size);
    const wide = await ann.page.evaluate(() =>
      [...document.querySelectorAll("body *")].filter((element) => {
        const { right, left, width } = element.getBoundingClientRect();
        // Who wrote an own message is only read out.
        if (element.closest(".own .who")) return false;
        return width > 1 && (right > innerWidth + 1 || left < -1);
      }).map((element) => element.className || element.tagName)
    );
    assertEquals(wide, [], size);
    for (const name of ["Send", /Notify|Sound/]) {
      await ann.page.getByRole("button", { name }).scrollIntoViewIfNeeded();
    }
    assert(await ann.page.getByRole("button", { name: "Send" }).isVisible());
  }
});

Deno.test("what moderators use fits where there is least room", async () => {
  await using chat = await startModerated();
  await post(chat.url, "hello", "a name that is as long as a name may be");
  await using moran = await arriveAsModerator(browser(), chat.url, {
    // 1280 × 1024 at 400 %.
    viewport: { width: 320, height: 256 },
  });
  const fits = async (state: string) => {
    const wide = await moran.page.evaluate(() =>
      [document.documentElement, ...document.querySelectorAll("dialog")]
        .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth).length
    );
    assertEquals(wide, 0, state);
  };
  const press = async (name: string | RegExp) => {
    const button = moran.page.getByRole("button", { name }).last();
    await button.scrollIntoViewIfNeeded();
    const { width, height } = (await button.boundingBox())!;
    assert(width >= 24 && height >= 24, `${name} is ${width} × ${height}`);
    await button.click();
  };
  await moran.page.locator(".act").focus();
  await press("Moderate");
  await moran.page.getByRole("dialog").waitFor();
  await fits("what may be done about a message");
  await press("1 day");
  await moran.page.locator(".deed").getByText("is muted until").waitFor();
  await fits("what was done");
  await press("Simple Chat");
  await press("Clear the room…");
  await fits("a question");
  await press("Cancel");
  await press("Simple Chat");
  await moran.page.getByRole("button", { name: "Unmute" }).waitFor();
  await fits("rooms and settings");
  await press("Close the room");
  await press("Undo");
});

Deno.test("nothing moves by itself for those who want no motion", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, { reducedMotion: "reduce" });
  const moving = await ann.page.evaluate(() =>
    [...document.querySelectorAll("*")].flatMap((element) =>
      [getComputedStyle(element), getComputedStyle(element, "::before")].filter((style) =>
        style.animationName !== "none" || style.transitionDuration !== "0s" ||
        style.scrollBehavior !== "auto"
      )
    ).length
  );
  assertEquals(moving, 0);
});

Deno.test("names and messages of the other direction are isolated", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url);
  await post(chat.url, "שלום, world", "ליאור");
  await ann.see("שלום, world");
  const directions = await ann.page.locator(".bubble, .author").evaluateAll((elements) =>
    elements.map((element) => getComputedStyle(element).direction)
  );
  assertEquals(directions, ["rtl", "rtl"]);
});

Deno.test("what has not changed is not said again, though a translator has changed the page", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url);
  await ann.connection("Live");
  network.cut();
  await ann.connection("Reconnecting");
  const changes = await ann.page.locator(".connection [role=status]").evaluate(async (state) => {
    state.textContent = "Verbindet sich wieder";
    let changes = 0;
    const observer = new MutationObserver((records) => changes += records.length);
    observer.observe(state, { childList: true, characterData: true, subtree: true });
    // The seconds go on.
    const detail = state.parentElement!.querySelector(".detail")!;
    const before = detail.textContent;
    while (detail.textContent === before) await new Promise((resolve) => setTimeout(resolve, 10));
    return changes;
  });
  assertEquals(changes, 0);
});

Deno.test("bubbles stand out on a projector, and names are told apart by everybody", async () => {
  for (const colorScheme of ["light", "dark"] as const) {
    await using chat = await ChatProcess.start();
    const { by } = await post(chat.url, "hello");
    const names = new Map<number, string>();
    for (let n = 0; names.size < 8; n++) names.set(hueOf({ nickname: `n${n}`, by }), `n${n}`);
    for (const name of names.values()) await post(chat.url, "hello", name);
    await using ann = await Visitor.arrive(browser(), chat.url, { colorScheme });
    await ann.send("mine", "ann");
    await ann.see("mine");
    const { contrasts, distances, bubbles } = await ann.page.evaluate(() => {
      const context = new OffscreenCanvas(1, 1).getContext("2d")!;
      const light = (color: string) => {
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((value) => {
          const part = value / 255;
          return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
      };
      const times = (matrix: number[][], color: number[]) =>
        matrix.map((row) => row.reduce((sum, factor, index) => sum + factor * color[index], 0));
      const contrast = (...colors: string[]) => {
        const [bright, dark] = colors.map((color) =>
          times([[0.2126, 0.7152, 0.0722]], light(color))[0]
        )
          .toSorted((a, b) => b - a);
        return (bright + 0.05) / (dark + 0.05);
      };
      const toLab = (color: number[]) =>
        times(
          [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
          ],
          times([
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
          ], color).map(Math.cbrt),
        );
      // Machado, Oliveira and Fernandes (2009), at their strongest.
      const eyes: Record<string, number[][]> = {
        most: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        protanopes: [
          [0.152286, 1.052583, -0.204868],
          [0.114503, 0.786281, 0.099216],
          [-0.003882, -0.048116, 1.051998],
        ],
        deuteranopes: [
          [0.367322, 0.860646, -0.227968],
          [0.280085, 0.672501, 0.047413],
          [-0.011820, 0.042940, 0.968881],
        ],
        tritanopes: [
          [1.255528, -0.076749, -0.178779],
          [-0.078411, 0.930809, 0.147602],
          [0.004733, 0.691367, 0.303900],
        ],
      };
      const backgroundOf = (selector: string) =>
        getComputedStyle(document.querySelector(selector)!).backgroundColor;
      const names = [...document.querySelectorAll(".entry:not(.own) .author")].slice(1)
        .map((author) => getComputedStyle(author).color);
      const distances = Object.entries(eyes).map(([whose, eye]) => {
        const labs = names.map((name) =>
          toLab(times(eye, light(name)).map((value) => Math.max(0, Math.min(1, value))))
        );
        const pairs = labs.flatMap((one, index) =>
          labs.slice(index + 1).map((other) => Math.hypot(...one.map((part, n) => part - other[n])))
        );
        return [whose, Math.min(...pairs)] as const;
      });
      return {
        contrasts: names.map((name) => contrast(name, backgroundOf("body"))),
        distances: Object.fromEntries(distances),
        bubbles: [".entry:not(.own) .bubble", ".own .bubble"].map((bubble) =>
          contrast(backgroundOf(bubble), backgroundOf("body"))
        ),
      };
    });
    assertEquals(contrasts.length, 8);
    for (const contrast of contrasts) {
      assert(contrast >= 4.5, `${colorScheme}: a name at ${contrast}`);
    }
    for (const contrast of bubbles) {
      assert(contrast >= 1.2, `${colorScheme}: a bubble at ${contrast}`);
    }
    // A difference of 0.02 is just seen.
    for (const [whose, distance] of Object.entries(distances)) {
      assert(distance >= 0.07, `${colorScheme}: for ${whose} two names are ${distance} apart`);
    }
  }
});

Deno.test("states differ in more than colour, also where colours are forced", async () => {
  await using chat = await ChatProcess.start();
  await using network = new FlakyNetwork(chat.port);
  await using ann = await Visitor.arrive(browser(), network.url, {
    colorScheme: "dark",
    forcedColors: "active",
  });
  await ann.connection("Live");
  const knob = () =>
    ann.page.locator(".notify").evaluate((button) => getComputedStyle(button, "::after").left);
  const off = await knob();
  await ann.page.locator(".notify").click();
  assertNotEquals(await knob(), off);

  /** How the border of a bubble is drawn. */
  const border = async (text: string) =>
    await ann.page.locator(".bubble", { hasText: text }).evaluate((bubble) => {
      const { borderStyle, borderWidth } = getComputedStyle(bubble);
      return `${borderStyle} ${borderWidth}`;
    });
  await ann.send("sent", "ann");
  await ann.see("sent");
  await ann.refuseNextPost(403, "You may not write until 15:30.");
  await ann.send("refused");
  await ann.unsent.getByText("Not sent. You may not write until 15:30.").waitFor();
  network.cut();
  await ann.connection("Reconnecting");
  await ann.send("waiting");
  await ann.unsent.getByText("Waiting for the connection").waitFor();
  const borders = await Promise.all(["sent", "refused", "waiting"].map(border));
  assertEquals(new Set(borders).size, 3, borders.join("; "));
  const dot = () =>
    ann.page.locator(".connection").evaluate((connection) => {
      const { backgroundColor, borderRadius } = getComputedStyle(connection, "::before");
      return `${backgroundColor} ${borderRadius}`;
    });
  const dots = new Set([await dot()]);
  await ann.page.context().setOffline(true);
  await ann.connection("Offline");
  dots.add(await dot());
  network.mend();
  await ann.page.context().setOffline(false);
  await ann.connection("Live");
  dots.add(await dot());
  assertEquals(dots.size, 3, [...dots].join("; "));
});

Deno.test("wider spacing of the text cuts nothing off", async () => {
  await using chat = await ChatProcess.start();
  await using ann = await Visitor.arrive(browser(), chat.url, {
    viewport: { width: 390, height: 844 },
  });
  await post(chat.url, "a message that takes more than one line");
  await ann.send("mine", "ann");
  await ann.see("mine");
  // WCAG 2.2, 1.4.12; a style element would not pass the page's policy.
  await ann.page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`* {
      line-height: 1.5 !important;
      letter-spacing: 0.12em !important;
      word-spacing: 0.16em !important;
    }`);
    document.adoptedStyleSheets.push(sheet);
  });
  const cut = await ann.page.locator(
    "h1, .connection, button:visible, label, .bubble, .byline:visible",
  ).evaluateAll((elements) =>
    elements.filter((element) =>
      !element.closest(".own .who") &&
      (element.scrollWidth > element.clientWidth + 1 ||
        element.scrollHeight > element.clientHeight + 1)
    ).map((element) => element.outerHTML)
  );
  assertEquals(cut, []);
  const [header, log, form] = await Promise.all(
    ["header", ".conversation", "form"].map((each) => ann.page.locator(each).boundingBox()),
  );
  assert(header!.y + header!.height <= log!.y && log!.y + log!.height <= form!.y);
});
