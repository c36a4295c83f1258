/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/**
 * A real Chromium, people who visit a chat with it, and what they do there. What is given to
 * `evaluate()` runs in the page, hence the types of one.
 */

import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

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

/** Starts the browser that CHROMIUM names, else the system's; `await using` closes it. */
export function launchBrowser(args: string[] = []): Promise<Browser> {
  const executablePath = Deno.env.get("CHROMIUM") || "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: [...ARGS, ...args] });
}

/** One browser for all tests of a file. */
export function useBrowser(): () => Browser {
  let browser: Browser;
  Deno.test.beforeAll(async () => {
    browser = await launchBrowser();
  });
  Deno.test.afterAll(() => browser.close());
  return () => browser;
}

/** Somebody with a browser of their own, at the page; disposing of it closes the browser. */
export class Visitor implements AsyncDisposable {
  /** Errors that the page's scripts did not expect. */
  readonly errors: string[] = [];

  private constructor(readonly page: Page) {
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
    const context = await browser.newContext({ locale: "en-GB", ...options });
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
    return this.page.getByLabel("Nickname");
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

  /** Waits for a message that the server has. */
  async see(text: string): Promise<void> {
    await this.page.locator(".transcript").getByText(text, { exact: true }).waitFor();
  }

  /** Waits for what the page says of its connection. */
  async connection(words: string | RegExp): Promise<void> {
    await this.page.locator(".connection").getByText(words).waitFor();
  }

  /** What a tab knows of being looked at can't be had in a headless browser; the page is told. */
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

/** Posts to a chat as any other client; returns the message. */
export async function post(
  url: string,
  message: string,
  nickname = "ben",
): Promise<{ id: string; nickname: string; message: string; time: string }> {
  const body = new URLSearchParams({ nickname, message });
  const response = await fetch(`${url}/chat`, { method: "POST", body });
  if (!response.ok) throw new Error(await response.text());
  return await response.json();
}
