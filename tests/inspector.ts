/** A look inside a running chat, for what can't be seen from outside: V8's inspector. */

import type { ChatProcess } from "./chat_process.ts";
import { until } from "./until.ts";

/** The flags for Deno that a chat to look into must be started with. */
export const INSPECT_FLAGS: readonly string[] = ["--inspect=127.0.0.1:0"];

/** Evaluates an expression in a chat, and returns its value. */
export async function evaluate(chat: ChatProcess, expression: string): Promise<unknown> {
  const messages = await ask(chat, "Runtime.evaluate", { expression, returnByValue: true });
  return messages.at(-1)!.result!.result!.value;
}

/** The addresses of the scripts that a chat has loaded. */
export async function loadedScripts(chat: ChatProcess): Promise<string[]> {
  const messages = await ask(chat, "Debugger.enable", {});
  return messages.flatMap(({ params }) => params?.url ?? []);
}

/** What the inspector sends. */
interface Message {
  readonly id?: number;
  readonly result?: { readonly result?: { readonly value: unknown } };
  readonly params?: { readonly url?: string };
}

/** Calls a method; returns what is sent until it is done. */
async function ask(chat: ChatProcess, method: string, params: unknown): Promise<Message[]> {
  const address = () => /ws:\S+/.exec(chat.output)?.[0];
  await until(() => address() !== undefined);
  const socket = new WebSocket(address()!);
  const closed = new Promise((resolve) => socket.onclose = resolve);
  const messages: Message[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => socket.send(JSON.stringify({ id: 1, method, params }));
    socket.onmessage = ({ data }) => {
      const message: Message = JSON.parse(data);
      messages.push(message);
      if (message.id === 1) resolve();
    };
    socket.onerror = reject;
  });
  socket.close();
  await closed;
  return messages;
}
