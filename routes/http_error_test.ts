/** Refusals as their readers get them. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { LogUnavailableError, UnfinishedRemovalError } from "../message_log/message_log.ts";
import { excerpt, HttpError, toHttpError } from "./http_error.ts";

const NAVIGATION = { "sec-fetch-mode": "navigate" };

Deno.test("HttpError.toResponse() is a page for a browser that would show it", async () => {
  const error = new HttpError(415, 'The <b> & "c" can\'t be read.', {
    field: "message",
    headers: { "accept-post": "a/b" },
  });
  const links = [
    ["/", ".", "/"],
    ["/chat", ".", "/"],
    ["/biology/chat", "../biology", "/biology"],
    ["/%C3%A9cole/b/c", "../../%C3%A9cole", "/%C3%A9cole"],
    ["/biology/", "../biology", "/biology"],
    ["/chat/b", "../", "/"],
    ["/a.b/c", "../", "/"],
  ];
  for (const [path, link, back] of links) {
    const request = new Request(`http://localhost${path}`, { headers: NAVIGATION });
    const response = error.toResponse(request);
    assertEquals(response.status, 415);
    assertEquals(response.headers.get("content-type"), "text/html; charset=utf-8");
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(response.headers.get("accept-post"), "a/b");
    const html = await response.text();
    assertStringIncludes(html, "<p>The &lt;b&gt; &amp; &quot;c&quot; can't be read.</p>");
    assertStringIncludes(html, "<h1>Unsupported Media Type</h1>");
    assertStringIncludes(html, `<a href="${link}">`);
    assertEquals(new URL(link, `http://localhost/x${path}`).pathname, `/x${back}`);
    assert(html.length < 500);
  }
});

Deno.test("HttpError.toResponse() is a problem for everything else", async () => {
  const error = new HttpError(415, "No.", { field: "message" });
  const script = new Request("http://localhost/chat", { headers: { accept: "*/*" } });
  for (const response of [error.toResponse(), error.toResponse(script)]) {
    assertEquals(response.headers.get("content-type"), "application/problem+json");
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals((await response.json()).field, "message");
  }
});

Deno.test("toHttpError() says of a removal that only the file has failed", async () => {
  const details = [];
  for (const error of [new UnfinishedRemovalError("x"), new LogUnavailableError("x")]) {
    const response = toHttpError(error).toResponse();
    assertEquals([response.status, response.headers.get("retry-after")], [503, "5"]);
    details.push((await response.json()).detail);
  }
  assertStringIncludes(details[0], "is removed for everybody");
  assertEquals(details.map((detail) => detail.includes("nothing was stored")), [false, true]);
});

Deno.test("excerpt() cuts after 100 characters, never through one", () => {
  for (const text of ["", "a", "x".repeat(100), "👋".repeat(100), `${"x".repeat(99)}👋`]) {
    assertEquals(excerpt(text), text);
  }
  assertEquals(excerpt("x".repeat(60_000)), `${"x".repeat(100)}…`);
  assertEquals(excerpt("👋".repeat(101)), `${"👋".repeat(100)}…`);
  assertEquals(excerpt(`${"x".repeat(99)}👋x`), `${"x".repeat(99)}👋…`);
});
