/**
 * The certificate for HTTPS and its key, as they are in two files. What is wrong with
 * them is found out before a socket has them: the one in use may be good.
 */

import type { Config } from "./config.ts";

/** A certificate with the chain up to its issuer, and its key, as PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** When it expires. */
  readonly expires: Date;
  /** The host names that it is for, without those that have a wildcard. */
  readonly names: readonly string[];
}

/** A certificate that can't be used; its message names the file and the setting. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";
}

/**
 * Reads the certificate and key that the settings name; undefined if they name none. One
 * that has expired is returned as well: browsers warn of it, but let people in.
 *
 * @throws {CertificateError} If they can't be read or used.
 */
export async function readCertificate(
  { tlsCert, tlsKey }: Pick<Config, "tlsCert" | "tlsKey">,
): Promise<Certificate | undefined> {
  if (tlsCert === undefined || tlsKey === undefined) return undefined;
  const cert = await readPem(tlsCert, "--tls-cert");
  const key = await readPem(tlsKey, "--tls-key");
  try {
    // The only complete check is to listen with them.
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key }).close();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new CertificateError(problem(error as Error, tlsCert, tlsKey), { cause: error });
  }
  const { X509Certificate } = await import("node:crypto");
  const { validTo, subjectAltName = "" } = new X509Certificate(cert);
  const names = [...subjectAltName.matchAll(/DNS:([^\s,*]+)/g)].map(([, name]) => name);
  return { cert, key, expires: new Date(validTo), names };
}

/** Whether browsers warn of a certificate because it is out of date. */
export function isExpired({ expires }: Certificate): boolean {
  return expires.getTime() < Date.now();
}

async function readPem(file: string, flag: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const reason = error instanceof Deno.errors.NotFound
      ? `there is no file "${file}"`
      : error instanceof Deno.errors.PermissionDenied
      ? `this user may not read "${file}"`
      : `"${file}" can't be read (${(error as Error).message.split(":", 1)})`;
    throw new CertificateError(`${reason}; choose another with ${flag}`, { cause: error });
  }
}

function problem({ message }: Error, certFile: string, keyFile: string): string {
  if (message.includes("KeyMismatch")) {
    return `the key in "${keyFile}" is not that of the certificate in "${certFile}"; ` +
      "choose two that belong together with --tls-cert and --tls-key";
  }
  if (message.includes("No certificates found")) {
    return `there is no certificate in "${certFile}"; ` +
      "choose a PEM file that has one with --tls-cert";
  }
  if (/No keys found|decode key/.test(message)) {
    return `there is no private key in "${keyFile}" that can be read without a passphrase; ` +
      "choose a PEM file that has one with --tls-key";
  }
  if (message.includes("private key")) {
    return `the private key in "${keyFile}" can't be used (${message}); ` +
      "choose an RSA key of 2048 bits or more, or an EC or Ed25519 key, with --tls-key";
  }
  return `the certificate in "${certFile}" can't be used (${message}); ` +
    "choose another with --tls-cert";
}
