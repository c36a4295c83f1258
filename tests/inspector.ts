/** A look inside a running chat, for what can't be seen from outside: V8's inspector. */

import type { ChatProcess } from "./chat_process.ts";
import { until } from "./until.ts";

/** The flags for Deno that a chat to look into must be started with. */
export const INSPECT_FLAGS: readonly string[] = ["--inspect=127.0.0.1:0"];

/** Evaluates an expression in a chat, and returns its value. */
export async function evaluate(chat: ChatProcess, expression: string): Promise<unknown> {
  const address = () => /ws:\S+/.exec(chat.output)?.[0];
  await until(() => address() !== undefined);
  const socket = new WebSocket(address()!);
  const closed = new Promise((resolve) => socket.onclose = resolve);
  const reply = await new Promise<string>((resolve, reject) => {
    const params = { expression, returnByValue: true };
    socket.onopen = () => {
      socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params }));
    };
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = reject;
  });
  socket.close();
  await closed;
  return JSON.parse(reply).result.result.value;
}
