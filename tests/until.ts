import { assert } from "@std/assert";

/** Waits up to a minute for a condition that something else brings about. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!await isSo()) {
    assert(performance.now() < deadline, `waited in vain until ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
