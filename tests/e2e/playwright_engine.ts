/** Chromium and Firefox, driven by Playwright. */

import type { BrowserContext, Page } from "playwright-core";
import { newFolder } from "../folder.ts";
import { until } from "../until.ts";
import { launchBrowser, launchFirefox, launchForgetfulBrowser, launchShell } from "./browser.ts";
import type { BrowserOptions, Engine, EngineBrowser, Tab } from "./engine.ts";

export const CHROMIUM: Engine = {
  name: "Chromium",
  manyTabs: 8,
  lacks: {},

  async start() {
    const shared = await launchShell();
    return {
      async startBrowser(options = {}) {
        if (options.storage === "blocked") {
          const folder = await newFolder();
          return toBrowser(await launchForgetfulBrowser(folder.path), options, folder);
        }
        if (options.notifications !== "granted" && options.leftPages !== "kept") {
          return toBrowser(await shared.newContext(), options);
        }
        // What most tests take can do neither.
        const own = await launchBrowser();
        return toBrowser(await own.newContext(), options, own);
      },
      [Symbol.asyncDispose]: () => shared.close(),
    };
  },
};

export const FIREFOX: Engine = {
  name: "Firefox",
  manyTabs: 8,
  lacks: {},

  async start() {
    const shared = await launchFirefox();
    return {
      async startBrowser(options = {}) {
        if (options.storage !== "blocked") return toBrowser(await shared.newContext(), options);
        // 2: no site may keep anything.
        const own = await launchFirefox({ "network.cookie.cookieBehavior": 2 });
        return toBrowser(await own.newContext(), options, own);
      },
      [Symbol.asyncDispose]: () => shared.close(),
    };
  },
};

/** A browser that is a context; what it was made for alone is disposed of with it. */
async function toBrowser(
  context: BrowserContext,
  { notifications }: BrowserOptions,
  own?: AsyncDisposable,
): Promise<EngineBrowser> {
  if (notifications === "granted") await context.grantPermissions(["notifications"]);
  return {
    async openTab(url, size) {
      const page = await context.newPage();
      if (size) await page.setViewportSize(size);
      await page.goto(url);
      return new PlaywrightTab(page);
    },
    async [Symbol.asyncDispose]() {
      await context.close();
      await own?.[Symbol.asyncDispose]();
    },
  };
}

class PlaywrightTab implements Tab {
  readonly #page: Page;

  constructor(page: Page) {
    this.#page = page;
  }

  async open(url: string): Promise<void> {
    await this.#page.goto(url);
  }

  async reload(): Promise<void> {
    await this.#page.reload();
  }

  async back(): Promise<void> {
    const url = await this.evaluate("location.href");
    // Not goBack(), which waits for a page to load: this one may come as it was left.
    await this.evaluate("void setTimeout(() => history.back())");
    // While one page takes the place of another there is none to ask.
    await until(async () => (await this.evaluate("location.href").catch(() => url)) !== url);
  }

  evaluate(expression: string): Promise<unknown> {
    return this.#page.evaluate(expression);
  }

  click(selector: string): Promise<void> {
    return this.#page.click(selector);
  }

  async type(selector: string, text: string): Promise<void> {
    await this.#page.focus(selector);
    for (const [n, line] of text.split("\n").entries()) {
      if (n > 0) await this.#page.keyboard.press("Enter");
      await this.#page.keyboard.insertText(line);
    }
  }

  screenshot(): Promise<Uint8Array> {
    return this.#page.screenshot();
  }

  close(): Promise<void> {
    return this.#page.close();
  }
}
