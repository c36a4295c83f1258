/**
 * What a request must pass before it costs anything: the name that it was sent to, and what its address
 * may still do. A refusal costs less than what it refuses.
 */

import { STATUS_CODE } from "@std/http/status";
import type { Config } from "../config.ts";
import { isEventSource } from "../routes/accept.ts";
import { STREAM_HEADERS } from "../routes/headers.ts";
import { excerpt, HttpError } from "../routes/http_error.ts";
import { addressKey, visitorAddress } from "./address.ts";
import { hostOf, OwnHosts } from "./host.ts";
import { PostLimit } from "./post_limit.ts";
import { RateLimit } from "./rate_limit.ts";
import { Refusals, type Refused } from "./refusals.ts";
import { type Full, Slots } from "./slots.ts";

/** How each limit on a rate is called at the terminal and in a refusal. */
const POSTS = {
  name: "--rate-limit",
  what: "messages from this address",
  remedy: " To let more in, start the server with a greater --rate-limit.",
};
const ALL_POSTS = {
  name: "posts of all together",
  what: "messages from all together",
  remedy: " To lift this limit, start the server with --rate-limit 0.",
};
const TRIES = { name: "wrong passwords", what: "wrong passwords from this address", remedy: "" };
const SIGN_INS = { name: "sign-ins", what: "sign-ins from this address", remedy: "" };
/** Wrong passwords of one address. */
const MAX_TRIES = { perMinute: 10, burst: 100 };
/** Right ones: each session that is ended is remembered for a month. */
const MAX_SIGN_INS = { perMinute: 60, burst: 240 };
/** Bodies and histories that are on their way. Strangers leave half to those who have posted. */
const IN_FLIGHT = { perKey: 64, total: 256, reserve: 128 };
/** Whoever is over a rate limit is told so after this: who asks again at once gains nothing. */
const HOLD_MS = 1000;
/** With more than this held, others are told at once. */
const MAX_HELD = 1000;
/** How many peers that may be a proxy are named. */
const MAX_PROXIES = 3;
/** An EventSource that is refused comes back after this. */
const STREAM_RETRY_MS = 60_000;
const BUSY_RETRY_S = 1;
/** Which setting each limit of streams is. */
const STREAM_SETTINGS: Record<Full, string> = {
  perKey: "--max-readers-per-address",
  total: "--max-readers",
};

/** Options for {@linkcode Guard}. */
export interface GuardOptions {
  readonly config: Pick<
    Config,
    "hostname" | "rateLimit" | "maxReaders" | "maxReadersPerAddress" | "trustProxy" | "allowHost"
  >;
  /** The machine's name, if the system tells it. */
  readonly machineName?: string;
  /** How long a refusal over a rate limit is held back. @default {1000} */
  readonly holdMs?: number;
  /** The clock of the rate limits, in milliseconds that never go back. @default {performance.now} */
  readonly now?: () => number;
  /** Called with who is refused: at once, then once a minute. */
  onRefused(refused: Refused): void;
  /** Called with the address of a sender that may be a proxy, but is not trusted. */
  onProxy(address: string): void;
}

/** The guard of one server. */
export class Guard implements Disposable {
  readonly #config: GuardOptions["config"];
  readonly #hosts: OwnHosts;
  readonly #onProxy: (address: string) => void;
  readonly #refusals: Refusals;
  readonly #holdMs: number;
  readonly #now: () => number;
  readonly #posts: PostLimit | undefined;
  readonly #tries: RateLimit;
  readonly #signIns: RateLimit;
  /** By address, the try that is being checked. */
  readonly #trying = new Map<string, Promise<void>>();
  readonly #streams: Slots;
  readonly #bodies: Slots;
  /** Open to all, so they take nothing from those who are signed in. */
  readonly #signInBodies = new Slots({ ...IN_FLIGHT, reserve: 0 });
  readonly #histories = new Slots(IN_FLIGHT);
  /** Refusals that are held back, each with what ends that. */
  readonly #held = new Set<() => void>();
  /** Peers that were taken for a proxy. */
  readonly #proxies = new Set<string>();
  #isClosed = false;

