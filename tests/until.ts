import { assert } from "@std/assert";

/** Waits until something is so that comes from elsewhere, for ten seconds at most. */
export async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo()) {
    assert(performance.now() < deadline, `waited in vain until ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
