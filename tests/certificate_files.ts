/** Certificates for tests, made by openssl. */

import { assert } from "@std/assert";

/** A name in them, besides those of this machine. */
export const CERTIFICATE_NAME = "chat.school.example";

/** A certificate that nobody has signed but itself, and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Makes a certificate in a folder, in files of that name; with negative days it has expired. */
export async function makeCertificate(
  folder: string,
  name: string,
  days = 1,
): Promise<CertificateFiles> {
  const [cert, key, request, extensions] = ["crt", "key", "csr", "ext"].map((extension) =>
    `${folder}/${name}.${extension}`
  );
  const names = `DNS:localhost,IP:127.0.0.1,DNS:${CERTIFICATE_NAME},DNS:*.school.example`;
  await Deno.writeTextFile(extensions, `subjectAltName=${names}\n`);
  await openssl(
    ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-subj", "/CN=localhost", "-keyout", key, "-out", request],
  );
  await openssl(
    ...["x509", "-req", "-in", request, "-signkey", key, "-days", String(days)],
    ...["-extfile", extensions, "-out", cert],
  );
  return { cert, key };
}

/** Runs openssl, which must succeed. */
export async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args }).output();
  assert(success, new TextDecoder().decode(stderr));
}
