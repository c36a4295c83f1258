/**
 * Who knows a password: by HTTP Basic (RFC 7617), as programs send it, or by a cookie that was given for
 * the right one. The cookie is signed with the password and a secret that is kept with the messages, so
 * it holds after a restart and on every server with the same messages, and ends when the password
 * changes.
 */

import { timingSafeEqual } from "node:crypto";

/** A browser keeps it for this long. */
const MAX_AGE_S = 30 * 24 * 60 * 60;
const ENCODER = new TextEncoder();

/** Options for {@linkcode Sessions}. */
export interface SessionsOptions {
  /** Names the cookie. */
  readonly name: string;
  readonly password: string;
  readonly secret: Uint8Array<ArrayBuffer>;
  /** The clock, in milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
}

/** The sessions of those who know one password. */
export class Sessions {
  readonly #name: string;
  readonly #digest: Promise<Uint8Array>;
  readonly #key: Promise<CryptoKey>;
  readonly #now: () => number;

  constructor({ name, password, secret, now = Date.now }: SessionsOptions) {
    this.#name = name;
    this.#digest = digest(password.normalize("NFC"));
    this.#key = importKey(secret, `${name}\n${password}`);
    this.#now = now;
  }

  /** Whether it is the password; how long that takes tells nothing of it. */
  async isPassword(text: string): Promise<boolean> {
    return timingSafeEqual(await digest(text.normalize("NFC")), await this.#digest);
  }

  /** Whether a request has the cookie of a session that goes on. */
  async has({ headers }: Request): Promise<boolean> {
    for (const name of [this.#name, `__Host-${this.#name}`]) {
      const cookies = headers.get("cookie")?.matchAll(cookiesOf(name)).take(4) ?? [];
      for (const [, started, signature] of cookies) {
        const age = this.#now() / 1000 - parseInt(started, 36);
        if (age < MAX_AGE_S && await this.#isSigned(started, signature)) return true;
      }
    }
    return false;
  }

  /** The `Set-Cookie` that begins a session; over TLS no other site or plain HTTP can set it. */
  async begin(isSecure: boolean): Promise<string> {
    const started = Math.floor(this.#now() / 1000).toString(36);
    return this.#cookie(`${started}.${await this.#sign(started)}`, MAX_AGE_S, isSecure);
  }

  /** The `Set-Cookie` that ends it. */
  end(isSecure: boolean): string {
    return this.#cookie("", 0, isSecure);
  }

  #cookie(value: string, maxAgeS: number, isSecure: boolean): string {
    const name = isSecure ? `__Host-${this.#name}` : this.#name;
    const attributes = `Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Strict`;
    return `${name}=${value}; ${attributes}${isSecure ? "; Secure" : ""}`;
  }

  async #isSigned(started: string, signature: string): Promise<boolean> {
    // Equal lengths, by the form of the cookie.
    return timingSafeEqual(ENCODER.encode(signature), ENCODER.encode(await this.#sign(started)));
  }

  async #sign(text: string): Promise<string> {
    const signature = await crypto.subtle.sign("HMAC", await this.#key, ENCODER.encode(text));
    return new Uint8Array(signature).toBase64({ alphabet: "base64url", omitPadding: true });
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

function cookiesOf(name: string): RegExp {
  return new RegExp(`(?<=^|; ?)${name}=([\\da-z]{1,8})\\.([\\w-]{43})(?=;|$)`, "g");
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", ENCODER.encode(text)));
}

/** The key of those who know both the secret and the password. */
async function importKey(secret: Uint8Array<ArrayBuffer>, text: string): Promise<CryptoKey> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const outer = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  const inner = await crypto.subtle.sign("HMAC", outer, ENCODER.encode(`session\n${text}`));
  return await crypto.subtle.importKey("raw", inner, algorithm, false, ["sign"]);
}
