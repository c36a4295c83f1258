/** What tests do to a running chat as any client would. `url` is its address, without a path. */

import type { ChatMessage } from "../chat_message.ts";

/** Posts these fields, and returns the response whatever it is. */
export function sendPost(url: string, fields: Readonly<Record<string, string>>): Promise<Response> {
  return fetch(`${url}/chat`, {
    method: "POST",
    body: JSON.stringify(fields),
    headers: { "content-type": "application/json" },
  });
}

/** Posts a message, and returns it as it was stored. */
export async function post(url: string, message: string, nickname = "ben"): Promise<ChatMessage> {
  const response = await sendPost(url, { nickname, message });
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

/** The header that shows a password (RFC 7617), as curl -u does. */
export function basic(password: string): { authorization: string } {
  return { authorization: `Basic ${btoa(`:${password}`)}` };
}
