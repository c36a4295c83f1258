/** Secrets are compared in a time that tells nothing of them. */

const ENCODER = new TextEncoder();

/** Whether two secrets are the same. */
export async function isSameSecret(a: string, b: string): Promise<boolean> {
  return isEqual(await digest(a), await digest(b));
}

/** What a secret is compared by: of one length, whatever its own. */
export async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", ENCODER.encode(text)));
}

/** Compares bytes of one length. */
export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (const [index, byte] of a.entries()) difference |= byte ^ b[index];
  return difference === 0;
}
