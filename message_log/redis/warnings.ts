/** What is said at the terminal of the Redis that messages are kept in. */

import type { LogUnavailableError } from "../message_log.ts";
import { isHopeless } from "./connection.ts";
import type { RedisLink } from "./link.ts";

/** What to do about a reason that Redis can't be used for; the last is for all others. */
const ADVICE: readonly [RegExp, string][] = [
  [
    /^(WRONGPASS|NOAUTH|ERR AUTH)/,
    "change the user and the password in --message-log or CHAT_MESSAGE_LOG",
  ],
  [/^NOPERM/, "give the user the rights that docs/operations.md lists"],
  [/^WRONGTYPE/, "another program uses its keys: choose another database in --message-log"],
  [/^ERR DB index/, "change the number of the database in --message-log"],
  [/certificate/, "name the certificate of the authority that signed Redis' own in DENO_CERT"],
  [/^NEWER/, "run the newer program"],
  [/^/, "start Redis 7.0 or newer there, or change --message-log"],
];

/** What about its settings endangers messages, as far as Redis lets us see them. */
export async function readWarnings(link: RedisLink): Promise<string[]> {
  const info = await ask(link, ["INFO", "persistence"], ["INFO", "memory"]);
  const [, policy = "noeviction"] = /^maxmemory_policy:(\S+)/m.exec(info) ?? [];
  const warnings: string[] = [];
  if (info.includes("aof_enabled:0")) {
    warnings.push(
      "Redis keeps messages in memory only: set appendonly yes and appendfsync always, " +
        "or they are lost when it ends",
    );
  } else if (info !== "") {
    const [, fsync = "always"] = (await ask(link, ["CONFIG", "GET", "appendfsync"])).split("\n");
    if (fsync !== "always") {
      warnings.push(
        `Redis has appendfsync ${fsync}: set it to always, or the last messages may be lost when it ends`,
      );
    }
  }
  if (policy !== "noeviction" && !policy.startsWith("volatile-")) {
    warnings.push(
      `Redis has maxmemory-policy ${policy}: set it to noeviction, or it may drop messages when it is full`,
    );
  }
  return warnings;
}

/** Says which settings are other at another instance. */
export function otherSettings(flags: readonly string[]): string {
  return `Another instance of this chat has been started with another ${flags.join(", ")}: ` +
    "give all instances the same";
}

/** Why a start failed: the line that it ends with. */
export function startProblem(url: string, { message }: LogUnavailableError): Error {
  const { protocol, host } = new URL(url);
  const [, advice] = ADVICE.find(([pattern]) => pattern.test(message))!;
  const reason = message.replace(/^NEWER /, "").replace(/\.$| script: .*$/, "");
  return new Error(`the message log at ${protocol}//${host} can't be used: ${reason}; ${advice}`);
}

/** The replies as one text; nothing where Redis does not let us see. */
async function ask(link: RedisLink, ...commands: string[][]): Promise<string> {
  try {
    const replies = await Promise.all(commands.map((args) => link.send(args)));
    return replies.flat().join("\n");
  } catch (error) {
    if (isHopeless(error)) return "";
    throw error;
  }
}
