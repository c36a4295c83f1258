/**
 * A chat over server-sent events: config → message log → room → routes → serve →
 * shutdown.
 *
 * `GET /` is the page, `GET /chat` the stream of messages or their history,
 * `POST /chat` takes one. docs/protocol.md has the contract.
 */

import { type Config, parseConfig, readInfo, unknownVariables } from "./config.ts";
import { openMessageLog } from "./message_log/open.ts";
import { BrokenOffError } from "./reader/reader.ts";
import { Room } from "./room.ts";
import { isNavigation, wantsJson } from "./routes/accept.ts";
import { setSecurityHeaders } from "./routes/headers.ts";
import { sendHistory } from "./routes/history.ts";
import { toHttpError } from "./routes/http_error.ts";
import { loadPage } from "./routes/page.ts";
import { sendPlainPage } from "./routes/plain_page.ts";
import { postMessage } from "./routes/post.ts";
import { dispatch, type Route } from "./routes/router.ts";
import { openStream } from "./routes/stream.ts";
import { toVisit } from "./routes/visit.ts";
import { Server, stopSignal } from "./server.ts";
import {
  acceptError,
  greeting,
  ignoredVariables,
  requestLine,
  startError,
  Terminal,
} from "./terminal.ts";
import { checkOrigin, setCorsHeaders } from "./visitor_guard/origin.ts";

/** How long streams may take to end after a signal; a reader that does not read would hold them open. */
const SHUTDOWN_MS = 750;
/** How long the last lines may take to be written. */
const LAST_LINES_MS = 100;
/** What it needs only to start: from then on, a flaw in it gives nobody a file, variable or program. */
const STARTING_PERMISSIONS = ["read", "write", "env", "sys", "run", "ffi", "import"] as const;

/** What the routes need: one room, its settings, and where failures are reported. */
export interface HandlerOptions {
  readonly room: Room;
  readonly config: Config;
  readonly terminal: Terminal;
}

/** Answers one request; a server also tells who sent it. */
export type Handler = (
  request: Request,
  info?: Deno.ServeHandlerInfo<Deno.NetAddr>,
) => Promise<Response>;

/** The application, as a function from request to response. */
export async function createHandler(
  { room, config, terminal }: HandlerOptions,
): Promise<Handler> {
  const chat = new Map<string, Route>([
    ["GET", (visit) => {
      if (isNavigation(visit.request)) return sendPlainPage(visit, room.log, config.title);
      checkOrigin(visit.request, config.allowOrigin);
      return wantsJson(visit.request) ? sendHistory(visit, room) : openStream(visit, room);
    }],
    ["POST", ({ request }) => {
      checkOrigin(request, config.allowOrigin);
      return postMessage(request, room.log);
    }],
  ]);
  const routes = new Map<string, ReadonlyMap<string, Route>>([["/chat", chat]]);
  for (const [path, file] of await loadPage(config, room.log)) {
    routes.set(path, new Map([["GET", ({ request }) => file.serve(request)]]));
  }

  const respond = async (request: Request, address?: string) =>
    await dispatch(toVisit(request, address), routes);

  return async (request, info) => {
    const start = performance.now();
    const address = info?.remoteAddr.hostname;
    const response = await respond(request, address)
      .catch((error) => toResponse(error, terminal, request));
    setSecurityHeaders(response.headers, request);
    setCorsHeaders(response.headers, request, config.allowOrigin);
    if (config.verbose) {
      terminal.print(requestLine(request, response, performance.now() - start, address));
    }
    return response;
  };
}

/** The one place where an error becomes a response. An internal error is reported on the terminal only. */
function toResponse(error: unknown, terminal: Terminal, request?: Request): Response {
  if (error instanceof BrokenOffError) return new Response();
  const refusal = toHttpError(error);
  if (refusal.status >= 500) terminal.fail("Cannot answer a request", error);
  return refusal.toResponse(request);
}

/** Runs the chat until a signal stops it. */
async function run(terminal: Terminal): Promise<void> {
  const config = parseConfig(Deno.args, (name) => Deno.env.get(name));
  const ignored = unknownVariables(Object.keys(Deno.env.toObject()));
  if (ignored.length > 0) terminal.warn(ignoredVariables(ignored));
  const log = await openMessageLog(config.messageLog, config);
  await using room = new Room(log, { heartbeatMs: config.heartbeat * 1000 });
  const server = new Server(await createHandler({ room, config, terminal }), {
    hostname: config.hostname,
    port: config.port,
    // Only a response body that fails midway gets here; the handler has dealt with everything else.
    onError: (error) => toResponse(error, terminal),
    onAcceptError: (reason) => terminal.warn(acceptError(reason)),
  });
  const stopped = stopSignal();
  reportFaults(terminal);
  terminal.print(greeting(config, server.port));
  for (const name of STARTING_PERMISSIONS) Deno.permissions.revokeSync({ name });
  await stopped;
  room.hub.close();
  await within(SHUTDOWN_MS, server.shutdown());
}

/** Reports errors that nobody catches: they end what they happened in, not everybody's streams. */
function reportFaults(terminal: Terminal): void {
  const report = (event: Event, error: unknown) => {
    event.preventDefault();
    terminal.fail("Unexpected error", error);
  };
  addEventListener("error", (event) => report(event, event.error));
  addEventListener("unhandledrejection", (event) => report(event, event.reason));
}

/** Waits for a promise, but no longer than that. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  await Promise.race([promise, new Promise((resolve) => setTimeout(resolve, ms))]);
}

if (import.meta.main) {
  const terminal = new Terminal();
  let code = 0;
  try {
    const info = readInfo(Deno.args);
    if (info !== undefined) terminal.print(info);
    else await run(terminal);
  } catch (error) {
    terminal.warn(startError(error));
    code = 1;
  }
  await within(LAST_LINES_MS, terminal.close());
  Deno.exit(code);
}
