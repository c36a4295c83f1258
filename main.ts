/**
 * A chat over server-sent events: config → hub → routes → serve → shutdown.
 *
 * `GET /` is the page, `GET /chat` the stream of messages, `POST /chat` takes
 * one. docs/protocol.md has the contract.
 */

import { accepts } from "@std/http/negotiation";
import { STATUS_CODE } from "@std/http/status";
import { ChatHub, type ReaderController } from "./chat_hub.ts";
import { readPost, stamp } from "./chat_message.ts";
import { type Config, HELP, parseConfig, VERSION } from "./config.ts";
import { HttpError } from "./http_error.ts";
import { loadPage, servePageFile } from "./page.ts";
import { greeting, requestLine, startError } from "./terminal.ts";
import { checkOrigin, preflight, setCorsHeaders } from "./visitor_guard/mod.ts";

/** Connections the kernel may hold for us: a thousand readers that arrive at once all get in. */
const TCP_BACKLOG = 4096;
/** Streams that have not ended this long after a signal are cut: their readers do not read. */
const SHUTDOWN_DEADLINE_MS = 800;

/** On every response. The page loads nothing from elsewhere and nobody frames it. */
const SECURITY_HEADERS = Object.entries({
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
    "img-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; " +
    "base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  // Not no-referrer: with it browsers send "Origin: null" with the page's own plain form.
  "referrer-policy": "same-origin",
});

const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  // no-transform: a proxy that compresses would hold messages back.
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

/** What the routes need: one room and its settings. */
export interface HandlerOptions {
  readonly hub: ChatHub;
  readonly config: Config;
}

/** Answers one request; a server also tells who sent it. */
export type Handler = (
  request: Request,
  info?: Deno.ServeHandlerInfo<Deno.NetAddr>,
) => Promise<Response>;

type Route = (request: Request) => Response | Promise<Response>;
type Routes = ReadonlyMap<string, ReadonlyMap<string, Route>>;

/** The application, as a function from request to response. */
export async function createHandler({ hub, config }: HandlerOptions): Promise<Handler> {
  const routes = new Map<string, ReadonlyMap<string, Route>>();
  for (const [path, file] of await loadPage(config)) {
    routes.set(path, new Map([["GET", (request) => servePageFile(request, file)]]));
  }
  routes.set(
    "/chat",
    new Map<string, Route>([
      ["GET", (request) => openStream(request, hub)],
      ["POST", (request) => postMessage(request, hub, config)],
    ]),
  );

  return async (request, info) => {
    const start = performance.now();
    const response = await dispatch(request, routes, config).catch(onError);
    for (const [name, value] of SECURITY_HEADERS) response.headers.set(name, value);
    setCorsHeaders(response.headers, request, config.allowOrigin);
    if (config.verbose) {
      const took = performance.now() - start;
      console.log(requestLine(request, response, took, info?.remoteAddr.hostname ?? ""));
    }
    return response;
  };
}

async function dispatch(request: Request, routes: Routes, config: Config): Promise<Response> {
  const path = URL.parse(request.url)?.pathname ?? "this address";
  const methods = routes.get(path);
  if (!methods) {
    throw new HttpError(
      STATUS_CODE.NotFound,
      `There is nothing at ${path}; the page is at / and its messages at /chat.`,
    );
  }
  const route = methods.get(request.method === "HEAD" ? "GET" : request.method);
  if (route) return await route(request);
  const allow = [...methods.keys()].join(", ").replace("GET", "GET, HEAD");
  if (request.method === "OPTIONS" && config.allowOrigin.length > 0) return preflight(allow);
  throw new HttpError(
    STATUS_CODE.MethodNotAllowed,
    `${path} does not take ${request.method}; use ${allow}.`,
    { headers: { allow } },
  );
}

/** `GET /chat`: a stream whose controller the hub has until the reader leaves. */
function openStream(request: Request, hub: ChatHub): Response {
  if (request.method === "HEAD") return new Response(null, { headers: STREAM_HEADERS });
  let reader: ReaderController;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => hub.join(reader = controller),
    cancel: () => hub.leave(reader),
  });
  return new Response(stream, { headers: STREAM_HEADERS });
}

/** `POST /chat`: body → post → message → every reader. */
async function postMessage(request: Request, hub: ChatHub, config: Config): Promise<Response> {
  checkOrigin(request, config.allowOrigin);
  const message = stamp(await readPost(request), new Date());
  hub.publish([message]);
  // Only a browser that submits the form itself would rather have a page than JSON.
  return accepts(request, "application/json", "text/html") === "text/html"
    ? new Response(null, { status: STATUS_CODE.SeeOther, headers: { location: "/" } })
    : Response.json(message, { status: STATUS_CODE.Created });
}

/** The one place where an error becomes an answer: a refusal in full, a fault of ours not at all. */
function onError(error: unknown): Response {
  if (error instanceof HttpError) return error.toResponse();
  console.error("Cannot answer a request:", error);
  return new HttpError(
    STATUS_CODE.InternalServerError,
    "The server failed at this request; its terminal says why. Try again.",
  ).toResponse();
}

/** Listens until SIGINT or SIGTERM, then ends every stream and stops. */
async function serve(config: Config): Promise<void> {
  const hub = new ChatHub({ heartbeatMs: config.heartbeat * 1000 });
  const { port, hostname } = config;
  const server = Deno.serve({
    port,
    hostname,
    tcpBacklog: TCP_BACKLOG,
    onListen: ({ port }) => console.log(greeting(config, port)),
  }, await createHandler({ hub, config }));

  const stop = async () => {
    setTimeout(() => Deno.exit(0), SHUTDOWN_DEADLINE_MS);
    const finished = server.shutdown();
    hub.close();
    await finished;
    Deno.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  await server.finished;
}

if (import.meta.main) {
  let config: Config | undefined;
  try {
    config = parseConfig(Deno.args, (name) => Deno.env.get(name));
    if (config.help) console.log(HELP);
    else if (config.version) console.log(VERSION);
    else await serve(config);
  } catch (error) {
    console.error(startError(error, config));
    Deno.exit(1);
  }
}
