/** Takes over a certificate that was renewed while the server runs, and says so at the terminal. */

import { type Certificate, CertificateError, isExpired, readCertificate } from "./certificate.ts";
import type { Config } from "./config.ts";
import type { Server } from "./server.ts";
import type { Terminal } from "./terminal.ts";

/** What takes over the certificate that is in its files. Calls while it does so are one more. */
export function renewal(server: Server, config: Config, terminal: Terminal): () => Promise<void> {
  let isDue = false;
  let isRunning = false;
  return async () => {
    isDue = true;
    if (isRunning) return;
    isRunning = true;
    while (isDue) {
      isDue = false;
      await renewCertificate(server, config, terminal);
    }
    isRunning = false;
  };
}

/** Takes over the certificate that is in its files now, if it can be used. */
async function renewCertificate(server: Server, config: Config, terminal: Terminal): Promise<void> {
  try {
    const certificate = await readCertificate(config);
    if (!certificate) return;
    await server.renew(certificate);
    if (isExpired(certificate)) return reportExpired(certificate, terminal);
    terminal.report({ event: "certificate_renewed", expires: certificate.expires.toISOString() });
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    terminal.report({ event: "certificate_unusable", reason: error.message });
  }
}

/** Reports that a certificate is out of date. */
export function reportExpired({ expires }: Certificate, terminal: Terminal): void {
  terminal.report({ event: "certificate_expired", expires: expires.toISOString() });
}
