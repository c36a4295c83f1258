/**
 * By which names this server is reached. A page elsewhere can give its own name our address (DNS
 * rebinding), and is then of our origin for a browser: what comes under a name that can be anybody's
 * is not for us.
 */

/** Names that nobody can register, so that no page elsewhere has one (RFC 6761, 6762, 8375). */
const PRIVATE_NAME = /(^|\.)(localhost|test|local|lan|internal|home\.arpa)$/;
/** Addresses, as a URL has them. */
const IP_ADDRESS = /^(\d+\.\d+\.\d+\.\d+|\[.+\])$/;

/** Options for {@linkcode OwnHosts}. */
export interface OwnHostsOptions {
  /** The host that the server listens on. */
  readonly hostname: string;
  /** The machine's name, if the system tells it. */
  readonly machineName?: string;
  /** Further names; `*` for any. */
  readonly allowHost: readonly string[];
}

/** The names and addresses of this server. */
export class OwnHosts {
  readonly #names: ReadonlySet<string>;
  readonly #isAny: boolean;
  /** Most requests have one of a few: to parse it takes as long as the rest of the guard. */
  #last = "";

  constructor({ hostname, machineName, allowHost }: OwnHostsOptions) {
    const names = [hostname, machineName ?? "", ...allowHost];
    this.#names = new Set(names.flatMap((name) => toHostname(name) ?? []));
    this.#isAny = allowHost.includes("*");
  }

  /** Whether a `Host`, with or without a port, names this server. */
  has(host: string): boolean {
    if (host !== "" && host === this.#last) return true;
    const isOwn = this.#hasName(toHostname(host));
    if (isOwn) this.#last = host;
    return isOwn;
  }

  #hasName(name: string | undefined): boolean {
    if (name === undefined) return false;
    return this.#isAny || this.#names.has(name) || IP_ADDRESS.test(name) || !name.includes(".") ||
      PRIVATE_NAME.test(name);
  }
}

/**
 * The host and port that a request was sent to, as it is there: in `Host`, or over HTTP/2 in
 * `:authority`, which Deno shows in the address only.
 */
export function hostOf({ headers, url }: Request): string {
  return headers.get("host") ?? /^\w+:\/\/([^/?#]*)/.exec(url)?.[1] ?? "";
}

/** The name in a `Host`: in lower case, without the port and a dot at the end; undefined if it is none. */
function toHostname(host: string): string | undefined {
  const text = host.includes(":") && !/^\[|^[^:]*:\d*$/.test(host) ? `[${host}]` : host;
  return URL.parse(`http://${text}`)?.hostname.replace(/\.$/, "") || undefined;
}
