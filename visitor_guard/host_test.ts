import { assert, assertEquals } from "@std/assert";
import { hostOf, OwnHosts } from "./host.ts";

const OPTIONS = { hostname: "0.0.0.0", machineName: "ann-laptop.school.example", allowHost: [] };

Deno.test("OwnHosts.has() every name that can be nobody else's", () => {
  const hosts = new OwnHosts(OPTIONS);
  const own = [
    ...[
      "localhost",
      "localhost:4567",
      "LOCALHOST.",
      "chat.localhost",
      "127.0.0.1:4567",
      "[::1]:80",
    ],
    ...[
      "192.0.2.7",
      "[2001:db8::1]",
      "laptop",
      "laptop:4567",
      "laptop.local",
      "chat.lan:4567",
      "chat.test",
    ],
    ...["chat.internal", "chat.home.arpa", "Ann-Laptop.school.example.:80", "Ann-Laptop:4567"],
  ];
  for (const host of own) assert(hosts.has(host), host);
  const others = [
    ...["evil.example.com", "evil.example.com:4567", "localhost.example.com", "local.example.com"],
    ...[
      "notlocal.xlocal.com",
      "ann-laptop-2.example.org",
      // Whoever knows the machine's name can have it elsewhere.
      "ann-laptop.example.org",
      "127.0.0.1.example.com",
      "",
      "a b",
    ],
  ];
  for (const host of others) assertEquals(hosts.has(host), false, host);
});

Deno.test("OwnHosts.has() the host that it listens on and those that it is told of", () => {
  const hosts = new OwnHosts({
    ...OPTIONS,
    hostname: "Chat.Example.com",
    allowHost: ["b.example"],
  });
  for (const host of ["chat.example.com", "b.example:4567", "B.example."]) {
    assert(hosts.has(host), host);
  }
  assertEquals(hosts.has("a.b.example"), false);
  const zone = new OwnHosts({ ...OPTIONS, hostname: "fe80::1" });
  assert(zone.has("[fe80::1]:4567"));
  const any = new OwnHosts({ ...OPTIONS, allowHost: ["*"] });
  assert(any.has("evil.example.com"));
  assertEquals(any.has(""), false);
});

Deno.test("hostOf() is the Host header, or over HTTP/2 what the address has", () => {
  const request = (url: string, host?: string) => ({
    url,
    headers: new Headers(host ? { host } : {}),
  });
  const of = (...args: Parameters<typeof request>) => hostOf(request(...args) as Request);
  assertEquals(of("http://a.example/chat", "b.example:4567"), "b.example:4567");
  assertEquals(of("https://a.example:4567/chat?x#y"), "a.example:4567");
  assertEquals(of("https://[::1]:4567?x"), "[::1]:4567");
  assertEquals(of("https://user:word@a.example/"), "user:word@a.example");
  assertEquals(of("/chat"), "");
});
