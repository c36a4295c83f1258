/**
 * Who a visitor is, as far as a server without accounts can tell: the browser that has the
 * cookie which came with the page, or else the address. What others see of it is a
 * mark on each message, which tells two people of one name apart and names nobody.
 */

import { addressKey } from "./address.ts";
import { toBase64Url, toCookie } from "./cookie.ts";

const COOKIE = "chat-visitor";
/** An id, its time of issue and their signature. */
const VALUES = new RegExp(
  `(?<=^|; ?)${COOKIE}=([\\w-]{22}\\.[\\da-z]{1,8})\\.([\\w-]{22})(?=;|$)`,
  "g",
);
/** A browser has one for each path where it came in first. */
const MAX_COOKIES = 4;
/** 400 days, the longest that browsers keep a cookie. */
const MAX_AGE_S = 400 * 24 * 60 * 60;
const ID_BYTES = 16;
/** Enough that a signature can't be guessed. */
const SIGNATURE_BYTES = 16;
/** Six bytes are eight characters of base64: one in 16 million pairs of visitors shares a mark. */
const MARK_BYTES = 6;
/** Two networks of 10,000 share theirs once in billions of rooms. */
const ADDRESS_BYTES = 9;
/** Signatures and marks that were made are remembered up to this number. */
const MAX_KNOWN = 10_000;

/** A visitor, as the moderation of a room sees one. */
export interface VisitorTraits {
  /** What the visitor's messages in the room are marked with: 8 characters of base64url. */
  readonly mark: string;
  /** Stands for the visitor's address, which it does not give away. */
  readonly address: string;
  /** When the visitor got the cookie, in milliseconds since 1970; undefined for one who has none. */
  readonly cookieIssuedMs: number | undefined;
}

/** The visitors of one chat, by a secret that is kept with its messages. */
export class Visitors {
  readonly #key: Promise<CryptoKey>;
  /** What was signed lately, with its signature; the oldest first. */
  readonly #known = new Map<string, Uint8Array>();

  constructor(secret: Uint8Array<ArrayBuffer>) {
    this.#key = crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, [
      "sign",
    ]);
  }

  /** The `Set-Cookie` that makes a browser a visitor; undefined if it is one. */
  async greet(request: Request, isSecure: boolean): Promise<string | undefined> {
    if (await this.#readCookie(request) !== undefined) return undefined;
    const id = toBase64Url(crypto.getRandomValues(new Uint8Array(ID_BYTES)));
    const issued = Math.floor(Date.now() / 1000).toString(36);
    const signed = `${id}.${issued}`;
    const value = `${signed}.${await this.#signCookie(signed)}`;
    return toCookie(COOKIE, value, { maxAgeS: MAX_AGE_S, sameSite: "Lax", isSecure });
  }

  /** The `Set-Cookie` that makes a browser nobody. */
  forget(isSecure: boolean): string {
    return toCookie(COOKIE, "", { maxAgeS: 0, sameSite: "Lax", isSecure });
  }

  /** Who a request to a room is from. */
  async identify(request: Request, address: string, room: string): Promise<VisitorTraits> {
    const cookie = await this.#readCookie(request);
    const mark = await this.#sign(`mark\n${room}\n${cookie ?? `address ${address}`}`);
    const network = await this.#sign(`network\n${addressKey(address)}`);
    return {
      mark: toBase64Url(mark.subarray(0, MARK_BYTES)),
      address: toBase64Url(network.subarray(0, ADDRESS_BYTES)),
      cookieIssuedMs: cookie === undefined ? undefined : parseInt(cookie.split(".")[1], 36) * 1000,
    };
  }

  /** What is signed in a cookie of ours: the visitor's id, and when it was given. */
  async #readCookie({ headers }: Request): Promise<string | undefined> {
    const cookies = headers.get("cookie")?.matchAll(VALUES).take(MAX_COOKIES) ?? [];
    for (const [, signed, signature] of cookies) {
      if (signature === await this.#signCookie(signed)) return signed;
    }
  }

  async #signCookie(signed: string): Promise<string> {
    return toBase64Url((await this.#sign(`cookie\n${signed}`)).subarray(0, SIGNATURE_BYTES));
  }

  async #sign(text: string): Promise<Uint8Array> {
    const known = this.#known.get(text);
    if (known) return known;
    const signature = await crypto.subtle.sign(
      "HMAC",
      await this.#key,
      new TextEncoder().encode(text),
    );
    for (const oldest of this.#known.keys()) {
      if (this.#known.size < MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
    const bytes = new Uint8Array(signature);
    this.#known.set(text, bytes);
    return bytes;
  }
}
