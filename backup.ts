/** `deno task backup`: copies the messages of a chat in SQLite to a file, while the chat runs or not. */

import { parseArgs } from "node:util";
import { resolve } from "node:path";
import { parseConfig } from "./config.ts";
import { backUp } from "./message_log/sqlite_backup.ts";

const HELP = `\
Copies the messages of a chat to a file, while the chat runs or not.

Usage: deno task backup TARGET [--message-log URL]

TARGET must not be there yet. The URL is the server's own, by its flag or in CHAT_MESSAGE_LOG, and
sqlite:chat.db otherwise. To restore, start the chat with --message-log sqlite:TARGET.`;

const MB = 1_000_000;
/** With which code what a signal ends does so. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/** What is to be copied where; undefined if help is asked for. */
function readArguments(): { readonly path: string; readonly target: string } | undefined {
  const { values, positionals } = parseArgs({
    // npm users write `--` before the arguments.
    args: Deno.args.filter((arg) => arg !== "--"),
    options: { "message-log": { type: "string" }, help: { type: "boolean" } },
    allowPositionals: true,
  });
  if (values.help) return undefined;
  if (positionals.length !== 1 || positionals[0] === "") {
    throw new Error("name one file to copy to: deno task backup TARGET; --help says more");
  }
  const url = values["message-log"];
  const { messageLog } = parseConfig(
    url === undefined ? [] : [`--message-log=${url}`],
    (name) => name === "CHAT_MESSAGE_LOG" ? Deno.env.get(name) : undefined,
  );
  if (messageLog === "memory:") {
    throw new Error("memory: is in no file, and ends with the server; name another --message-log");
  }
  if (!messageLog.startsWith("sqlite:")) {
    throw new Error(
      'messages in Redis are copied with Redis itself: see "Copies" in docs/operations.md',
    );
  }
  return { path: messageLog.slice("sqlite:".length), target: resolve(positionals[0]) };
}

async function main(): Promise<void> {
  try {
    const given = readArguments();
    if (!given) return console.log(HELP);
    const start = performance.now();
    const { messages, bytes } = await backUp(given.path, given.target, onSignal());
    const seconds = (performance.now() - start) / 1000;
    console.log(
      `Copied ${messages.toLocaleString("en")} ${messages === 1 ? "message" : "messages"} ` +
        `(${(bytes / MB).toFixed(1)} MB) to ${given.target} in ${seconds.toFixed(1)} s`,
    );
  } catch (error) {
    console.error(`Cannot back up: ${toText(error)}`);
    Deno.exitCode ||= 1;
  }
}

/** Has a signal end it, rather than the program as it is: what has been copied is to be deleted. */
function onSignal(): AbortSignal {
  const controller = new AbortController();
  for (const [name, code] of Object.entries(EXIT_CODES)) {
    Deno.addSignalListener(name as Deno.Signal, () => {
      Deno.exitCode = code;
      controller.abort(new Error(`${name} has ended it`));
    });
  }
  return controller.signal;
}

function toText(error: unknown): string {
  const { message, code = "" } = error as Error & { code?: string };
  // It goes on about arguments that begin with a dash.
  return code.startsWith("ERR_PARSE_ARGS")
    ? `${message.split(". ")[0]}; --help lists what there is`
    : message;
}

if (import.meta.main) await main();
