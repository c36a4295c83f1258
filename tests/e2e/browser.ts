/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/**
 * A real Chromium, people who visit a chat with it, and what they do there. What is given to
 * `evaluate()` runs in the page, hence the types of one.
 */

import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  firefox,
  type LaunchOptions,
  type Page,
  type Route,
} from "playwright-core";
import { until } from "../until.ts";

const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A name that is not localhost, for what browsers do only there.
  "--host-resolver-rules=MAP chat.test 127.0.0.1",
];

/** Chromium, and the same without windows: most of what a test takes are those. */
const [CHROMIUM, CHROMIUM_SHELL] = ["chromium", "chromium-headless-shell"]
  .map((name) => Deno.env.get("CHROMIUM") || `/usr/bin/${name}`);

function chromiumOptions(executablePath: string, args: string[] = []): LaunchOptions {
  return {
    executablePath,
    args: [...ARGS, ...args],
    // As people have it: pages that were left are kept for going back.
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
  };
}

/** Has `answer` answer for the worker's script, which is the second time that it is asked for. */
export async function routeWorker(
  within: BrowserContext,
  answer: (route: Route) => unknown,
): Promise<void> {
  let asked = 0;
  await within.route(
    "**/connection.js",
    (route) => ++asked === 2 ? answer(route) : route.continue(),
  );
}

/** Starts Chromium; `await using` closes it. */
export function launchBrowser(args?: string[]): Promise<Browser> {
  return chromium.launch(chromiumOptions(CHROMIUM, args));
}

/** Starts a Chromium that keeps no pages for going back, and asks nobody for permission. */
export function launchShell(): Promise<Browser> {
  return chromium.launch(chromiumOptions(CHROMIUM_SHELL));
}

/** A Chromium whose user has forbidden all sites to keep anything, in that folder. */
export async function launchForgetfulBrowser(folder: string): Promise<BrowserContext> {
  await Deno.mkdir(`${folder}/Default`);
  const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
  await Deno.writeTextFile(`${folder}/Default/Preferences`, JSON.stringify(preferences));
  return await chromium.launchPersistentContext(folder, chromiumOptions(CHROMIUM));
}

/** Starts the system's Firefox, with preferences as in about:config. */
export function launchFirefox(
  preferences: Record<string, string | number | boolean> = {},
): Promise<Browser> {
  return firefox.launch({
    channel: "moz-firefox",
    executablePath: "/usr/bin/firefox-esr",
    firefoxUserPrefs: { "network.dns.localDomains": "chat.test", ...preferences },
  });
}

/** One browser for all tests of a file. */
export function useBrowser(): () => Browser {
  let browser: Browser;
  Deno.test.beforeAll(async () => {
    browser = await launchShell();
  });
  Deno.test.afterAll(() => browser.close());
  return () => browser;
}

/** How long something may take on a busy machine. */
const PATIENCE_MS = 60_000;

/** Somebody with a browser of their own, at the page; disposing of it closes the browser. */
export class Visitor implements AsyncDisposable {
  /** Errors that the page's scripts did not expect. */
  readonly errors: string[] = [];

