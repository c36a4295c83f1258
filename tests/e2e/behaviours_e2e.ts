import { testBehaviours } from "./behaviours.ts";
import { CHROMIUM } from "./playwright_engine.ts";

testBehaviours(CHROMIUM);
