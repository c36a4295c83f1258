/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/**
 * The behaviours that matter, the same in every engine: nothing is lost or doubled whatever happens
 * between page and server, and the page works wherever it is put.
 */

import { assert, assertEquals } from "@std/assert";
import { numbered, post, postAll } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { newFolder } from "../folder.ts";
import { until } from "../until.ts";
import {
  type BrowserOptions,
  type Engine,
  type EngineBrowser,
  inPage,
  type RunningEngine,
  type Size,
  type Tab,
} from "./engine.ts";
import { FlakyNetwork } from "./flaky_network.ts";
import { moderate, MODERATOR_PASSWORD, startModerated } from "./moderated_chat.ts";
import { startNginx } from "./nginx.ts";
import { Relay } from "./relay.ts";

/** How long something may take on a busy machine; no less than WebDriver allows a script. */
const PATIENCE_MS = 25_000;

interface VisitOptions extends BrowserOptions {
  readonly size?: Size;
}

/** Somebody at the page, in a browser of their own; disposing of it closes that. */
class Visit implements AsyncDisposable {
  readonly #browser: EngineBrowser;

  private constructor(browser: EngineBrowser, readonly tab: Tab, readonly url: string) {
    this.#browser = browser;
  }

  static async begin(
    engine: RunningEngine,
    url: string,
    options: VisitOptions = {},
  ): Promise<Visit> {
    const browser = await engine.startBrowser(options);
    const visit = new Visit(browser, await browser.openTab(url, options.size), url);
    await visit.#listen();
    return visit;
  }

  /** The page in another tab of the same browser, which closes with it. */
  async openTab(): Promise<Visit> {
    const visit = new Visit(this.#browser, await this.#browser.openTab(this.url), this.url);
    await visit.#listen();
    return visit;
  }

  /** Remembers errors that the page's scripts did not expect. */
  async #listen(): Promise<void> {
    await inPage(this.tab, () => {
      const errors: string[] = [];
      Object.assign(globalThis, { errors });
      addEventListener("error", ({ message }) => {
        // Only says that the browser looks at sizes again in the next frame.
        if (!message.startsWith("ResizeObserver loop")) errors.push(message);
      });
      addEventListener("unhandledrejection", ({ reason }) => errors.push(String(reason)));
    });
  }

  /** Opens the page again in the same tab. */
  async open(): Promise<void> {
    await this.tab.open(this.url);
    await this.#listen();
  }

  async reload(): Promise<void> {
    await this.tab.reload();
    await this.#listen();
  }

  /** Does what has these pages loaded anew, and waits for that. */
  static async renew(visits: readonly Visit[], act: () => Promise<void>): Promise<void> {
    for (const { tab } of visits) await tab.evaluate("void (globalThis.isOld = true)");
    await act();
    for (const { tab } of visits) {
      // While one page takes the place of another there is none to ask.
      const isNew = "!globalThis.isOld && document.readyState === 'complete'";
      await until(async () => Boolean(await tab.evaluate(isNew).catch(() => false)));
    }
  }

  async assertNoErrors(): Promise<void> {
    const errors = await inPage(
      this.tab,
      () => (globalThis as unknown as { errors: string[] }).errors,
    );
    assertEquals(errors, []);
  }

  /** Waits in the page until a function of it says so. */
  async until<Arguments extends unknown[]>(
    isSo: (...args: Arguments) => unknown,
    ...args: Arguments
  ): Promise<void> {
    const call = `(${isSo})(${args.map((arg) => JSON.stringify(arg))})`;
    const { found, text } = await this.tab.evaluate(`new Promise((resolve) => {
      const start = performance.now();
      const look = () => {
        const found = Boolean(${call});
        if (found || performance.now() - start > ${PATIENCE_MS}) {
          resolve({ found, text: document.body.innerText });
        } else setTimeout(look, 50);
      };
      look();
    })`) as { found: boolean; text: string };
    assert(found, `waited in vain for ${call} in:\n${text}`);
  }

  async send(message: string): Promise<void> {
    await this.tab.type("#message", `${message}\n`);
  }

  /** Waits for a message that the server has. */
  async see(text: string): Promise<void> {
    await this.until((text) => {
      const texts = document.querySelectorAll(".transcript .text");
      return [...texts].some(({ textContent }) => textContent === text);
    }, text);
  }

