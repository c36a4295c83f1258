/** Cookies that no script reads, and the text of what is in them. */

/** How a cookie is kept. */
export interface CookieOptions {
  readonly maxAgeS: number;
  /** Which sites' pages it is sent for. */
  readonly sameSite: "Strict" | "Lax";
  /** Absent, it is that of the page, whatever path a proxy has put the chat under. */
  readonly path?: string;
  readonly isSecure: boolean;
}

/** A `Set-Cookie` (RFC 6265). */
export function toCookie(
  name: string,
  value: string,
  { maxAgeS, sameSite, path, isSecure }: CookieOptions,
): string {
  const attributes = [`Max-Age=${maxAgeS}`, "HttpOnly", `SameSite=${sameSite}`];
  if (path !== undefined) attributes.unshift(`Path=${path}`);
  if (isSecure) attributes.push("Secure");
  return [`${name}=${value}`, ...attributes].join("; ");
}

/** Bytes as base64url (RFC 4648, section 5). */
export function toBase64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
