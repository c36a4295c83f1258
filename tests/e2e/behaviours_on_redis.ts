import { keepInRedis } from "../chat_process.ts";
import { testBehaviours } from "./behaviours.ts";
import { CHROMIUM } from "./playwright_engine.ts";

keepInRedis();
testBehaviours(CHROMIUM);
