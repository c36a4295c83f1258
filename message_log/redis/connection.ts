/**
 * A connection to Redis. It is used until the first doubt, then given up for a new one: a client that
 * reconnects by itself would send again what Redis may have done, or wait without end. What has been
 * sent by then keeps its time to be answered: Redis, which may wake, would still do it.
 */

import { createClient, ErrorReply } from "@redis/client";
import { clearTimeout, setTimeout } from "node:timers";
import { LogUnavailableError, StoreAwayError } from "../message_log.ts";
import type { Script } from "./scripts.ts";

/** What Redis has not answered by then, it won't. */
export const DEADLINE_MS = 2000;
/** Before an answer is given up, there is this much time to look for it. */
const LOOK_MS = 50;
/** Replies of a Redis that is no use, but may soon be one elsewhere. */
const USELESS = /^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|UNBLOCKED)/;
/** Replies that waiting does not change. */
const HOPELESS =
  /^(WRONGPASS|NOAUTH|NOPERM|WRONGTYPE|NEWER|ERR AUTH|ERR DB index|ERR Error compiling|.*certificate)/;

/** What a command and its arguments are sent as. */
export type Args = readonly string[];

/** An error that Redis answered. */
export class RedisError extends LogUnavailableError {
}

/** Whether trying again can't help. */
export function isHopeless(error: unknown): boolean {
  return error instanceof LogUnavailableError && HOPELESS.test(error.message);
}

/** A connection that has been made. */
export class RedisConnection {
  readonly #client: ReturnType<typeof newClient>;
  readonly #ended = Promise.withResolvers<string>();
  #reason: string | undefined;
  #isHung = false;
  /** How many commands wait for a reply. */
  #waiting = 0;
  /** Resolves when nothing does any more, after it was given up. */
  readonly #closed = Promise.withResolvers<void>();

  private constructor(url: string) {
    this.#client = newClient(url);
    this.#client.on("error", (error: Error) => this.destroy(error.message));
  }

  /**
   * @param signal Gives it up, also before it is made.
   * @throws {RedisError} If Redis refuses it; see {@linkcode isHopeless}.
   * @throws {StoreAwayError} If it can't be made in time.
   */
  static async open(url: string, signal: AbortSignal): Promise<RedisConnection> {
    const connection = new RedisConnection(url);
    const close = () => connection.destroy("The message log is closed");
    signal.addEventListener("abort", close);
    void connection.#closed.promise.then(() => signal.removeEventListener("abort", close));
    const connecting = connection.#client.connect();
    const failed = connection.ended.then((reason) => Promise.reject(new StoreAwayError(reason)));
    await connection.#within(DEADLINE_MS, Promise.race([connecting, failed]));
    return connection;
  }

  /** Resolves with the reason when it is given up. */
  get ended(): Promise<string> {
    return this.#ended.promise;
  }

  /** Whether it was given up because Redis did not answer. */
  get isHung(): boolean {
    return this.#isHung;
  }

  /**
   * Sends a command; resolves with the reply.
   *
   * @param ms How long Redis may take.
   * @throws {RedisError} If Redis refuses it.
   * @throws {StoreAwayError} If Redis does not answer in time, or is no use: the connection is given up.
   */
  async send(args: Args, ms: number = DEADLINE_MS): Promise<unknown> {
    if (this.#reason !== undefined) throw new StoreAwayError(this.#reason);
    return await this.#within(ms, this.#client.sendCommand([...args]));
  }

  /** Runs a script; see {@linkcode send}. */
  async run({ sha1, text }: Script, keys: Args, args: Args): Promise<unknown> {
    const rest = [`${keys.length}`, ...keys, ...args];
    try {
      return await this.send(["EVALSHA", sha1, ...rest]);
    } catch (error) {
      if (!(error instanceof RedisError) || !error.message.startsWith("NOSCRIPT")) throw error;
      return await this.send(["EVAL", text, ...rest]);
    }
  }

  /** Gives it up at once: what waits for an answer gets none. */
  destroy(reason: string): void {
    this.#reason ??= reason;
    if (this.#client.isOpen) this.#client.destroy();
    this.#ended.resolve(this.#reason);
    this.#closed.resolve();
  }

  /** Gives it up: nothing more is sent. */
  retire(reason: string): void {
    this.#reason ??= reason;
    this.#ended.resolve(this.#reason);
    if (this.#waiting === 0) this.destroy(reason);
  }

  async #within<Reply>(ms: number, reply: Promise<Reply>): Promise<Reply> {
    const late = Promise.withResolvers<never>();
    const giveUp = () => {
      this.#isHung = true;
      late.reject(new Error(`Redis has not answered for ${ms / 1000} seconds`));
    };
    // Where this program was busy all that time, the answer is there, and has not been looked at.
    let timer = setTimeout(() => {
      timer = setTimeout(giveUp, LOOK_MS);
    }, ms - LOOK_MS);
    this.#waiting++;
    try {
      return await Promise.race([reply, late.promise]);
    } catch (error) {
      const { message } = error as Error;
      const isRefusal = error instanceof ErrorReply && !USELESS.test(message);
      if (isRefusal) throw new RedisError(message, { cause: error });
      this.retire(message);
      throw new StoreAwayError(this.#reason, { cause: error });
    } finally {
      clearTimeout(timer);
      this.#waiting--;
      if (this.#reason !== undefined) this.retire(this.#reason);
    }
  }
}

/** For what is tried again, or not needed, where Redis can't be used just now. */
export function ignoreUnavailable(error: unknown): void {
  if (!(error instanceof LogUnavailableError)) throw error;
}

function newClient(url: string) {
  return createClient({
    url,
    RESP: 2,
    disableOfflineQueue: true,
    disableClientInfo: true,
    // Its default asks for a right to read the environment.
    maintNotifications: "disabled",
    socket: { reconnectStrategy: false, connectTimeout: DEADLINE_MS },
  });
}
