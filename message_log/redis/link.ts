/** The connections of an instance to Redis, each made again whenever it is lost. */

import { clearTimeout, setTimeout } from "node:timers";
import { LogUnavailableError, StoreAwayError } from "../message_log.ts";
import { type Args, DEADLINE_MS, RedisConnection } from "./connection.ts";
import type { Script } from "./scripts.ts";

/** The pause before another try: it doubles up to the longest. */
const MIN_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1000;
/** What lasted this long was no failure. */
const STABLE_MS = 1000;
/** What took longer tells too little of the time. */
const MAX_ROUND_TRIP_MS = 200;
/** A script gives up this much before the instance does. */
const MARGIN_MS = 100;

/** Options for {@linkcode stayConnected}. */
export interface StayConnectedOptions {
  /** Ends it, and the connection there is. */
  readonly signal: AbortSignal;
  /** Called with what no connection could be made for, or what a new one failed with. */
  onFailure?(error: LogUnavailableError): void;
}

/**
 * Keeps a connection that `use` works with: each time that it resolves or fails there is another, after a
 * pause that differs among instances.
 */
export async function stayConnected(
  url: string,
  use: (connection: RedisConnection) => Promise<void>,
  { signal, onFailure }: StayConnectedOptions,
): Promise<void> {
  let pauseMs = MIN_PAUSE_MS;
  while (!signal.aborted) {
    const start = performance.now();
    let connection: RedisConnection | undefined;
    try {
      connection = await RedisConnection.open(url, signal);
      await use(connection);
    } catch (error) {
      // A fault of ours, or of what somebody has put into Redis: the next connection may fare better.
      if (!(error instanceof LogUnavailableError)) reportError(error);
      else if (!signal.aborted) onFailure?.(error);
    }
    connection?.retire("The connection is not needed any more");
    if (performance.now() - start > STABLE_MS) pauseMs = MIN_PAUSE_MS;
    await pause(pauseMs * (0.5 + Math.random()), signal);
    pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
  }
}

/** Options for {@linkcode RedisLink}. */
export interface RedisLinkOptions {
  /** Called with each new connection before it is used; what it throws is its failure. */
  onConnect(connection: RedisConnection): Promise<void>;
  /** No connection could be made, or the one there was does not answer. */
  onFailure(error: LogUnavailableError): void;
  /** There is one again. */
  onReady(): void;
}

/** The connection for everything but waiting. */
export class RedisLink {
  readonly #closing = new AbortController();
  readonly #loop: Promise<void>;
  #connection: RedisConnection | undefined;
  #ready = Promise.withResolvers<void>();
  #reason = "Redis has not been reached yet";
  /** Redis' clock in milliseconds, less how long this program has run. */
  #clockOffset = 0;

  constructor(url: string, { onConnect, onFailure, onReady }: RedisLinkOptions) {
    const use = async (connection: RedisConnection) => {
      await this.#readClock(connection);
      await onConnect(connection);
      this.#connection = connection;
      this.#ready.resolve();
      onReady();
      this.#reason = await connection.ended;
      this.#connection = undefined;
      this.#ready = Promise.withResolvers();
      if (connection.isHung) onFailure(new StoreAwayError(this.#reason));
    };
    this.#loop = stayConnected(url, use, {
      signal: this.#closing.signal,
      onFailure: (error) => {
        this.#reason = error.message;
        onFailure(error);
      },
    });
  }

  get isReady(): boolean {
    return this.#connection !== undefined;
  }

  /** Resolves when there is a connection, or is not going to be one any more. */
  get ready(): Promise<void> {
    return this.#closing.signal.aborted ? Promise.resolve() : this.#ready.promise;
  }

  /** What Redis' clock shows, in milliseconds since 1970. */
  get now(): number {
    return Math.round(performance.now() + this.#clockOffset);
  }

  /** By Redis' clock, when it is too late for what is sent now. */
  get deadline(): number {
    return this.now + DEADLINE_MS - MARGIN_MS;
  }

  /**
   * @throws {StoreAwayError} At once where there is no connection.
   * @throws {LogUnavailableError} See {@linkcode RedisConnection.send}.
   */
  send(args: Args, ms?: number): Promise<unknown> {
    return this.#connection?.send(args, ms) ?? this.#refuse();
  }

  /** @throws {LogUnavailableError} As {@linkcode send} does. */
  run(script: Script, keys: Args, args: Args): Promise<unknown> {
    return this.#connection?.run(script, keys, args) ?? this.#refuse();
  }

  /** Takes note of what Redis' clock showed in the middle of the time from `sent` to now. */
  setClock(now: number, sent: number): void {
    const received = performance.now();
    if (received - sent <= MAX_ROUND_TRIP_MS) this.#clockOffset = now - (sent + received) / 2;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#ready.resolve();
    await this.#loop;
  }

  async #readClock(connection: RedisConnection): Promise<void> {
    const sent = performance.now();
    const [seconds, micros] = await connection.send(["TIME"]) as string[];
    const now = Number(seconds) * 1000 + Number(micros) / 1000;
    this.#clockOffset = now - performance.now();
    this.setClock(now, sent);
  }

  #refuse(): Promise<never> {
    return Promise.reject(new StoreAwayError(this.#reason));
  }
}

/** Resolves after some time, or when the signal is given. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