  private constructor(readonly page: Page) {
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => this.errors.push(error.stack ?? error.message));
    page.on("console", (message) => {
      // A server that is away is news for the page, not an error of it.
      if (message.type() !== "error" || message.text().includes("net::ERR")) return;
      if (message.text().includes("Failed to load resource")) return;
      this.errors.push(message.text());
    });
  }

  static async arrive(
    browser: Browser,
    url: string,
    options?: BrowserContextOptions,
  ): Promise<Visitor> {
    return await Visitor.open(await browser.newContext({ locale: "en-GB", ...options }), url);
  }

  /** Somebody with a browser that is running. */
  static async open(context: BrowserContext, url: string): Promise<Visitor> {
    const visitor = new Visitor(await context.newPage());
    await visitor.page.goto(url);
    return visitor;
  }

  /** Another tab of the same browser. */
  async openTab(): Promise<Visitor> {
    const tab = new Visitor(await this.page.context().newPage());
    await tab.page.goto(this.page.url());
    return tab;
  }

  get message() {
    return this.page.getByLabel("Message");
  }

  get nickname() {
    return this.page.getByLabel(/name/);
  }

  get log() {
    return this.page.getByRole("log");
  }

  /** Messages that the server has, oldest first. */
  get texts(): Promise<string[]> {
    return this.page.locator(".transcript .text").allTextContents();
  }

  /** Messages that it does not have yet. */
  get unsent() {
    return this.page.locator(".outbox .entry");
  }

  /** Writes and sends, as that person if a name is given. */
  async send(message: string, nickname?: string): Promise<void> {
    if (nickname !== undefined) await this.nickname.fill(nickname);
    await this.message.fill(message);
    await this.message.press("Enter");
  }

  /** Has requests for an address wait until the function that it returns is called. */
  async hold(url: string | RegExp, method = "GET"): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    await this.page.route(url, async (route) => {
      if (route.request().method() === method) await promise;
      await route.continue();
    });
    return resolve;
  }

  /** Has an answer wait, as it was when it was asked for, until `release` is called. */
  async holdAnswer(
    url: string | RegExp,
  ): Promise<{ whenThere(): Promise<void>; release(): void }> {
    let isThere = false;
    const released = Promise.withResolvers<void>();
    await this.page.route(url, async (route) => {
      const response = await route.fetch();
      isThere = true;
      await released.promise;
      await route.fulfill({ response });
    });
    return { whenThere: () => until(() => isThere), release: released.resolve };
  }

  /** Has posts wait until the function that it returns is called. */
  holdPosts(): Promise<() => void> {
    return this.hold("**/chat", "POST");
  }

  /** Has the page try nothing again unless somebody presses for it. */
  async stopRetries(): Promise<void> {
    await this.page.evaluate(() => {
      const { setTimeout } = globalThis;
      const noRetries = (act: () => void, ms = 0) => ms < 1000 ? setTimeout(act, ms) : 0;
      Object.assign(globalThis, { setTimeout: noRetries });
    });
  }

  /**
   * What a browser tells a page that it keeps for going back: it is left, or shown again as it was. The
   * page's timers go on meanwhile: a chat with slow heartbeats lets it be.
   */
  async turn(type: "pagehide" | "pageshow"): Promise<void> {
    await this.page.evaluate(
      (type) => void dispatchEvent(new PageTransitionEvent(type, { persisted: true })),
      type,
    );
  }

  /** Has the next post refused, as the chat would do it. */
  async refuseNextPost(
    status: number,
    detail: string,
    headers: Record<string, string> = {},
  ): Promise<void> {
    let hasRefused = false;
    await this.page.route("**/chat", (route) => {
      if (route.request().method() !== "POST" || hasRefused) return route.continue();
      hasRefused = true;
      return route.fulfill({
        status,
        headers: { "content-type": "application/problem+json", ...headers },
        body: JSON.stringify({ status, detail }),
      });
    });
  }

  /** Waits for a message that the server has. */
  async see(text: string): Promise<void> {
    await this.page.locator(".transcript").getByText(text, { exact: true }).waitFor();
  }

  /** Waits for what the page says of its connection. */
  async connection(words: string | RegExp): Promise<void> {
    await this.page.locator(".connection").getByText(words).waitFor();
  }

  /** A headless browser cannot hide a tab, so the page is told that it is hidden. */
  async look(isVisible: boolean): Promise<void> {
    await this.page.evaluate((state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      Object.defineProperty(document, "hidden", { value: state === "hidden", configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, isVisible ? "visible" : "hidden");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
    if (this.errors.length > 0) throw new Error(`The page had errors:\n${this.errors.join("\n")}`);
  }
}
