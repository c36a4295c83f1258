/** All readers disconnect and reconnect at once: the cost, and whether each gets what it missed. */

import type { Missed, ReturnResult } from "./load.ts";
import type { LoadProcess } from "./load_process.ts";
import { markedNumber } from "./mark.ts";
import { cpuSeconds, type Server } from "./server.ts";

/** The cost and outcome of a return of all readers. */
export interface Return extends ReturnResult {
  /** Server CPU time for all of them; absent where there is no /proc. */
  readonly cpuSeconds?: number;
}

/** Reconnects all readers to a server; each has missed `missed`. */
export async function measureReturn(
  { pid, port }: Server,
  load: LoadProcess,
  readers: number,
  missed: Missed,
  onProgress: (readers: number) => void,
): Promise<Return> {
  const before = await cpuSeconds(pid);
  await load.send({ port, readers, ...missed });
  await load.until("connected", (event) => {
    if (event.event === "connecting") onProgress(event.readers);
  });
  const after = await cpuSeconds(pid);
  const { result } = await load.until("returned");
  return {
    ...result,
    cpuSeconds: before === undefined || after === undefined ? undefined : after - before,
  };
}

/** The last `count` messages, as what a reader has missed that has all earlier ones. */
export async function lastMessages({ port }: Server, count: number): Promise<Missed> {
  const url = `http://127.0.0.1:${port}/chat?since=all`;
  const response = await fetch(url, { headers: { accept: "application/json" } });
  const log: { id: string; message: string }[] = await response.json();
  const [last, ...missed] = log.slice(-count - 1);
  return { cursor: last.id, missed: missed.map(({ message }) => markedNumber(message)) };
}
