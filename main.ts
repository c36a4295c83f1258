/**
 * A chat over server-sent events: config → message store → rooms → guard → routes → serve →
 * shutdown.
 *
 * `GET /` is the page, `GET /chat` the stream of messages or their history,
 * `POST /chat` takes one; `/NAME` and `/NAME/chat` are the same for the room of that
 * name. docs/protocol.md has the contract.
 */

import { isExpired, readCertificate } from "./certificate.ts";
import { renewal, reportExpired } from "./certificate_renewal.ts";
import {
  type Config,
  parseConfig,
  readInfo,
  refuseNewPasswords,
  sharedSettings,
  unknownVariables,
  withModerator,
} from "./config.ts";
import { addressesOf, handout, listening } from "./greeting.ts";
import { type MessageStore, StoreAwayError } from "./message_log/message_log.ts";
import { openMessageStore } from "./message_log/open.ts";
import { loadMetrics } from "./metrics/load.ts";
import type { Metrics } from "./metrics/metrics.ts";
import { BrokenOffError } from "./reader/reader.ts";
import { Rooms } from "./room.ts";
import { setSecurityHeaders } from "./routes/headers.ts";
import { toHttpError } from "./routes/http_error.ts";
import { routesInRooms } from "./routes/in_rooms.ts";
import { routesOfServer } from "./routes/of_server.ts";
import { CLIENT_PATH, RoomPages } from "./routes/page.ts";
import { dispatch } from "./routes/router.ts";
import { SignIn } from "./routes/session.ts";
import { toVisit, type Visit } from "./routes/visit.ts";
import { machineName, outerHosts, Server, stopSignal } from "./server.ts";
import { answered, startFailed, variablesIgnored } from "./server_events.ts";
import { Terminal } from "./terminal.ts";
import { isFromHere } from "./visitor_guard/address.ts";
import { Guard } from "./visitor_guard/guard.ts";
import { setCorsHeaders } from "./visitor_guard/origin.ts";
import { Sessions } from "./visitor_guard/session.ts";
import { Visitors } from "./visitor_guard/visitor.ts";

/** How long streams may take to end after a signal; a reader that does not read would hold them open. */
const SHUTDOWN_MS = 750;
/** How long the last lines may take to be written. */
const LAST_LINES_MS = 100;
/** What it needs only to start: from then on, a flaw in it gives nobody a file, variable or program. */
const STARTING_PERMISSIONS = ["read", "write", "env", "sys", "run", "ffi", "import"] as const;

/**
 * Open to all, whatever password there is: what the page to sign in at needs, who asks for life, and
 * what others import. The metrics have a token of their own.
 */
const OPEN_PATHS = [
  ...["/session", "/session.css", "/chat.css", "/icon.svg", "/livez", "/metrics"],
  CLIENT_PATH,
];

/** What the routes need: the rooms, their settings, who may do what, and where failures are reported. */
export interface HandlerOptions {
  readonly rooms: Rooms;
  /** Whose the rooms are. */
  readonly store: Pick<MessageStore, "id" | "secret" | "revoked" | "probe">;
  readonly config: Config;
  readonly guard: Guard;
  readonly terminal: Terminal;
  /** By which others reach the server, the best first. */
  readonly hosts: readonly string[];
  /** Counts what happens, if that is wanted. */
  readonly metrics?: Metrics;
}

/** Answers one request; a server also tells who sent it. */
export type Handler = (
  request: Request,
  info?: Deno.ServeHandlerInfo<Deno.NetAddr>,
) => Promise<Response>;

/** The application, as a function from request to response. */
export async function createHandler(
  { rooms, store, config, guard, terminal, hosts, metrics }: HandlerOptions,
): Promise<Handler> {
  const { title, allowOrigin } = config;
  const visitors = new Visitors(store.secret);
  const sessions = new Sessions({
    password: config.password?.text,
    moderatorPassword: config.moderatorPassword?.text,
    secret: store.secret,
    revoked: store.revoked,
  });
  const signIn = new SignIn({ sessions, visitors, guard, title, allowOrigin });
  const inRooms = routesInRooms({
    rooms,
    guard,
    visitors,
    sessions,
    pages: new RoomPages({ ...config, storeId: store.id }),
    hosts,
    config,
    metrics,
  });
  const routes = await routesOfServer({ rooms, store, signIn, guard, config, terminal, metrics });

  const respond = async (request: Request, peer: string, address: string) => {
    const visit = toVisit(request, { address, peer, isSecure: guard.isSecure(request, peer) });
    guard.checkHost(request, peer, address);
    if (isOpen(visit)) return await dispatch(visit, routes, inRooms);
    const known = await signIn.identify(visit);
    if (!known.role && sessions.isRequired) return signIn.refuse(known);
    return await dispatch(known, routes, inRooms);
  };

  return async (request, info) => {
    const start = performance.now();
    const peer = info?.remoteAddr.hostname ?? "unknown";
    const address = guard.addressOf(request, peer);
    const response = await respond(request, peer, address)
      .catch((error) => toResponse(error, terminal, request));
    setSecurityHeaders(response.headers, request);
    setCorsHeaders(response.headers, request, allowOrigin);
    metrics?.answered(request, response);
    if (config.verbose) {
      terminal.report(answered(request, response, performance.now() - start, address));
    }
    return response;
  };
}

