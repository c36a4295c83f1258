/** Who is taken for a person's browser, and who wants JSON; by what they send. */

import { assertEquals } from "@std/assert";
import { isNavigation, wantsJson } from "./accept.ts";

function ask(headers: HeadersInit, path = "/chat"): Request {
  return new Request(`http://localhost${path}`, { headers });
}

const CHROMIUM =
  "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8";
const LYNX = "text/html, text/plain, text/sgml, text/css, */*;q=0.01";
const W3M = "text/html, text/*;q=0.5, image/*, application/*";

Deno.test("isNavigation() knows browsers by their own headers, programs by their defaults", () => {
  const navigations: Record<string, HeadersInit> = {
    "a browser over HTTPS": { "sec-fetch-mode": "navigate", accept: CHROMIUM },
    "a browser over HTTP": { "upgrade-insecure-requests": "1", accept: CHROMIUM },
    "an old browser": { accept: CHROMIUM },
    "lynx": { accept: LYNX, "accept-language": "en" },
    "w3m": { accept: W3M, "accept-language": "en;q=1.0" },
    "upper case": { accept: LYNX.toUpperCase(), "accept-language": "en" },
  };
  for (const [name, headers] of Object.entries(navigations)) {
    assertEquals(isNavigation(ask(headers)), true, name);
  }
  const programs: Record<string, HeadersInit> = {
    "a page's script": { "sec-fetch-mode": "cors", accept: CHROMIUM, "accept-language": "en" },
    "a page's script over HTTP": { accept: "*/*", "accept-language": "en" },
    "curl, wget": { accept: "*/*" },
    "Python's urllib, Go's net/http": {},
    "Python's requests": { accept: "*/*" },
    "Java's HttpURLConnection": {
      accept: "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    },
    "the same, since Java 17": { accept: "text/html, image/gif, image/jpeg, */*; q=0.2" },
    "axios": { accept: "application/json, text/plain, */*", "accept-language": "en" },
    "links, ELinks": { accept: "*/*", "accept-language": "en" },
    "JSON before HTML": { accept: "application/json, text/html;q=0.9", "accept-language": "en" },
    "HTML refused": { accept: "text/html;q=0, */*", "accept-language": "en" },
  };
  for (const [name, headers] of Object.entries(programs)) {
    assertEquals(isNavigation(ask(headers)), false, name);
  }
});

Deno.test("isNavigation() takes an address with ?html for a browser's, but for a page's script", () => {
  for (const path of ["/chat?html", "/chat?html=write", "/chat?nickname=a&html="]) {
    assertEquals(isNavigation(ask({ accept: "*/*" }, path)), true, path);
    assertEquals(isNavigation(ask({ "sec-fetch-mode": "cors" }, path)), false, path);
  }
  for (const path of ["/chat?htm", "/chat?nickname=html", "/html"]) {
    assertEquals(isNavigation(ask({ accept: "*/*" }, path)), false, path);
  }
});

Deno.test("wantsJson() weighs media types in any case, by q, whatever their parameters", () => {
  const cases: [accept: string, isJson: boolean][] = [
    ["application/json", true],
    ["Application/JSON", true],
    ["application/*", true],
    ["application/json; charset=utf-8", true],
    ["application/json;charset=utf-8;q=0.9, text/event-stream;q=0.8", true],
    ['application/json; profile="a"; q=0.5, text/event-stream; q=0.4', true],
    ["text/html, application/json;q=0.1", true],
    ["application/json, text/plain, */*", true],
    ["", false],
    ["*/*", false],
    ["text/event-stream", false],
    ["TEXT/EVENT-STREAM", false],
    ["text/event-stream; charset=utf-8, application/json;q=0.9", false],
    ["application/json;q=0.5, text/event-stream", false],
    ["application/json;q=0, */*", false],
    ["application/json;version=1;q=0.2, text/event-stream;q=0.3", false],
    ["text/html", false],
    [";;q=,/", false],
  ];
  for (const [accept, isJson] of cases) assertEquals(wantsJson(ask({ accept })), isJson, accept);
  assertEquals(wantsJson(ask({})), false);
});
