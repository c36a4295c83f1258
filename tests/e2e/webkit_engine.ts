/** WebKitGTK's MiniBrowser, driven over WebDriver (W3C) on a display of its own. */

import { newFolder } from "../folder.ts";
import type { BrowserOptions, Engine, EngineBrowser, Size, Tab } from "./engine.ts";
import { type OtherServer, startServer } from "./other_server.ts";

const BROWSER = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";
/** What is around a page is small, or no window would be as narrow as a page must be. */
const WINDOW_STYLE = "* { min-width: 0; margin: 0; padding: 0; font-size: 1px; }";
/** The Enter key, as WebDriver writes it. */
const ENTER = "\uE007";

/** A page whose button opens another, in a window without a toolbar: only such are this narrow. */
function openerPage(url: string, { width, height }: Size): string {
  const call = `open(${JSON.stringify(url)}, "", "popup,width=${width},height=${height}")`;
  return `data:text/html,${
    encodeURIComponent(`<button onclick='${call}' style="position:fixed;inset:0">Open</button>`)
  }`;
}

export const WEBKIT: Engine = {
  name: "WebKitGTK",
  // Each is a window and a process, which takes seconds to start.
  manyTabs: 8,
  lacks: { notifications: "MiniBrowser denies them whenever it is driven" },

  async start() {
    const display = new Deno.Command("Xvfb", {
      args: ["-displayfd", "1", "-screen", "0", "1400x1000x24", "-nolisten", "tcp"],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    // It prints the number it has found free once it is ready.
    const output = display.stdout.getReader();
    const number = new TextDecoder().decode((await output.read()).value).trim();
    const settings = await newFolder();
    await Deno.mkdir(`${settings.path}/gtk-3.0`);
    await Deno.writeTextFile(`${settings.path}/gtk-3.0/gtk.css`, WINDOW_STYLE);
    const env = { DISPLAY: `:${number}`, XDG_CONFIG_HOME: settings.path };
    return {
      startBrowser: (options) => WebKitBrowser.start(env, options),
      async [Symbol.asyncDispose]() {
        await settings[Symbol.asyncDispose]();
        await output.cancel();
        display.kill();
        await display.status;
      },
    };
  },
};

/** A driver has one session, and that one browser. */
class WebKitBrowser implements EngineBrowser {
  readonly #driver: OtherServer;
  readonly #session: string;
  /** The window that the browser began with; it opens others. */
  readonly #first: string;
  /** Commands go to one window at a time. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(driver: OtherServer, session: string, first: string) {
    this.#driver = driver;
    this.#session = session;
    this.#first = first;
  }

  static async start(
    env: Record<string, string>,
    { storage }: BrowserOptions = {},
  ): Promise<WebKitBrowser> {
    const driver = await startServer((port) => ({
      program: "WebKitWebDriver",
      args: [`--port=${port}`, "--host=127.0.0.1"],
      env,
    }));
    const args = ["--automation"];
    if (storage === "blocked") args.push("--enable-html5-local-storage=false");
    const { sessionId } = await command<{ sessionId: string }>("POST", `${driver.url}/session`, {
      capabilities: {
        alwaysMatch: {
          browserName: "MiniBrowser",
          "webkitgtk:browserOptions": { binary: BROWSER, args },
        },
      },
    });
    const session = `${driver.url}/session/${sessionId}`;
    return new WebKitBrowser(driver, session, await command("GET", `${session}/window`));
  }

  async openTab(url: string, size?: Size): Promise<Tab> {
    const handle = size ? await this.#openPopup(url, size) : await this.#openWindow();
    const tab = new WebKitTab((method, path, body) => this.#ask(handle, method, path, body));
    if (!size) await tab.open(url);
    return tab;
  }

  async #openWindow(): Promise<string> {
    // A "tab" would be hidden, since no window shows it.
    const window: { handle: string } = await this.#ask(this.#first, "POST", "/window/new", {
      type: "window",
    });
    return window.handle;
  }

  async #openPopup(url: string, size: Size): Promise<string> {
    const opener = new WebKitTab((...what) => this.#ask(this.#first, ...what));
    const before = new Set(await this.#handles());
    await opener.open(openerPage(url, size));
    await opener.click("button");
    for (;;) {
      const popup = (await this.#handles()).find((handle) => !before.has(handle));
      if (!popup) continue;
      await this.#ask(popup, "POST", "/window/rect", size);
      return popup;
    }
  }

  #handles(): Promise<string[]> {
    return this.#ask(this.#first, "GET", "/window/handles");
  }

  /** Sends a command to a window once those before it are done. */
  #ask<Result>(handle: string, method: string, path: string, body?: unknown): Promise<Result> {
    const asking = this.#last.then(async () => {
      await command("POST", `${this.#session}/window`, { handle });
      return await command<Result>(method, this.#session + path, body);
    });
    this.#last = asking.catch(() => {});
    return asking;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command("DELETE", this.#session);
    await this.#driver[Symbol.asyncDispose]();
  }
}

type Ask = <Result>(method: string, path: string, body?: unknown) => Promise<Result>;

class WebKitTab implements Tab {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async open(url: string): Promise<void> {
    await this.#ask("POST", "/url", { url });
  }

  async reload(): Promise<void> {
    await this.#ask("POST", "/refresh", {});
  }

  async back(): Promise<void> {
    await this.#ask("POST", "/back", {});
  }

  evaluate(expression: string): Promise<unknown> {
    return this.#ask("POST", "/execute/sync", { script: `return ${expression}`, args: [] });
  }

  async click(selector: string): Promise<void> {
    await this.#ask("POST", `${await this.#find(selector)}/click`, {});
  }

  async type(selector: string, text: string): Promise<void> {
    const keys = text.replaceAll("\n", ENTER);
    await this.#ask("POST", `${await this.#find(selector)}/value`, { text: keys });
  }

  async screenshot(): Promise<Uint8Array> {
    return Uint8Array.fromBase64(await this.#ask("GET", "/screenshot"));
  }

  async close(): Promise<void> {
    await this.#ask("DELETE", "/window");
  }

  async #find(selector: string): Promise<string> {
    const element: Record<string, string> = await this.#ask("POST", "/element", {
      using: "css selector",
      value: selector,
    });
    return `/element/${Object.values(element)[0]}`;
  }
}

async function command<Result>(method: string, url: string, body?: unknown): Promise<Result> {
  const response = await fetch(url, { method, body: JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${method} ${url}: ${value.error} ${value.message}`);
  return value;
}
