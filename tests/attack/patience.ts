import { setTimeout as delay } from "node:timers/promises";

const STEP_MS = 10;

/** Waits for a condition that something else brings about, but no longer than that. */
export async function waitFor(isSo: () => boolean, maxMs: number): Promise<void> {
  const deadline = performance.now() + maxMs;
  while (!isSo() && performance.now() < deadline) await delay(STEP_MS);
}
