/**
 * What a request must pass before it costs anything: the name that it was sent to, and what its address
 * may still do. A refusal costs less than what it refuses.
 */

import { STATUS_CODE } from "@std/http/status";
import type { Config } from "../config.ts";
import { STREAM_HEADERS } from "../routes/headers.ts";
import { excerpt, HttpError } from "../routes/http_error.ts";
import { addressKey, visitorAddress } from "./address.ts";
import { OwnHosts } from "./host.ts";
import { RateLimit } from "./rate_limit.ts";
import { Refusals } from "./refusals.ts";
import { type Full, Slots } from "./slots.ts";

/** This part of what is let in each minute is let in at once. */
const BURST_PART = 5 / 6;
/** Posts of all addresses together. */
const ALL_POSTS = { perMinute: 50 * 60, burst: 1000 };
/** Bodies and histories that are on their way. */
const IN_FLIGHT = { perKey: 64, total: 256 };
/** A post costs one token, and one more for each of so many bytes of its body. */
const TOKEN_BYTES = 1000;
/** An EventSource that is refused comes back after this. */
const STREAM_RETRY_MS = 60_000;
const BUSY_RETRY_S = 1;

/** Options for {@linkcode Guard}. */
export interface GuardOptions {
  readonly config: Pick<
    Config,
    "hostname" | "rateLimit" | "maxReaders" | "maxReadersPerAddress" | "trustProxy" | "allowHost"
  >;
  /** The machine's name, if the system tells it. */
  readonly machineName?: string;
  /** Called with a line to print. */
  warn(line: string): void;
}

/** The guard of one server. */
export class Guard implements Disposable {
  readonly #config: GuardOptions["config"];
  readonly #hosts: OwnHosts;
  readonly #warn: (line: string) => void;
  readonly #refusals: Refusals;
  /** Without a rate limit there is none for all either. */
  readonly #posts: RateLimit | undefined;
  readonly #allPosts = new RateLimit(ALL_POSTS);
  readonly #streams: Slots;
  readonly #bodies = new Slots(IN_FLIGHT);
  readonly #histories = new Slots(IN_FLIGHT);
  #hasWarnedOfProxy = false;

  constructor({ config, machineName, warn }: GuardOptions) {
    const { rateLimit, maxReaders, maxReadersPerAddress } = config;
    this.#config = config;
    this.#hosts = new OwnHosts({ ...config, machineName });
    this.#warn = warn;
    this.#refusals = new Refusals(warn);
    this.#posts = rateLimit === 0
      ? undefined
      : new RateLimit({ perMinute: rateLimit, burst: Math.ceil(rateLimit * BURST_PART) });
    this.#streams = new Slots({ perKey: maxReadersPerAddress, total: maxReaders });
  }

  /** The address that a request is from, which a trusted proxy tells of others. */
  addressOf({ headers }: Request, peer: string): string {
    const forwarded = headers.get("x-forwarded-for");
    if (forwarded === null) return peer;
    const address = visitorAddress(peer, forwarded, this.#config.trustProxy);
    if (address === peer && !this.#hasWarnedOfProxy) {
      this.#hasWarnedOfProxy = true;
      this.#warn(
        `A proxy at ${peer} passes requests on. All visitors behind it count as one; ` +
          `--trust-proxy ${peer} tells them apart.`,
      );
    }
    return address;
  }

  /**
   * Checks the name that a request was sent to.
   *
   * @throws {HttpError} 421 for one that is not ours.
   */
  checkHost({ headers }: Request): void {
    const host = headers.get("host") ?? "";
    if (host === "" || this.#hosts.has(host)) return;
    throw new HttpError(
      STATUS_CODE.MisdirectedRequest,
      `This server does not go by the name "${excerpt(host)}"; use its own, or start it with ` +
        "--allow-host and that name.",
    );
  }

  /**
   * Lets a post in whose body has not been read, until it is disposed of.
   *
   * @throws {HttpError} 429 with `Retry-After` for one too many, 503 for too many at once.
   */
  enterPost(address: string): Disposable & { charge(bytes: number): void } {
    const key = addressKey(address);
    const slot = this.#bodies.take(key);
    if (typeof slot === "string") throw this.#busy(address, "posts");
    // What one address may not do takes nothing from the others.
    const waitMs = this.#posts && (this.#posts.take(key) || this.#allPosts.take(""));
    if (waitMs) {
      slot[Symbol.dispose]();
      this.#refusals.add(address, "--rate-limit");
      const seconds = Math.ceil(waitMs / 1000);
      throw new HttpError(
        STATUS_CODE.TooManyRequests,
        `Too many messages came from this address; try again in ${seconds} s. ` +
          "To let more in, start the server with a greater --rate-limit.",
        { headers: { "retry-after": String(seconds) } },
      );
    }
    return {
      charge: (bytes) => this.#posts?.charge(key, Math.floor(bytes / TOKEN_BYTES)),
      [Symbol.dispose]: () => slot[Symbol.dispose](),
    };
  }

  /**
   * Lets a history be read, until it is disposed of.
   *
   * @throws {HttpError} 503 for one too many.
   */
  enterHistory(address: string): Disposable {
    const slot = this.#histories.take(addressKey(address));
    if (typeof slot === "string") throw this.#busy(address, "histories");
    return slot;
  }

  /**
   * Lets a reader in, until it is disposed of; or the response to one too many. An EventSource that is
   * refused by a status never comes back (HTML, section 9.2.3), so it is told when to.
   *
   * @throws {HttpError} 503 for one too many that is no EventSource.
   */
  enterStream({ headers }: Request, address: string): Disposable | Response {
    const slot = this.#streams.take(addressKey(address));
    if (typeof slot !== "string") return slot;
    const setting = SETTINGS[slot];
    this.#refusals.add(address, setting);
    if (headers.get("accept") === "text/event-stream") {
      return new Response(`retry: ${STREAM_RETRY_MS}\n\n`, { headers: STREAM_HEADERS });
    }
    throw new HttpError(
      STATUS_CODE.ServiceUnavailable,
      `As many streams as may be are open${slot === "perKey" ? " from this address" : ""}; close ` +
        `one, or start the server with a greater ${setting}.`,
      { headers: { "retry-after": String(STREAM_RETRY_MS / 1000) } },
    );
  }

  [Symbol.dispose](): void {
    this.#refusals[Symbol.dispose]();
  }

  #busy(address: string, what: string): HttpError {
    this.#refusals.add(address, `${what} at once`);
    return new HttpError(
      STATUS_CODE.ServiceUnavailable,
      `Too many ${what} are on their way; try again in a second.`,
      { headers: { "retry-after": String(BUSY_RETRY_S) } },
    );
  }
}

/** Which setting each limit is. */
const SETTINGS: Record<Full, string> = {
  perKey: "--max-readers-per-address",
  total: "--max-readers",
};
