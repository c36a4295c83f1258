/** Which sites' pages are let in, by what their visitors' browsers send. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { HttpError } from "../routes/http_error.ts";
import { checkOrigin } from "./origin.ts";

function check(headers: HeadersInit, method = "POST", allowed: string[] = []): void {
  checkOrigin(new Request("http://localhost:4567/chat", { method, headers }), allowed);
}

function assertRefused(headers: HeadersInit, method = "POST", allowed: string[] = []): string {
  const error = assertThrows(() => check(headers, method, allowed), HttpError);
  assertEquals(error.status, 403, JSON.stringify(headers));
  assert(error.message.includes("--allow-origin"), error.message);
  return error.message;
}

Deno.test("checkOrigin() takes the first X-Forwarded-Host for what the browser sent", () => {
  const origin = "http://chat.test:4801";
  const host = "127.0.0.1:4567";
  for (
    const forwarded of [
      "chat.test:4801",
      "Chat.Test:4801",
      "chat.test:4801, inner.test",
      " chat.test:4801 ,127.0.0.1",
    ]
  ) {
    check({ origin, host, "x-forwarded-host": forwarded });
  }
  check({ origin: "https://chat.test", host, "x-forwarded-host": "chat.test:443" });
  check({ origin: "https://chat.test", host, "x-forwarded-host": "chat.test" });
  check({ origin, host: "chat.test:4801", "x-forwarded-host": "something else" });
  for (
    const forwarded of [
      "chat.test",
      "chat.test:80",
      "inner.test, chat.test:4801",
      "",
      ",",
      "[",
      "/",
    ]
  ) {
    assertRefused({ origin, host, "x-forwarded-host": forwarded });
  }
  // Where the browser itself says that the site is another one, no header makes it the chat's.
  const site = { "sec-fetch-site": "cross-site", "x-forwarded-host": "chat.test:4801" };
  assertRefused({ origin, host, ...site });
});

Deno.test("checkOrigin() knows its own host over HTTP/2, where there is no Host header", () => {
  check({ origin: "http://localhost:4567" });
  assertRefused({ origin: "http://other.test:4567" });
});

Deno.test("checkOrigin() names the host that a proxy has put in, and what the proxy must do", () => {
  const origin = "http://chat.test:4801";
  const detail = assertRefused({ origin, host: "127.0.0.1:4567" });
  for (const part of [origin, '"127.0.0.1:4567"', "Host", "X-Forwarded-Host", "proxy"]) {
    assert(detail.includes(part), detail);
  }
  assert(!assertRefused({ origin, "sec-fetch-site": "cross-site" }).includes("proxy"));
  assert(assertRefused({ origin: `http://${"x".repeat(60_000)}`, host: "x" }).length < 500);
});

Deno.test("checkOrigin() lets another site's page read no more than it may post", () => {
  const image = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" };
  for (const method of ["GET", "HEAD"]) {
    assertRefused({ ...image, "sec-fetch-dest": "image" }, method);
    assertRefused({ ...image, "sec-fetch-dest": "image" }, method, ["https://a.example"]);
    assertRefused({ ...image, "sec-fetch-site": "same-site" }, method);
    assertRefused({ ...image, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" }, method);
    assertRefused({ origin: "https://a.example", host: "localhost:4567" }, method);
    const script = { origin: "https://a.example", "sec-fetch-site": "cross-site" };
    assertRefused({ ...script, "sec-fetch-mode": "cors" }, method);
    check({ ...script, "sec-fetch-mode": "cors" }, method, ["https://a.example"]);
  }
});

Deno.test("checkOrigin() lets a person follow a link from another site, and post nothing by it", () => {
  const navigation = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
  };
  check(navigation, "GET");
  assertRefused({ ...navigation, origin: "https://a.example" }, "POST");
});

Deno.test("checkOrigin() lets programs and the chat's own page in", () => {
  for (const method of ["GET", "HEAD", "POST"]) {
    check({}, method);
    check({ host: "localhost:4567" }, method);
    check({ "sec-fetch-site": "same-origin", origin: "http://localhost:4567" }, method);
    check({ "sec-fetch-site": "none" }, method);
    check({ origin: "https://example.com", host: "EXAMPLE.com:443" }, method);
  }
});
