/** Accessibility where another engine computes it: styles, names, roles. */

import { assertNoViolations } from "./axe.ts";
import { launchFirefox } from "./browser.ts";

/** What makes Firefox think that its user prefers it; the colours are computed, and differ most, there. */
const DARK = { "layout.css.prefers-color-scheme.content-override": 0 };

Deno.test("Firefox: axe finds nothing in any state of the page, in the dark", async () => {
  await using browser = await launchFirefox(DARK);
  await assertNoViolations(browser, {});
});
