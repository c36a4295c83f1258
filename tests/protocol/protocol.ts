/**
 * Checks a server against docs/protocol.md from outside: `deno task protocol URL`. It knows nothing of
 * the server but its address and what the command line says of it. Each rule is a test, and a rule that
 * can't be checked is ignored, with the reason in its name.
 */

import { Chat, type Server } from "./chat.ts";
import { type Options, readOptions, reasonToIgnore } from "./options.ts";
import { type Rule, sentenceOf, Unmet } from "./rule.ts";
import { RULES } from "./rules.ts";

const DOCUMENT = new URL("../../docs/protocol.md", import.meta.url);

const options = await begin();
const document = await Deno.readTextFile(DOCUMENT);
const room = `p${Math.random().toString(36).slice(2, 12)}`;
const server: Server = { options, room, answersWithMessage: true };

/** The options, once the server answers; ends the run with one line if there is nothing to check. */
async function begin(): Promise<Options> {
  try {
    const options = readOptions(Deno.args);
    await reach(options);
    return options;
  } catch (error) {
    // What parseArgs says goes on about arguments that begin with a dash.
    const [reason] = (error as Error).message.split(". ");
    console.error(`Cannot check: ${reason}; docs/protocol.md lists the options`);
    Deno.exit(1);
  }
}

async function reach({ url, patienceMs }: Options): Promise<void> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(patienceMs) });
    await response.body?.cancel();
  } catch {
    throw new Error(`nothing answers at ${url}; start the server, or name the address that it has`);
  }
}

/** Checks a rule; throws an error of one sentence if the server breaks it. */
async function check({ id, check }: Rule): Promise<void> {
  using chat = new Chat(server);
  try {
    await check(chat);
  } catch (error) {
    // An answer that is nothing like what is wanted makes a check fail in its own way.
    const instead = error instanceof Unmet ? error.message : `its check ends with ${error}`;
    const sentence = `${id}: the document says "${sentenceOf(id, document)}", but ${instead}.`;
    const failure = new Error(sentence);
    // Where in the suite it was found says nothing of the server.
    failure.stack = sentence;
    throw failure;
  }
}

/** Rules that take long, which are checked while others are: with what they failed, or undefined. */
const slow = new Map<Rule, Promise<unknown>>();

function beginSlow(): void {
  for (const rule of RULES) {
    const { needs = [] } = rule;
    if (!needs.includes("slow") || slow.has(rule) || reasonToIgnore(needs, options)) continue;
    slow.set(rule, check(rule).then(() => undefined, (error) => error));
  }
}

for (const rule of RULES) {
  const { id, name, needs = [] } = rule;
  const reason = reasonToIgnore(needs, options);
  Deno.test({
    name: `${id} ${name}${reason ? ` [not checked: ${reason}]` : ""}`,
    ignore: reason !== undefined,
    // Slow rules go on from one test to the next.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      beginSlow();
      if (!slow.has(rule)) return await check(rule);
      const error = await slow.get(rule);
      if (error !== undefined) throw error;
    },
  });
}
