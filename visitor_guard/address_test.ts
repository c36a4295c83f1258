import { assert, assertEquals } from "@std/assert";
import { addressKey, AddressRange, visitorAddress } from "./address.ts";

Deno.test("addressKey() is one for a visitor, in whatever form the address comes", () => {
  const same = [
    ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207", "0:0:0:0:0:FFFF:192.0.2.7"],
    ["2001:db8::1", "2001:DB8:0:0:ffff::2", "2001:0db8::", "2001:db8::1%eth0"],
    ["fe80::1", "fe80::2%2"],
    ["unix", "unix"],
  ];
  const keys = same.map((forms) => new Set(forms.map(addressKey)));
  for (const key of keys) assertEquals(key.size, 1);
  assertEquals(new Set(keys.map(([key]) => key)).size, same.length);
  assert(addressKey("2001:db8:0:1::1") !== addressKey("2001:db8::1"));
});

Deno.test("AddressRange.has() compares as many bits as it says", () => {
  const cases: [range: string, inside: string[], outside: string[]][] = [
    ["10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], ["11.0.0.0", "::a00:1"]],
    ["192.168.1.77/25", ["192.168.1.0", "192.168.1.127"], ["192.168.1.128"]],
    ["127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "::1"]],
    ["0.0.0.0/0", ["255.1.2.3"], ["::1"]],
    ["2001:db8::/33", ["2001:db8:7fff::1"], ["2001:db8:8000::", "2001:db9::"]],
    ["::ffff:10.0.0.0/104", ["10.9.9.9"], ["11.0.0.1"]],
    ["::1", ["::1", "0:0::1"], ["::2", "127.0.0.1"]],
  ];
  for (const [text, inside, outside] of cases) {
    const range = AddressRange.parse(text)!;
    for (const address of inside) assert(range.has(address), `${address} in ${text}`);
    for (const address of outside) assert(!range.has(address), `${address} not in ${text}`);
  }
});

Deno.test("AddressRange.parse() refuses what is no range", () => {
  const texts = [
    "",
    "/8",
    "10.0.0.0/33",
    "::/129",
    "10.0.0/8",
    "10.0.0.256",
    "localhost",
    "1",
    "10.0.0.0/",
  ];
  for (const text of [...texts, "10.0.0.0/8/8", "::ffff:10.0.0.0/8", ":::", "a:b"]) {
    assertEquals(AddressRange.parse(text), undefined, text);
  }
});

Deno.test("visitorAddress() believes trusted proxies alone, from the last to the first", () => {
  const trusted = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/64"].map((text) =>
    AddressRange.parse(text)!
  );
  const cases: [peer: string, forwarded: string | null, visitor: string][] = [
    ["192.0.2.1", "198.51.100.7", "192.0.2.1"],
    ["127.0.0.1", null, "127.0.0.1"],
    ["127.0.0.1", "", "127.0.0.1"],
    ["127.0.0.1", "198.51.100.7", "198.51.100.7"],
    ["::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"],
    ["127.0.0.1", "6.6.6.6, 198.51.100.7, 10.1.1.1", "198.51.100.7"],
    ["127.0.0.1", "198.51.100.7:4711", "198.51.100.7"],
    ["127.0.0.1", "[2001:db9::1]:80, 2001:db8::5", "2001:db9::1"],
    ["127.0.0.1", "198.51.100.7, unknown, 10.1.1.1", "10.1.1.1"],
    ["127.0.0.1", "10.1.1.1, 10.1.1.2", "10.1.1.1"],
    ["127.0.0.1", "198.51.100.7, evil\u0000", "127.0.0.1"],
    ["127.0.0.1", "fe80::1%\u009b31m", "fe80::1"],
    // A URL's parser would skip the tab.
    ["127.0.0.1", "198.51.100.7, fe80::\t1", "127.0.0.1"],
    ["127.0.0.1", "[fe80::1%eth0]:80", "fe80::1"],
    ["127.0.0.1", `198.51.100.7, 10.0.0.1${" ".repeat(60)}x`, "127.0.0.1"],
  ];
  for (const [peer, forwarded, visitor] of cases) {
    assertEquals(visitorAddress(peer, forwarded, trusted), visitor, `${peer} ${forwarded}`);
  }
});

Deno.test("visitorAddress() takes no time for what is made to take long", () => {
  const trusted = [AddressRange.parse("127.0.0.1")!];
  const start = performance.now();
  for (const entry of [`a:${" ".repeat(60_000)}b`, "[".repeat(60_000), "a:".repeat(30_000)]) {
    assertEquals(visitorAddress("127.0.0.1", entry, trusted), "127.0.0.1");
  }
  assert(performance.now() - start < 20);
});
