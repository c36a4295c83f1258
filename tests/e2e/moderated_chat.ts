/** A chat with a moderator: who that is, and what they do without a page. */

import type { Browser, BrowserContextOptions } from "playwright-core";
import type { ChatMessage } from "../../chat_message.ts";
import { basic } from "../chat_client.ts";
import { ChatProcess } from "../chat_process.ts";
import { Visitor } from "./browser.ts";

/** Makes a moderator. */
export const MODERATOR_PASSWORD = "the moderator's own";

/** Starts a chat that may be moderated. */
export function startModerated(flags: string[] = []): Promise<ChatProcess> {
  return ChatProcess.start(flags, { env: { CHAT_MODERATOR_PASSWORD: MODERATOR_PASSWORD } });
}

/** Signs in on the page for that, and arrives in the room. */
export async function arriveAsModerator(
  browser: Browser,
  url: string,
  options?: BrowserContextOptions,
): Promise<Visitor> {
  const visitor = await Visitor.arrive(browser, `${url}/session?to=/`, options);
  await visitor.page.locator("[name=password]").fill(MODERATOR_PASSWORD);
  await visitor.page.keyboard.press("Enter");
  await visitor.connection("Live");
  await visitor.page.locator(".deed").waitFor({ state: "attached" });
  return visitor;
}

/** Does what a moderator does, as a program. */
export async function moderate(
  url: string,
  fields: Readonly<Record<string, string>>,
): Promise<void> {
  const response = await fetch(`${url}/moderation`, {
    method: "POST",
    headers: basic(MODERATOR_PASSWORD),
    body: new URLSearchParams(fields),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
}

/** Somebody who writes without a page, with a cookie of their own. */
export class Newcomer {
  readonly #url: string;
  readonly #cookie: string;

  private constructor(url: string, cookie: string) {
    this.#url = url;
    this.#cookie = cookie;
  }

  static async arrive(url: string): Promise<Newcomer> {
    const response = await fetch(url);
    await response.body?.cancel();
    const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
    return new Newcomer(url, cookies.join("; "));
  }

  async post(message: string, nickname: string): Promise<ChatMessage> {
    const response = await this.#send(message, nickname);
    return await response.json();
  }

  /** Whether they may write. */
  async status(message: string): Promise<number> {
    const response = await this.#send(message, "ben");
    await response.body?.cancel();
    return response.status;
  }

  #send(message: string, nickname: string): Promise<Response> {
    return fetch(`${this.#url}/chat`, {
      method: "POST",
      headers: { cookie: this.#cookie, accept: "application/json" },
      body: new URLSearchParams({ message, nickname }),
    });
  }
}
