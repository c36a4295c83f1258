/**
 * The listening socket, from the start of the program to the signal that stops
 * it. It hands requests to a handler, goes on when the system refuses a
 * connection, and closes once everything is answered. How, is the handler's affair.
 */

import type { Certificate } from "./certificate.ts";

/** Connections the kernel queues for us, so that a thousand readers arriving at once all get in. */
const TCP_BACKLOG = 4096;
/** The pause before listening again: time to close the old socket. */
const PAUSE_MS = 5;
/** The same if there are no files left for connections, or if it could not listen again. */
const LONG_PAUSE_MS = 300;
/** An error like the last one is reported again only after this time without any. */
const QUIET_MS = 60_000;
/** A socket that closes waits no longer for a moment without a post. */
const MAX_POSTS_MS = 1000;
/** Over HTTP/2, Deno's shutdown breaks off what it is still sending: the ends of streams go first. */
const LAST_FRAMES_MS = 100;
const OUT_OF_FILES = "the system allows this process no more open files; " +
  "raise the limit with ulimit -n, or with LimitNOFILE= under systemd";

/** Options for {@linkcode Server}. */
export interface ServerOptions {
  readonly hostname: string;
  /** The port, or 0 for any free one. */
  readonly port: number;
  /** For HTTPS, over HTTP/2 and HTTP/1.1; plain HTTP if absent. */
  readonly certificate?: Certificate;
  /** Called with what a handler throws, for a response, and with what breaks off a body. */
  onError(error: unknown): Response;
  /** Called when no connections can be accepted, with the reason; not again while that lasts. */
  onAcceptError(reason: string): void;
}

type Handler = Deno.ServeHandler<Deno.NetAddr>;

/** The address can't be listened on; the message says why and which setting to change. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/**
 * A server that listens until it is shut down.
 *
 * - **Alive.** An error while accepting, most likely for want of files, ends no stream
 *   and no request. Connections that are idle, which may be what has taken the files, are
 *   closed, and it listens on the same port again as soon as the system allows.
 * - **Answered.** Shutting down waits for every request in flight, including those that
 *   arrive meanwhile, and for every stream to end.
 * - **Renewed.** A new certificate is for connections to come. Open streams go on over
 *   those they have.
 */
export class Server {
  /** The port it listens on. */
  readonly port: number;
  readonly #handler: Handler;
  readonly #options: ServerOptions;
  #certificate: Certificate | undefined;
  #socket: Socket | undefined;
  /** Sockets that take no more connections, but still have some. */
  readonly #closing = new Set<Promise<void>>();
  #isShutDown = false;
  #endPause: () => void = () => {};
  #onListen: () => void = () => {};
  #lastReport = { reason: "", time: -Infinity };

  /** @throws {ListenError} If the address can't be listened on. */
  constructor(handler: Handler, options: ServerOptions) {
    this.#handler = handler;
    this.#options = options;
    this.#certificate = options.certificate;
    try {
      this.#socket = new Socket(handler, options);
    } catch (error) {
      throw new ListenError(listenProblem(error as Error, options), { cause: error });
    }
    this.port = this.#socket.port;
    this.#keepListening();
  }