  /** Waits for what the page says of its connection. */
  async connection(words: string): Promise<void> {
    await this.until(
      (words) => document.querySelector(".connection")?.textContent?.includes(words),
      words,
    );
  }

  /** Waits until so many messages wait to be sent. */
  async unsent(count: number): Promise<void> {
    await this.until(
      (count) => document.querySelectorAll(".outbox .entry").length === count,
      count,
    );
  }

  /** Messages that the server has, oldest first, or those that a selector names. */
  texts(selector = ".transcript .text"): Promise<string[]> {
    return inPage(
      this.tab,
      (selector) => Array.from(document.querySelectorAll(selector), (each) => each.textContent!),
      selector,
    );
  }

  /** Scrolls the conversation; negative from its end. */
  async scroll(position: number): Promise<void> {
    await inPage(this.tab, (position) => {
      const log = document.querySelector("[role=log]")!;
      log.scrollTop = position < 0 ? log.scrollHeight + position : position;
    }, position);
  }

  /** Where a message is on the screen. */
  top(text: string): Promise<number> {
    return inPage(
      this.tab,
      (text) =>
        [...document.querySelectorAll(".transcript .text")]
          .find(({ textContent }) => textContent === text)!.getBoundingClientRect().top,
      text,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser[Symbol.asyncDispose]();
  }
}

/** What the server has, oldest first. */
async function readTexts(url: string): Promise<string[]> {
  const headers = { accept: "application/json" };
  const messages: { message: string }[] = await (await fetch(`${url}/chat?since=all`, { headers }))
    .json();
  return messages.map(({ message }) => message);
}

/** Runs the behaviours in an engine. */
export function testBehaviours({ name, manyTabs, lacks, start }: Engine): void {
  let engine: RunningEngine;
  Deno.test.beforeAll(async () => {
    engine = await start();
  });
  Deno.test.afterAll(async () => await engine[Symbol.asyncDispose]());
  const visit = (url: string, options?: VisitOptions) => Visit.begin(engine, url, options);
  const test = (behaviour: string, run: () => Promise<void>, lack?: string) =>
    Deno.test({
      name: `${name}: ${behaviour}${lack ? ` (not here: ${lack})` : ""}`,
      ignore: lack !== undefined,
      fn: run,
    });

  test("two people talk", async () => {
    await using chat = await ChatProcess.start();
    await using ann = await visit(chat.url);
    await using ben = await visit(chat.url);
    await ann.connection("2 online");
    await ann.send("hello ben");
    await ben.see("hello ben");
    await ben.send("hello ann");
    await ann.see("hello ann");
    assertEquals(await ann.texts(), ["hello ben", "hello ann"]);
    assertEquals(await ann.texts(".own .text"), ["hello ben"]);
    assertEquals(await ben.texts(".own .text"), ["hello ann"]);
    for (const each of [ann, ben]) await each.assertNoErrors();
  });

  test("the server is killed and started again: all is there, once", async () => {
    await using folder = await newFolder();
    const log = ["--message-log", `sqlite:${folder.path}/chat.db`];
    await using chat = await ChatProcess.start(log);
    await using ann = await visit(chat.url);
    await ann.connection("Live");
    await post(chat.url, "before");
    await ann.see("before");
    await chat.stop("SIGKILL");
    await ann.connection("Reconnecting");
    await ann.send("written during the outage");
    await ann.unsent(1);
    await using again = await ChatProcess.start([...log, "--port", String(chat.port)]);
    await post(again.url, "said meanwhile");
    await ann.see("said meanwhile");
    await ann.see("written during the outage");
    assertEquals(
      (await ann.texts()).toSorted(),
      ["before", "said meanwhile", "written during the outage"],
    );
    assertEquals((await readTexts(again.url)).length, 3);
    await ann.assertNoErrors();
  });

  test("scrolling up brings older messages, and the view does not move", async () => {
    await using chat = await ChatProcess.start();
    await postAll(chat.url, numbered("message", 120));
    await using ann = await visit(chat.url, { size: { width: 600, height: 500 } });
    await ann.see("message 120");
    // Then it looks whether there is more to load: not between scrolling and being told of it.
    await ann.connection("Live");
    assertEquals((await ann.texts())[0], "message 71");
    // Scrolled and looked at in one step: the older messages may be there at the next.
    const before = await inPage(ann.tab, () => {
      const log = document.querySelector("[role=log]")!;
      log.scrollTop = 100;
      return [...log.querySelectorAll(".text")]
        .find(({ textContent }) => textContent === "message 74")!.getBoundingClientRect().top;
    });
    await ann.see("message 21");
    const after = await ann.top("message 74");
    assert(Math.abs(after - before) <= 1, `${after} is not ${before}`);
    await ann.scroll(0);
    await ann.see("message 1");
    assertEquals(await ann.texts(), Array.from({ length: 120 }, (_, n) => `message ${n + 1}`));
    await ann.assertNoErrors();
  });

  test("what could not be sent outlives its tab, and is sent once", async () => {
    await using chat = await ChatProcess.start();
    await using network = new FlakyNetwork(chat.port);
    await using ann = await visit(network.url);
    await ann.connection("Live");
    network.cut();
    await ann.connection("Reconnecting");
    await ann.send("one");
    await ann.send("two");
    await ann.unsent(2);
    await ann.assertNoErrors();
    await ann.tab.open("about:blank");
    network.mend();
    await ann.open();
    await ann.see("two");
    await ann.unsent(0);
    assertEquals(await ann.texts(), ["one", "two"]);
    assertEquals(await ann.texts(".own .text"), ["one", "two"]);
    assertEquals(await readTexts(chat.url), ["one", "two"]);
    await ann.assertNoErrors();
  });

  test("silence is taken for a loss", async () => {
    await using chat = await ChatProcess.start(["--heartbeat", "1"]);
    await using network = new FlakyNetwork(chat.port);
    await using ann = await visit(network.url);
    await ann.connection("Live");
    network.silence();
    await ann.connection("Reconnecting");
    network.mend();
    await post(chat.url, "after the silence");
    await ann.see("after the silence");
    await ann.assertNoErrors();
  });

  test("a page that the back button brings back has what was said meanwhile", async () => {
    await using chat = await ChatProcess.start();
    await using ann = await visit(chat.url, { leftPages: "kept" });
    await ann.connection("Live");
    await post(chat.url, "seen");
    await ann.see("seen");
    await ann.tab.open(`${chat.url}/chat?html`);
    await post(chat.url, "missed");
    await ann.tab.back();
    await ann.see("missed");
    await ann.connection("Live");
    await post(chat.url, "new");
    await ann.see("new");
    assertEquals(await ann.texts(), ["seen", "missed", "new"]);
    // It is the page that was left, not another: this was kept with it.
    await ann.assertNoErrors();
  });

  test("with storage blocked one reads and writes", async () => {
    await using chat = await ChatProcess.start();
    await post(chat.url, "said before");
    await using ann = await visit(chat.url, { storage: "blocked" });
    const keeps = await inPage(ann.tab, () => {
      try {
        return Boolean(localStorage);
      } catch {
        return false;
      }
    });
    assertEquals(keeps, false);
    await ann.connection("Live");
    await ann.send("mine");
    await ann.see("mine");
    await ann.unsent(0);
    await post(chat.url, "not mine");
    await ann.see("not mine");
    assertEquals(await ann.texts(), ["said before", "mine", "not mine"]);
    assertEquals(await ann.texts(".own .text"), ["mine"]);
    await ann.assertNoErrors();
  });

  test("the page works under a path, which a proxy takes off", async () => {
    await using chat = await ChatProcess.start();
    await postAll(chat.url, numbered("message", 60));
    await using nginx = await startNginx(`location /a/b/ { proxy_pass ${chat.url}/; }`);
    await using ann = await visit(`${nginx.url}/a/b/`);
    await ann.connection("1 online");
    // While it is in front: where another tab is, a browser may scroll nothing.
    await ann.scroll(0);
    await ann.see("message 1");
    const tab = await ann.openTab();
    await ann.send("mine");
    await tab.see("mine");
    const { loaded, named, width } = await inPage(ann.tab, async () => ({
      loaded: performance.getEntriesByType("resource").map(({ name }) => name),
      named: await Promise.all(
        Array.from(
          document.querySelectorAll<HTMLLinkElement>("link[href]"),
          async ({ href }) => `${href} ${(await fetch(href)).status}`,
        ),
      ),
      width: getComputedStyle(document.querySelector(".transcript")!).listStyleType,
    }));
    for (const address of loaded) assert(address.startsWith(`${nginx.url}/a/b/`), address);
    for (const link of named) {
      assert(link.startsWith(`${nginx.url}/a/b/`) && link.endsWith(" 200"), link);
    }
    assertEquals(width, "none");
    await ann.assertNoErrors();
  });

  test("what is sent while a proxy answers 502 goes out by itself, in order", async () => {
    await using folder = await newFolder();
    const log = ["--message-log", `sqlite:${folder.path}/chat.db`];
    await using chat = await ChatProcess.start(log);
    await using nginx = await startNginx(
      `location / { proxy_pass ${chat.url}; proxy_set_header Host $http_host; }`,
    );
    await using ann = await visit(`${nginx.url}/`);
    await ann.connection("Live");
    await chat.stop("SIGKILL");
    await ann.connection("Reconnecting");
    await ann.send("one");
    await ann.send("two");
    await ann.unsent(2);
    // It tries for seconds, and each time a little later.
    await until(async () =>
      (await nginx.answers).filter((answer) => answer === "502 POST").length >= 3
    );
    await using again = await ChatProcess.start([...log, "--port", String(chat.port)]);
    await ann.see("two");
    await ann.unsent(0);
    assertEquals(await ann.texts(), ["one", "two"]);
    assertEquals(await readTexts(again.url), ["one", "two"]);
    await ann.assertNoErrors();
  });

  test(`${manyTabs} tabs are live over HTTP/1.1, as one reader`, async () => {
    await using chat = await ChatProcess.start();
    await using ann = await visit(chat.url);
    const tabs = [ann];
    while (tabs.length < manyTabs) tabs.push(await ann.openTab());
    await post(chat.url, "for all of you");
    for (const tab of tabs) {
      await tab.connection("1 online");
      await tab.see("for all of you");
    }
    await tabs[7].send("from one of them");
    for (const tab of tabs) {
      await tab.see("from one of them");
      await tab.unsent(0);
      assertEquals(await tab.texts(), ["for all of you", "from one of them"]);
      assertEquals(await tab.texts(".own .text"), ["from one of them"]);
      await tab.assertNoErrors();
    }
  });

  for (const notifications of ["granted", undefined] as const) {
    const words = notifications === "granted" ? "Notify" : "Sound";
    test(
      `a choice of ${words} outlives a reload and is one for all tabs`,
      async () => {
        await using chat = await ChatProcess.start();
        await using ann = await visit(chat.url, { notifications });
        /** What the button says while it is off depends on whether one may still be asked. */
        const isOn = (visit: Visit) =>
          visit.until((words) => {
            const button = document.querySelector(".notify")!;
            return button.ariaPressed === "true" && button.textContent === words;
          }, words);
        const isOff = (visit: Visit) =>
          visit.until(() => document.querySelector(".notify")!.ariaPressed === "false");
        await isOff(ann);
        await ann.tab.click(".notify");
        await isOn(ann);
        await ann.reload();
        await isOn(ann);
        const other = await ann.openTab();
        await isOn(other);
        await other.tab.click(".notify");
        for (const each of [other, ann]) {
          await isOff(each);
          await each.assertNoErrors();
        }
      },
      notifications && lacks.notifications,
    );
  }

  for (const [width, height] of [[320, 256], [427, 240], [740, 170], [360, 640]]) {
    test(`nothing is covered or cut off at ${width} × ${height}`, async () => {
      await using chat = await ChatProcess.start();
      for (let n = 1; n <= 20; n++) await post(chat.url, `message ${n}`, `person ${n % 3}`);
      await using ann = await visit(chat.url, { size: { width, height } });
      await ann.connection("Live");
      await ann.see("message 20");
      assertEquals(await inPage(ann.tab, () => [innerWidth, innerHeight]), [width, height]);
      const hidden = await inPage(ann.tab, () => {
        const inView = (element: Element) => {
          element.scrollIntoView({ block: "nearest" });
          const { left, right, top, bottom } = element.getBoundingClientRect();
          const found = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
          return found !== null && element.contains(found);
        };
        const texts = [...document.querySelectorAll(".transcript .text")];
        const elements = [...texts, ...document.querySelectorAll("h1, button, input, textarea")];
        return elements.filter((element) => element.getClientRects().length > 0)
          .filter((element) => !inView(element)).map(({ outerHTML }) => outerHTML);
      });
      assertEquals(hidden, []);
      const tooWide = await inPage(
        ann.tab,
        () => document.documentElement.scrollWidth > innerWidth,
      );
      assertEquals(tooWide, false);
      await ann.send("written here");
      await ann.see("written here");
      await ann.assertNoErrors();
    });
  }

  test("a clock that is set back an hour holds nothing up", async () => {
    await using chat = await ChatProcess.start(["--heartbeat", "1"]);
    await using relay = new Relay(chat.url);
    await using network = new FlakyNetwork(relay.port);
    await using ann = await visit(network.url);
    await ann.connection("Live");
    await Relay.setClock(ann.tab, -3600_000);
    await ann.until(() => Date.now() < performance.timeOrigin);
    network.silence();
    await ann.connection("Reconnecting");
    network.mend();
    await ann.connection("Live");
    // Told to wait, and the clock is set back meanwhile.
    let refused = 0;
    relay.answer = ({ method }) =>
      method !== "POST" || refused++ > 0 ? undefined : Response.json(
        { status: 429, detail: "You are writing too fast." },
        {
          status: 429,
          headers: { "retry-after": "2", "content-type": "application/problem+json" },
        },
      );
    await ann.send("one");
    await ann.until(() => document.querySelector(".outbox")?.textContent?.includes("too fast"));
    await Relay.setClock(ann.tab, -7200_000);
    await ann.see("one");
    await ann.assertNoErrors();
  });

  test("what a moderator removes goes from pages with and without storage, and stays away", async () => {
    await using chat = await startModerated();
    await using ann = await visit(chat.url);
    await using ben = await visit(chat.url, { storage: "blocked" });
    for (const each of [ann, ben]) await each.connection("Live");
    await ann.send("mine");
    await ben.see("mine");
    const { id } = await post(chat.url, "an insult");
    await post(chat.url, "a word");
    for (const each of [ann, ben]) await each.see("a word");
    await moderate(chat.url, { action: "remove", id });
    for (const each of [ann, ben]) {
      await each.until(() => document.querySelector(".transcript .removed"));
      assertEquals(await each.texts(), ["mine", "a word"]);
    }
    await ann.reload();
    await ann.see("a word");
    assertEquals(await ann.texts(), ["mine", "a word"]);
    for (const each of [ann, ben]) await each.assertNoErrors();
  });

  test("a moderator signs in, mutes, takes that back, and removes", async () => {
    await using chat = await startModerated();
    await post(chat.url, "noise");
    await using moran = await visit(`${chat.url}/session?to=/`);
    await moran.tab.type("[name=password]", MODERATOR_PASSWORD);
    await Visit.renew([moran], () => moran.tab.click("form:has([name=password]) button"));
    await moran.until(() => document.querySelector(".transcript .act"));
    await moran.tab.click(".transcript .act");
    await moran.until(() => document.querySelector("dialog"));
    await moran.tab.click('dialog [value="60"]');
    await moran.until(() => document.querySelector(".deed")?.textContent?.includes("is muted"));
    await moran.until(() => !document.querySelector("dialog"));
    await moran.tab.click(".deed button");
    await moran.until(() => document.querySelector(".deed")?.textContent?.includes("may write"));
    await moran.tab.click(".transcript .act");
    await moran.until(() => document.querySelector("dialog"));
    await moran.tab.click("dialog .remove");
    await moran.until(() => document.querySelector(".transcript .removed"));
    assertEquals(await moran.texts(), []);
  });

  test("a browser forgets somebody, in all tabs", async () => {
    await using chat = await ChatProcess.start();
    await using ann = await visit(chat.url);
    await ann.tab.type("#nickname", "Annabel");
    await ann.send("hello");
    await ann.see("hello");
    const tab = await ann.openTab();
    await tab.see("hello");
    await tab.tab.type("#message", "half a thought");
    await ann.tab.click(".heading");
    await ann.until(() => document.querySelector("dialog .forget"));
    await ann.tab.click("dialog .forget");
    await ann.until(() => document.querySelector("dialog .do"));
    await Visit.renew([ann, tab], () => ann.tab.click("dialog .do"));
    for (const each of [ann, tab]) {
      await each.until(() => document.querySelector(".transcript .entry:not(.own)"));
      await each.until(() => !document.querySelector<HTMLInputElement>("#nickname")?.value);
      await each.until(() => !document.querySelector("textarea")?.value);
    }
  });
}
