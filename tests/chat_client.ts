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

/** Posts many messages, in this order, without waiting for each. */
export async function postAll(
  url: string,
  messages: readonly string[],
  nickname = "ben",
): Promise<void> {
  const { host, hostname, port, pathname } = new URL(`${url}/chat`);
  // A server takes the requests of a connection in turn (RFC 9112, 9.3.2).
  const requests = messages.map((message, n) => {
    const body = JSON.stringify({ nickname, message });
    return [
      `POST ${pathname} HTTP/1.1`,
      `host: ${host}`,
      "content-type: application/json",
      `content-length: ${new TextEncoder().encode(body).length}`,
      `connection: ${n === messages.length - 1 ? "close" : "keep-alive"}`,
      "",
      body,
    ].join("\r\n");
  });
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const [answers] = await Promise.all([
    new Response(connection.readable).text(),
    new Blob(requests).stream().pipeTo(connection.writable, { preventClose: true }),
  ]);
  const stored = answers.match(/^HTTP\/1\.1 201 /gm)?.length;
  if (stored !== messages.length) throw new Error(`${stored} of ${messages.length} were stored`);
}

/** Texts with the numbers from 1 on, or between two others. */
export function numbered(words: string, last: number, first = 1): string[] {
  return Array.from({ length: last - first + 1 }, (_, n) => `${words} ${first + n}`);
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
