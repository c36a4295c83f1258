/** All rules, in the order in which they are checked. */

import { BEGINNING } from "./beginning.ts";
import { HISTORY } from "./history.ts";
import { LIMITS } from "./limits.ts";
import { MESSAGES } from "./messages.ts";
import { MODERATING } from "./moderating.ts";
import { ORIGINS } from "./origins.ts";
import { PAGE } from "./page.ts";
import { READING } from "./reading.ts";
import { REFUSALS } from "./refusals.ts";
import { ROOMS } from "./rooms.ts";
import type { Rule } from "./rule.ts";
import { SIGNING_IN } from "./signing_in.ts";
import { TEXT } from "./text.ts";
import { WRITING } from "./writing.ts";

export const RULES: readonly Rule[] = [
  ...MESSAGES,
  ...READING,
  ...BEGINNING,
  ...HISTORY,
  ...WRITING,
  ...TEXT,
  ...ROOMS,
  ...REFUSALS,
  ...SIGNING_IN,
  ...MODERATING,
  ...ORIGINS,
  ...PAGE,
  ...LIMITS,
];
