/**
 * A free port of this machine that stays free while nobody listens on it: the system gives clients
 * those from 32768 on, and a client that is given the port it connects to is connected to itself.
 */
export function freePort(): number {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
