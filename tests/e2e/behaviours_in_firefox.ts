import { testBehaviours } from "./behaviours.ts";
import { FIREFOX } from "./playwright_engine.ts";

testBehaviours(FIREFOX);
