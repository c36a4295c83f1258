/** Accessibility where another engine computes it: styles, names, roles. */

import { assertNoViolations } from "./axe.ts";
import { launchFirefox } from "./browser.ts";

/** What makes Firefox think that its user prefers something, and whether colours remain the page's. */
const SCHEMES = [
  ["light", { "layout.css.prefers-color-scheme.content-override": 1 }, true],
  ["dark", { "layout.css.prefers-color-scheme.content-override": 0 }, true],
  ["forced colours", { "browser.display.document_color_use": 2 }, false],
] as const;

for (const [scheme, preferences, hasOwnColors] of SCHEMES) {
  Deno.test(`Firefox: axe finds nothing in any state of the page (${scheme})`, async () => {
    await using browser = await launchFirefox(preferences);
    await assertNoViolations(browser, {}, hasOwnColors);
  });
}
