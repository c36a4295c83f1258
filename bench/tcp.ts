/** What readers and publishers need of a plain TCP connection. */

const latin1 = new TextDecoder("latin1");

/** Connects to a server on this machine. */
export async function connect(port: number): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  return connection;
}

/** Writes all of it, in as many writes as it takes. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

/** Bytes as text in which only ASCII is of interest. */
export function asText(bytes: Uint8Array): string {
  return latin1.decode(bytes);
}

/** Whether this is how a connection says that the other side has given up. */
export function isBroken(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.UnexpectedEof;
}
