/**
 * Who knows a password: by HTTP Basic (RFC 7617), as programs send it, or by a cookie that was given for
 * the right one. The cookie is signed with the password and a secret that is kept with the messages, so
 * it holds after a restart and on every server with the same messages, and ends when the password
 * changes or by signing out.
 */

import { toBase64Url, toCookie } from "./cookie.ts";
import type { RevokedSessions } from "../message_log/message_log.ts";
import { digest, isEqual } from "./secret.ts";

const COOKIE = "chat-session";
/** An id, its time of issue and their signature. */
const VALUE = "([\\w-]{22})\\.([\\da-z]{1,8})\\.([\\w-]{43})";
/** The second, over HTTPS, no other site and no plain HTTP can set. */
const NAMES = [COOKIE, `__Host-${COOKIE}`];
const COOKIES = NAMES.map((name) => new RegExp(`(?<=^|; ?)${name}=${VALUE}(?=;|$)`, "g"));
const MAX_COOKIES = 4;
/** A browser keeps it for this long. */
const MAX_AGE_S = 30 * 24 * 60 * 60;
const ID_BYTES = 16;
/** In UTF-16 units; a password that may be set has fewer, however it is composed. */
const MAX_PASSWORD_LENGTH = 1000;
const ENCODER = new TextEncoder();

/** What a password makes of those who know it. */
export type Role = "member" | "moderator";

/** Options for {@linkcode Sessions}. */
export interface SessionsOptions {
  /** In normalisation form C, as the other one. Asked of everybody; undefined for nobody. */
  readonly password: string | undefined;
  readonly moderatorPassword: string | undefined;
  readonly secret: Uint8Array<ArrayBuffer>;
  readonly revoked: RevokedSessions;
  /** The clock, in milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
}

interface Credential {
  readonly role: Role;
  readonly digest: Promise<Uint8Array>;
  readonly key: Promise<CryptoKey>;
}

/** A session that goes on. */
export interface Session {
  readonly role: Role;
  readonly id: string;
  readonly endsS: number;
}

/** The sessions of those who know a password. */
export class Sessions {
  /** Whether a password is asked of everybody. */
  readonly isRequired: boolean;
  readonly #credentials: readonly Credential[];
  readonly #revoked: RevokedSessions;
  /** By id, what is called when it ends. */
  readonly #watching = new Map<string, Set<() => void>>();
  readonly #now: () => number;

  constructor({ password, moderatorPassword, secret, revoked, now = Date.now }: SessionsOptions) {
    this.isRequired = password !== undefined;
    this.#revoked = revoked;
    this.#now = now;
    const passwords = [["moderator", moderatorPassword], ["member", password]] as const;
    this.#credentials = passwords.flatMap(([role, text]) =>
      text === undefined ? [] : {
        role,
        digest: digest(text),
        key: importKey(secret, `${role}\n${text}`),
      }
    );
    revoked.subscribe((id) => {
      for (const onEnd of this.#watching.get(id) ?? []) onEnd();
    });
  }

  /** Whether there is a password to sign in with. */
  get isPossible(): boolean {
    return this.#credentials.length > 0;
  }

  /** What a password makes of those who know it; how long that takes tells nothing of it. */
  async roleOf(text: string): Promise<Role | undefined> {
    // To normalise marks takes quadratic time.
    if (text.length > MAX_PASSWORD_LENGTH) return undefined;
    const given = await digest(text.normalize("NFC"));
    let found: Role | undefined;
    for (const { role, digest } of this.#credentials) {
      if (isEqual(given, await digest)) found ??= role;
    }
    return found;
  }

  /** The session that a request has the cookie of, as long as it goes on. */
  async find(request: Request, isSecure: boolean): Promise<Session | undefined> {
    for await (const session of this.#findAll(request, isSecure)) return session;
  }

  /** Calls back if the session of that id ends, wherever that is, or has ended; until it is disposed of. */
  watch(id: string, onEnd: () => void): Disposable {
    if (this.#revoked.has(id)) onEnd();
    const watching = this.#watching.get(id) ?? new Set();
    this.#watching.set(id, watching);
    watching.add(onEnd);
    return {
      [Symbol.dispose]: () => {
        watching.delete(onEnd);
        if (watching.size === 0 && this.#watching.get(id) === watching) this.#watching.delete(id);
      },
    };
  }

  /** The `Set-Cookie` that begins a session. */
  async begin(role: Role, isSecure: boolean): Promise<string> {
    const { key } = this.#credentials.find((each) => each.role === role)!;
    const id = toBase64Url(crypto.getRandomValues(new Uint8Array(ID_BYTES)));
    const signed = `${id}.${Math.floor(this.#now() / 1000).toString(36)}`;
    return this.#cookie(`${signed}.${await sign(await key, signed)}`, MAX_AGE_S, isSecure);
  }

  /** Ends what sessions a request has, also for copies of their cookies; the `Set-Cookie` that says so. */
  async end(request: Request, isSecure: boolean): Promise<string> {
    for await (const { id, endsS } of this.#findAll(request, isSecure)) {
      await this.#revoked.add(id, endsS);
    }
    return this.#cookie("", 0, isSecure);
  }

  async *#findAll({ headers }: Request, isSecure: boolean): AsyncGenerator<Session> {
    const text = headers.get("cookie");
    if (text === null || !this.isPossible) return;
    for (
      const [, id, started, signature] of text.matchAll(COOKIES[Number(isSecure)]).take(MAX_COOKIES)
    ) {
      const endsS = parseInt(started, 36) + MAX_AGE_S;
      if (endsS <= this.#now() / 1000 || this.#revoked.has(id)) continue;
      for (const { role, key } of this.#credentials) {
        // Equal lengths, by the form of the cookie.
        const signed = ENCODER.encode(await sign(await key, `${id}.${started}`));
        if (isEqual(ENCODER.encode(signature), signed)) yield { role, id, endsS };
      }
    }
  }

  #cookie(value: string, maxAgeS: number, isSecure: boolean): string {
    const options = { maxAgeS, sameSite: "Strict", path: "/", isSecure } as const;
    return toCookie(NAMES[Number(isSecure)], value, options);
  }
}

/** The password in an `Authorization` header, whatever the user's name; undefined if there is none. */
export function basicPassword({ headers }: Request): string | undefined {
  const [, encoded] = /^basic +([A-Za-z0-9+/=]+) *$/i.exec(headers.get("authorization") ?? "") ??
    [];
  if (encoded === undefined) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.fromBase64(encoded));
    const colon = text.indexOf(":");
    return colon < 0 ? undefined : text.slice(colon + 1);
  } catch (error) {
    // No base64, or no UTF-8.
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
  }
}

/** The key of those who know both the secret and the text. */
async function importKey(secret: Uint8Array<ArrayBuffer>, text: string): Promise<CryptoKey> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const outer = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  const inner = await crypto.subtle.sign("HMAC", outer, ENCODER.encode(`session\n${text}`));
  return await crypto.subtle.importKey("raw", inner, algorithm, false, ["sign"]);
}

async function sign(key: CryptoKey, text: string): Promise<string> {
  return toBase64Url(new Uint8Array(await crypto.subtle.sign("HMAC", key, ENCODER.encode(text))));
}