/** Whether a visit is answered without the password. */
function isOpen({ request, url: { pathname }, peer }: Visit): boolean {
  // A browser asks without it what another site's page may do.
  return OPEN_PATHS.includes(pathname) || request.method === "OPTIONS" ||
    pathname === "/healthz" && isFromHere(request, peer);
}

/** The one place where an error becomes a response. An internal error is reported on the terminal only. */
function toResponse(error: unknown, terminal: Terminal, request?: Request): Response {
  if (error instanceof BrokenOffError) return new Response();
  const refusal = toHttpError(error);
  // The store has reported it already.
  if (error instanceof StoreAwayError) return refusal.toResponse(request);
  if (refusal.status >= 500 && error !== refusal) terminal.fail("request_failed", error);
  return refusal.toResponse(request);
}

/** What a test may have otherwise than a user. */
export interface ProgramOptions {
  readonly openStore?: typeof openMessageStore;
  /** See {@linkcode RoomsOptions.idleMs}. */
  readonly idleMs?: number;
}

/** Runs the chat until a signal stops it. */
async function run(
  terminal: Terminal,
  { openStore = openMessageStore, idleMs }: ProgramOptions,
): Promise<void> {
  const settings = parseConfig(Deno.args, (name) => Deno.env.get(name));
  const { isForPeople } = terminal;
  if (!isForPeople) refuseNewPasswords(settings);
  const config = withModerator(settings, isForPeople && Deno.stdout.isTerminal());
  const ignored = unknownVariables(Object.keys(Deno.env.toObject()));
  if (ignored.length > 0) terminal.report(variablesIgnored(ignored));
  const certificate = await readCertificate(config);
  const metrics = await loadMetrics(config);
  // Rooms that are named are as many as were wanted.
  const maxRooms = config.rooms === "any" ? config.maxRooms : Infinity;
  await using store = await openStore(config.messageLog, {
    ...config,
    maxRooms,
    settings: sharedSettings(config),
    onAway: (reason) => terminal.report({ event: "store_away", reason }),
    onBack: (afterMs) => {
      metrics?.reconnected();
      terminal.report({ event: "store_back", ms: Math.round(afterMs) });
    },
    onWarning: (reason) => terminal.report({ event: "store_endangered", reason }),
  });
  await using rooms = new Rooms(store, {
    heartbeatMs: config.heartbeat * 1000,
    idleMs,
    observer: metrics,
  });
  const names = certificate?.names ?? [];
  const hosts = outerHosts(config.hostname, names);
  using guard = new Guard({
    config: { ...config, allowHost: [...config.allowHost, ...names] },
    machineName: machineName(),
    onRefused: (refused) => terminal.report({ event: "requests_refused", ...refused }),
    onProxy: (address) => terminal.report({ event: "proxy_untrusted", address }),
  });
  const handler = await createHandler({ rooms, store, config, guard, terminal, hosts, metrics });
  const server = new Server(handler, {
    hostname: config.hostname,
    port: config.port,
    certificate,
    // Only a response body that fails midway gets here; the handler has dealt with everything else.
    onError: (error) => toResponse(error, terminal),
    onAcceptError: (reason) => terminal.report({ event: "accept_failed", reason }),
  });
  const stopped = stopSignal(certificate && renewal(server, config, terminal));
  reportFaults(terminal);
  const addresses = addressesOf(config, server.port, hosts);
  terminal.report(listening(config, addresses));
  if (isForPeople) terminal.print(await handout(config, addresses));
  if (certificate && isExpired(certificate)) reportExpired(certificate, terminal);
  for (const name of STARTING_PERMISSIONS) {
    // All files or none: Deno can't revoke it but for two.
    if (name === "read" && certificate) continue;
    Deno.permissions.revokeSync({ name });
  }
  await stopped;
  rooms.close();
  guard.close();
  await within(SHUTDOWN_MS, server.shutdown());
}

/** Reports errors that nobody catches: they end what they happened in, not everybody's streams. */
function reportFaults(terminal: Terminal): void {
  const report = (event: Event, error: unknown) => {
    event.preventDefault();
    terminal.fail("unexpected_error", error);
  };
  addEventListener("error", (event) => report(event, event.error));
  addEventListener("unhandledrejection", (event) => report(event, event.reason));
}

/** Waits for a promise, but no longer than that. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  await Promise.race([promise, new Promise((resolve) => setTimeout(resolve, ms))]);
}

/** The program: it ends the process. */
export async function main(options: ProgramOptions = {}): Promise<never> {
  const terminal = Terminal.open();
  let code = 0;
  try {
    const info = readInfo(Deno.args);
    if (info !== undefined) terminal.print(info);
    else {
      await run(terminal, options);
      terminal.report({ event: "stopped", uptime: Math.floor(performance.now() / 1000) });
    }
  } catch (error) {
    terminal.report(startFailed(error));
    code = 1;
  }
  await within(LAST_LINES_MS, terminal.close());
  Deno.exit(code);
}

if (import.meta.main) await main();
