/**
 * A chat over server-sent events: config → message log → hub → routes → serve →
 * shutdown.
 *
 * `GET /` is the page, `GET /chat` the stream of messages or their history,
 * `POST /chat` takes one. docs/protocol.md has the contract.
 */

import { type Config, parseConfig, readInfo, unknownVariables } from "./config.ts";
import { openMessageLog } from "./message_log/open.ts";
import { BrokenOffError } from "./reader/reader.ts";
import { Room } from "./room.ts";
import { wantsJson } from "./routes/accept.ts";
import { SECURITY_HEADERS } from "./routes/headers.ts";
import { sendHistory } from "./routes/history.ts";
import { toHttpError } from "./routes/http_error.ts";
import { loadPage, servePageFile } from "./routes/page.ts";
import { postMessage } from "./routes/post.ts";
import { dispatch, type Route } from "./routes/router.ts";
import { openStream } from "./routes/stream.ts";
import { toVisit } from "./routes/visit.ts";
import { greeting, ignoredVariables, requestError, requestLine, startError } from "./terminal.ts";
import { checkOrigin, setCorsHeaders } from "./visitor_guard/origin.ts";

/** Connections the kernel may hold for us: a thousand readers that arrive at once all get in. */
const TCP_BACKLOG = 4096;
/** Streams that have not ended this long after a signal are cut: their readers do not read. */
const SHUTDOWN_DEADLINE_MS = 800;

/** What the routes need: one room and its settings. */
export interface HandlerOptions {
  readonly room: Room;
  readonly config: Config;
}

/** Answers one request; a server also tells who sent it. */
export type Handler = (
  request: Request,
  info?: Deno.ServeHandlerInfo<Deno.NetAddr>,
) => Promise<Response>;

/** The application, as a function from request to response. */
export async function createHandler({ room, config }: HandlerOptions): Promise<Handler> {
  const chat = new Map<string, Route>([
    ["GET", (visit) => {
      checkOrigin(visit.request, config.allowOrigin);
      return wantsJson(visit.request) ? sendHistory(visit, room) : openStream(visit, room);
    }],
    ["POST", ({ request }) => {
      checkOrigin(request, config.allowOrigin);
      return postMessage(request, room.log);
    }],
  ]);
  const routes = new Map<string, ReadonlyMap<string, Route>>([["/chat", chat]]);
  for (const [path, file] of await loadPage(config)) {
    routes.set(path, new Map([["GET", ({ request }) => servePageFile(request, file)]]));
  }

  const respond = async (request: Request, address?: string) =>
    await dispatch(toVisit(request, address), routes);

  return async (request, info) => {
    const start = performance.now();
    const address = info?.remoteAddr.hostname;
    const response = await respond(request, address).catch((error) => onError(error, request));
    for (const [name, value] of SECURITY_HEADERS) response.headers.set(name, value);
    setCorsHeaders(response.headers, request, config.allowOrigin);
    if (config.verbose) {
      console.log(requestLine(request, response, performance.now() - start, address));
    }
    return response;
  };
}

/** The one place where an error becomes an answer. A fault of ours is told to the terminal alone. */
function onError(error: unknown, request?: Request): Response {
  if (error instanceof BrokenOffError) return new Response();
  const refusal = toHttpError(error);
  if (refusal.status >= 500) console.error(requestError(error));
  return refusal.toResponse(request);
}

/** Listens until SIGINT or SIGTERM, then ends every stream and stops. */
async function serve(config: Config): Promise<void> {
  const log = await openMessageLog(config.messageLog, config);
  const room = new Room(log, { heartbeatMs: config.heartbeat * 1000 });
  const handler = await createHandler({ room, config });
  const posts = new Set<Promise<Response>>();
  const server = Deno.serve({
    port: config.port,
    hostname: config.hostname,
    tcpBacklog: TCP_BACKLOG,
    onListen: ({ port }) => console.log(greeting(config, port)),
    // What comes here is a body that breaks off: the handler has answered for all else.
    onError,
  }, (request, info) => {
    const response = handler(request, info);
    if (request.method === "POST") {
      posts.add(response);
      response.finally(() => posts.delete(response));
    }
    return response;
  });

  let isStopping = false;
  const stop = async () => {
    if (isStopping) return;
    isStopping = true;
    setTimeout(() => Deno.exit(0), SHUTDOWN_DEADLINE_MS);
    room.hub.close();
    // Before the server: its shutdown breaks off the bodies that are still being read.
    await Promise.allSettled(posts);
    await server.shutdown();
    await room[Symbol.asyncDispose]();
    Deno.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  await server.finished;
}

if (import.meta.main) {
  let config: Config | undefined;
  try {
    const info = readInfo(Deno.args);
    if (info !== undefined) {
      console.log(info);
    } else {
      config = parseConfig(Deno.args, (name) => Deno.env.get(name));
      const ignored = unknownVariables(Object.keys(Deno.env.toObject()));
      if (ignored.length > 0) console.error(ignoredVariables(ignored));
      await serve(config);
    }
  } catch (error) {
    console.error(startError(error, config));
    Deno.exit(1);
  }
}