  /** Stops listening; resolves when everything is answered and every stream has ended. */
  async shutdown(): Promise<void> {
    this.#isShutDown = true;
    this.#endPause();
    if (this.#certificate) await new Promise((resolve) => setTimeout(resolve, LAST_FRAMES_MS));
    this.#closeSocket();
    await Promise.allSettled(this.#closing);
  }

  /**
   * Takes over a certificate that was read again; resolves once new connections get it. That waits for
   * bodies that are being read.
   */
  renew(certificate: Certificate): Promise<void> {
    this.#certificate = certificate;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onListen = resolve;
    this.#closeSocket();
    return promise;
  }

  async #keepListening(): Promise<void> {
    while (!this.#isShutDown) {
      let pauseMs = PAUSE_MS;
      try {
        this.#socket ??= this.#listen();
        await this.#socket.finished;
      } catch (error) {
        if (this.#isShutDown) return;
        const { message } = error as Error;
        const isOutOfFiles = /too many open/i.test(message);
        if (!this.#socket || isOutOfFiles) pauseMs = LONG_PAUSE_MS;
        this.#report(isOutOfFiles ? OUT_OF_FILES : message);
        this.#closeSocket();
      }
      if (!this.#isShutDown) await this.#pause(pauseMs);
    }
  }

  #listen(): Socket {
    const options = { ...this.#options, port: this.port, certificate: this.#certificate };
    const socket = new Socket(this.#handler, options);
    this.#onListen();
    return socket;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #closeSocket(): void {
    if (!this.#socket) return;
    const closing = this.#socket.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    this.#socket = undefined;
  }

  #report(reason: string): void {
    const last = this.#lastReport;
    this.#lastReport = { reason, time: performance.now() };
    if (reason !== last.reason || this.#lastReport.time - last.time > QUIET_MS) {
      this.#options.onAcceptError(reason);
    }
  }
}

/** One call of `Deno.serve`, whose loop ends with the first error while accepting. */
class Socket {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #closed = Promise.withResolvers<void>();
  readonly #posts = new Set<Promise<void>>();

  constructor(handler: Handler, { hostname, port, certificate, onError }: ServerOptions) {
    const options = {
      hostname,
      port,
      ...certificate,
      onError,
      tcpBacklog: TCP_BACKLOG,
      onListen() {},
    };
    this.#server = Deno.serve(options, (request, info) => {
      const response = handler(request, info);
      if (request.method === "POST") {
        const forget = () => void this.#posts.delete(post);
        const post = Promise.resolve(response).then(forget, forget);
        this.#posts.add(post);
      }
      return response;
    });
  }

  get port(): number {
    return this.#server.addr.port;
  }

  /** Resolves once it accepts nothing more; rejects with an error while accepting. */
  get finished(): Promise<void> {
    return Promise.race([this.#server.finished, this.#closed.promise]);
  }

  /** Closes idle connections at once, and others when their responses have ended. */
  async close(): Promise<void> {
    // Posts go first: Deno's shutdown breaks off the bodies that are still being read. Others come
    // meanwhile, on a busy server without end.
    const deadline = performance.now() + MAX_POSTS_MS;
    while (this.#posts.size > 0 && performance.now() < deadline) await Promise.all(this.#posts);
    const ended = this.#server.shutdown();
    this.#closed.resolve();
    await ended;
  }
}

/**
 * The names and addresses by which others reach a server that listens on a host, the best first;
 * none if only this machine can. Best are the names that its certificate is for.
 */
export function outerHosts(hostname: string, names: readonly string[] = []): string[] {
  if (isLoopback(hostname)) return [];
  const isAny = hostname === "0.0.0.0" || hostname === "::";
  const outerNames = names.filter((name) => !isLoopback(name) && name !== hostname);
  return [...outerNames, ...isAny ? networkAddresses() : [hostname]];
}

/** Whether it is a name or address by which a machine reaches itself alone. */
export function isLoopback(hostname: string): boolean {
  return /^((.+\.)?localhost\.?|127\.\d+\.\d+\.\d+|\[?::1\]?)$/.test(hostname);
}

/** The name of this machine, if it tells. */
export function machineName(): string | undefined {
  try {
    return Deno.hostname();
  } catch {
    // A sandbox may keep it from us.
  }
}

/** The addresses at which others on the same network reach this machine, if it tells. */
function networkAddresses(): string[] {
  try {
    return Deno.networkInterfaces()
      .filter(({ family, address }) => family === "IPv4" && !address.startsWith("127."))
      .map(({ address }) => address);
  } catch {
    // A sandbox may keep them from us, with one error or another; the chat starts without.
    return [];
  }
}

/**
 * Resolves at the first SIGINT, SIGTERM or SIGHUP; from then on they no longer end the program.
 * Instead of that, a SIGHUP calls `onHangUp` if it is given.
 */
export function stopSignal(onHangUp?: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  Deno.addSignalListener("SIGINT", resolve);
  // Passed on as SIGINT, the only one that also ends the watcher of `deno run --watch`: a
  // SIGTERM is what it sends the program itself, before each restart.
  const passOn = () => Deno.kill(Deno.pid, "SIGINT");
  const stop = Deno.build.os === "windows" ? resolve : passOn;
  Deno.addSignalListener("SIGTERM", stop);
  // On Windows it is what a console sends that is closed: it ends the program in any case.
  Deno.addSignalListener("SIGHUP", Deno.build.os === "windows" ? stop : onHangUp ?? stop);
  return promise;
}

function listenProblem(error: Error, { hostname, port }: ServerOptions): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return `port ${port} is in use; stop the program that uses it, or choose another with --port`;
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return `port ${port} is not allowed to this user; choose one over 1023 with --port`;
  }
  if (error instanceof Deno.errors.AddrNotAvailable || error.message.includes("lookup")) {
    return `this machine has no address "${hostname}"; choose one that it has with --hostname`;
  }
  return `${error.message}, when listening on "${hostname}", port ${port}; ` +
    "change that with --hostname or --port";
}
