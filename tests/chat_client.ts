/** What tests do to a running chat as any client would. `url` is its address, without a path. */

import type { ChatMessage } from "../chat_message.ts";

/** Posts a message, and returns it as it was stored. */
export async function post(url: string, message: string, nickname = "ben"): Promise<ChatMessage> {
  const response = await fetch(`${url}/chat`, {
    method: "POST",
    body: JSON.stringify({ nickname, message }),
    headers: { "content-type": "application/json" },
  });
  if (!response.ok) throw new Error(await response.text());
  return await response.json();
}

/** All messages that are kept, oldest first. */
export async function readHistory(url: string): Promise<ChatMessage[]> {
  const headers = { accept: "application/json" };
  return await (await fetch(`${url}/chat?since=all`, { headers })).json();
}

/** The texts of all messages that are kept, oldest first. */
export async function readTexts(url: string): Promise<string[]> {
  return (await readHistory(url)).map(({ message }) => message);
}
