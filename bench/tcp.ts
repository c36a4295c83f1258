/** Connections for readers and publishers, over TCP or TLS. */

const latin1 = new TextDecoder("latin1");

/** Connects to a server on this machine; over TLS if it has a certificate. */
export async function connect(port: number, certificate?: string): Promise<Deno.Conn> {
  const hostname = "127.0.0.1";
  const connection = await Deno.connect({ hostname, port });
  connection.setNoDelay(true);
  if (certificate === undefined) return connection;
  return await Deno.startTls(connection, { hostname, caCerts: [certificate] });
}

/** Writes all the bytes, in as many writes as it takes. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

/** Decodes bytes of which only the ASCII ones matter. */
export function asText(bytes: Uint8Array): string {
  return latin1.decode(bytes);
}

/** Whether an error means that the other side has closed the connection. */
export function isBroken(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.UnexpectedEof;
}
