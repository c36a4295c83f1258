import { testBehaviours } from "./behaviours.ts";
import { WEBKIT } from "./webkit_engine.ts";

testBehaviours(WEBKIT);
