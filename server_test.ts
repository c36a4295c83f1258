/** What happens to the socket when the system refuses it something, with a `Deno.serve` of the tests. */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { ListenError, Server } from "./server.ts";
import { until } from "./tests/until.ts";

/** Stands in for `Deno.serve`; each call takes the next of the errors, or listens. */
class FakeServe implements Disposable {
  readonly ports: number[] = [];
  readonly certs: (string | undefined)[] = [];
  readonly sockets: FakeSocket[] = [];
  readonly #real = Deno.serve;

  constructor(...errors: (Error | undefined)[]) {
    Deno.serve = ((options: Deno.ServeTcpOptions & Partial<Deno.TlsCertifiedKeyPem>) => {
      this.ports.push(options.port!);
      this.certs.push(options.cert);
      const error = errors.shift();
      if (error) throw error;
      this.sockets.push(new FakeSocket());
      return this.sockets.at(-1);
    }) as unknown as typeof Deno.serve;
  }

  [Symbol.dispose](): void {
    Deno.serve = this.#real;
  }
}

class FakeSocket {
  readonly #end = Promise.withResolvers<void>();
  readonly addr = { port: 4567 };
  readonly finished = this.#end.promise;

  fail(message: string): void {
    this.#end.reject(new Deno.errors.Http(`Error: ${message}`));
  }

  shutdown(): Promise<void> {
    this.#end.resolve();
    return Promise.resolve();
  }
}

function listen(port: number) {
  const reasons: string[] = [];
  const server = new Server(() => new Response(), {
    hostname: "127.0.0.1",
    port,
    onError: () => new Response(),
    onAcceptError: (reason) => reasons.push(reason),
  });
  return { server, reasons };
}

Deno.test("Server listens on the same port again after any error while accepting", async () => {
  const inUse = new Deno.errors.AddrInUse("Address already in use (os error 98)");
  using fake = new FakeServe(undefined, inUse);
  const { server, reasons } = listen(0);
  fake.sockets[0].fail("Software caused connection abort (os error 103)");
  await until(() => fake.sockets.length === 2);
  fake.sockets[1].fail("Too many open files (os error 24)");
  await until(() => fake.sockets.length === 3);
  fake.sockets[2].fail("Too many open files (os error 24)");
  await until(() => fake.sockets.length === 4);
  await server.shutdown();
  assertEquals(fake.ports, [0, 4567, 4567, 4567, 4567]);
  assertEquals(reasons.length, 3);
  assertMatch(reasons[0], /connection abort/);
  assertMatch(reasons[1], /already in use/);
  assertMatch(reasons[2], /no more open files.*ulimit -n/);
});

Deno.test("Server does not listen again once it is shut down", async () => {
  using fake = new FakeServe();
  const { server, reasons } = listen(4567);
  fake.sockets[0].fail("Too many open files (os error 24)");
  await until(() => reasons.length === 1);
  // In the pause before it would.
  await server.shutdown();
  assertEquals(fake.ports, [4567]);
});

Deno.test("Server listens with a new certificate once the old socket takes nothing more", async () => {
  using fake = new FakeServe();
  const { server, reasons } = listen(0);
  const certificate = { cert: "CERT", key: "KEY", expires: new Date(), names: [] };
  server.renew(certificate);
  await until(() => fake.sockets.length === 2);
  assertEquals(fake.ports, [0, 4567]);
  assertEquals(fake.certs, [undefined, "CERT"]);
  await server.shutdown();
  server.renew(certificate);
  assertEquals(reasons, []);
  assertEquals(fake.sockets.length, 2);
});

Deno.test("Server says why it can't listen, and which setting to change", () => {
  const cases: [error: Error, message: RegExp][] = [
    [new Deno.errors.AddrInUse(), /^port 80 is in use; .* --port$/],
    [new Deno.errors.PermissionDenied(), /^port 80 is not allowed to this user; .* --port$/],
    [new Deno.errors.AddrNotAvailable(), /^this machine has no address "127\.0\.0\.1"; .* --host/],
    [new Error("failed to lookup address information"), /^this machine has no address .* --host/],
    [new Error("Invalid argument (os error 22)"), /Invalid argument.*--hostname or --port$/],
  ];
  for (const [error, message] of cases) {
    using _fake = new FakeServe(error);
    assertMatch(assertThrows(() => listen(80), ListenError).message, message);
  }
});