  constructor(options: GuardOptions) {
    const { config, holdMs = HOLD_MS, now = () => performance.now() } = options;
    const { rateLimit, maxReaders, maxReadersPerAddress } = config;
    this.#config = config;
    this.#hosts = new OwnHosts({ ...config, machineName: options.machineName });
    this.#onProxy = options.onProxy;
    this.#refusals = new Refusals(options.onRefused);
    this.#holdMs = holdMs;
    this.#now = now;
    this.#posts = rateLimit === 0 ? undefined : new PostLimit({ perMinute: rateLimit, now });
    this.#bodies = new Slots(rateLimit === 0 ? { perKey: 0, total: 0 } : IN_FLIGHT);
    this.#tries = new RateLimit({ ...MAX_TRIES, now });
    this.#signIns = new RateLimit({ ...MAX_SIGN_INS, now });
    this.#streams = new Slots({ perKey: maxReadersPerAddress, total: maxReaders });
  }

  /** The address that a request is from, which a trusted proxy tells of others. */
  addressOf({ headers }: Request, peer: string): string {
    const forwarded = headers.get("x-forwarded-for");
    if (forwarded === null) return peer;
    if (!this.#isTrusted(peer)) this.#warnOfProxy(peer);
    return visitorAddress(peer, forwarded, this.#config.trustProxy);
  }

  /** Whether what the visitor sees is HTTPS, here or at a trusted proxy. */
  isSecure({ url, headers }: Request, peer: string): boolean {
    return url.startsWith("https:") ||
      (this.#isTrusted(peer) && lastOf(headers.get("x-forwarded-proto")) === "https");
  }

  /**
   * Checks the name that a request was sent to; behind a trusted proxy, also that which the proxy was
   * asked for. A page can forge the one where the proxy lets it pass, but not the other.
   *
   * @throws {HttpError} 421 for one that is not ours.
   */
  checkHost(request: Request, peer: string, address: string): void {
    const hosts = [hostOf(request)];
    const forwarded = request.headers.get("x-forwarded-host");
    if (forwarded !== null && this.#isTrusted(peer)) hosts.push(lastOf(forwarded));
    for (const host of hosts) {
      if (this.#hosts.has(host)) continue;
      this.#refusals.add(address, "--allow-host");
      throw new HttpError(
        STATUS_CODE.MisdirectedRequest,
        `This server does not go by the name "${
          excerpt(host)
        }"; use one that it has, or start it ` +
          "with --allow-host and that name.",
      );
    }
  }

  /**
   * Lets a body be read, until it is disposed of.
   *
   * @throws {HttpError} 503 for one too many at once.
   */
  enterBody(address: string): Disposable {
    return this.#enter(this.#bodies, address, "bodies of requests");
  }

  /**
   * Lets a body be read in which somebody signs in or out, until it is disposed of.
   *
   * @throws {HttpError} 503 for one too many at once.
   */
  enterSignIn(address: string): Disposable {
    return this.#enter(this.#signInBodies, address, "bodies of requests");
  }

  /**
   * Lets somebody sign in who knows the password.
   *
   * @throws {HttpError} 429 with `Retry-After` for one too many.
   */
  async enterSession(address: string): Promise<void> {
    const waitMs = this.#signIns.take(addressKey(address));
    if (waitMs > 0) throw await this.#tooMany(address, waitMs, SIGN_INS);
  }

  /**
   * Lets a message in whose body has not been read, until it is disposed of.
   *
   * @throws {HttpError} 429 with `Retry-After` for one too many, 503 for too many at once.
   */
  async enterPost(address: string): Promise<Disposable> {
    const slot = this.enterBody(address);
    const full = this.#posts?.take(addressKey(address));
    if (!full) return slot;
    slot[Symbol.dispose]();
    throw await this.#tooMany(address, full.waitMs, full.isOfAll ? ALL_POSTS : POSTS);
  }

  /** Takes what the length of a message costs that was let in. */
  chargePost(address: string, bytes: number): void {
    this.#posts?.charge(addressKey(address), bytes);
  }

  /**
   * Lets somebody try a password; `isRight` checks it. A right one costs nothing.
   *
   * @throws {HttpError} 429 with `Retry-After` after too many wrong ones.
   */
  async tryPassword(address: string, isRight: () => Promise<boolean>): Promise<boolean> {
    const key = addressKey(address);
    // One at a time: whether a try counts is known when it is over.
    const before = this.#trying.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#trying.set(key, promise);
    await before;
    let waitMs: number;
    try {
      waitMs = this.#tries.waitMs(key);
      if (waitMs === 0) {
        const isIn = await isRight();
        if (!isIn) {
          this.#tries.charge(key, 1);
          this.#refusals.add(address, TRIES.name);
        }
        return isIn;
      }
    } finally {
      resolve();
      if (this.#trying.get(key) === promise) this.#trying.delete(key);
    }
    throw await this.#tooMany(address, waitMs, TRIES);
  }

  /**
   * Lets a history be read, until it is disposed of.
   *
   * @throws {HttpError} 503 for one too many at once.
   */
  enterHistory(address: string): Disposable {
    return this.#enter(this.#histories, address, "histories");
  }

  /**
   * Lets a reader in, until it is disposed of; or the response to one too many. An EventSource that is
   * refused by a status never comes back (HTML, section 9.2.3), so it is told when to.
   *
   * @throws {HttpError} 503 for one too many that is no EventSource.
   */
  enterStream(request: Request, address: string): Disposable | Response {
    const slot = this.#streams.take(addressKey(address));
    if (typeof slot !== "string") return slot;
    const setting = STREAM_SETTINGS[slot];
    this.#refusals.add(address, setting);
    if (isEventSource(request)) {
      return new Response(`retry: ${STREAM_RETRY_MS}\n\n`, { headers: STREAM_HEADERS });
    }
    throw new HttpError(
      STATUS_CODE.ServiceUnavailable,
      `As many streams as may be are open${slot === "perKey" ? " from this address" : ""}; close ` +
        `one, or start the server with a greater ${setting}.`,
      { headers: { "retry-after": String(STREAM_RETRY_MS / 1000) } },
    );
  }

  /** Holds nothing back any longer. */
  close(): void {
    this.#isClosed = true;
    for (const release of this.#held) release();
  }

  [Symbol.dispose](): void {
    this.close();
    this.#refusals[Symbol.dispose]();
  }

  #isTrusted(peer: string): boolean {
    return this.#config.trustProxy.some((range) => range.has(peer));
  }

  #warnOfProxy(peer: string): void {
    if (this.#proxies.has(peer) || this.#proxies.size >= MAX_PROXIES) return;
    this.#proxies.add(peer);
    this.#onProxy(peer);
  }

  #enter(slots: Slots, address: string, what: string): Disposable {
    const key = addressKey(address);
    const slot = slots.take(key, this.#posts?.isStranger(key));
    if (typeof slot !== "string") return slot;
    this.#refusals.add(address, `${what} at once`);
    throw new HttpError(
      STATUS_CODE.ServiceUnavailable,
      `Too many ${what} are on their way; try again in a second.`,
      { headers: { "retry-after": String(BUSY_RETRY_S) } },
    );
  }

  async #tooMany(
    address: string,
    waitMs: number,
    { name, what, remedy }: { name: string; what: string; remedy: string },
  ): Promise<HttpError> {
    this.#refusals.add(address, name);
    const until = this.#now() + waitMs;
    await this.#hold();
    const seconds = Math.max(1, Math.ceil((until - this.#now()) / 1000));
    return new HttpError(
      STATUS_CODE.TooManyRequests,
      `There are too many ${what}; try again in ${seconds} s.${remedy}`,
      { headers: { "retry-after": String(seconds) } },
    );
  }

  #hold(): Promise<void> {
    if (this.#isClosed || this.#held.size >= MAX_HELD) return Promise.resolve();
    return new Promise((resolve) => {
      const release = () => {
        clearTimeout(timer);
        this.#held.delete(release);
        resolve();
      };
      const timer = setTimeout(release, this.#holdMs);
      this.#held.add(release);
    });
  }
}

/** The last item of a header, which the nearest proxy has written. */
function lastOf(header: string | null): string {
  return (header ?? "").split(",").at(-1)!.trim();
}
