/** Requests whose address is not one. */

import { assertEquals, assertThrows } from "@std/assert";
import { HttpError } from "./http_error.ts";
import { toVisit } from "./visit.ts";

/** A request as the server makes it: its URL is `http://`, the Host header and the target, unchecked. */
function receive(host: string, target = "/"): Request {
  const request = new Request("http://localhost", { headers: { host } });
  Object.defineProperty(request, "url", { value: `http://${host}${target}` });
  return request;
}

Deno.test("toVisit() takes the path from the request's target alone", () => {
  for (
    const host of ["localhost", "localhost:4567", "EXAMPLE.com:80", "127.0.0.1:1", "[::1]:1", "a:"]
  ) {
    assertEquals(toVisit(receive(host, "/chat?since=all")).url.pathname, "/chat");
  }
  for (
    const host of [
      "127.0.0.1:4567/chat?since=all#",
      "x/chat",
      "x\\chat",
      "x?y",
      "x#y",
      "user@x",
      "user:password@x",
      "a b",
      "a\tb",
      "x:99999",
      "x:y",
      "[",
      "[::1",
      "%",
      "x%2fchat",
    ]
  ) {
    const error = assertThrows(() => toVisit(receive(host)), HttpError, undefined, host);
    assertEquals(error.status, 400, host);
  }
});

Deno.test("toVisit() refuses a host that is none over HTTP/2 too, where the address alone has it", () => {
  const get = (host: string) =>
    toVisit({ url: `https://${host}/`, headers: new Headers() } as Request);
  assertEquals(get("localhost:4567").url.pathname, "/");
  assertEquals(assertThrows(() => get("user:word@localhost"), HttpError).status, 400);
});

Deno.test("toVisit() refuses an address over 2,048 characters", () => {
  const visit = toVisit(receive("x", `/?since=${"x".repeat(2031)}`));
  assertEquals(visit.request.url.length, 2047);
  for (const target of ["/".padEnd(60_000, "x"), `/chat?${"a&".repeat(30_000)}`]) {
    assertEquals(assertThrows(() => toVisit(receive("x", target)), HttpError).status, 414);
  }
});
