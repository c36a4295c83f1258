/** `--metrics` on a real port, with the permissions that the server keeps; and what other runs do without. */

import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { post } from "./chat_client.ts";
import { ChatProcess, runToEnd } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { INSPECT_FLAGS, loadedScripts } from "./inspector.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted";

Deno.test("GET /metrics of a running server knows what the process uses", { ignore }, async () => {
  const began = Date.now() / 1000;
  await using chat = await ChatProcess.start(["--metrics"]);
  await using reader = new EventReader(await fetch(`${chat.numericUrl}/chat`));
  await reader.nextOf("online");
  await post(chat.numericUrl, "hi");
  const response = await fetch(`${chat.numericUrl}/metrics`);
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const text = await response.text();
  const valueOf = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
  assertEquals([valueOf("chat_readers"), valueOf("chat_messages_total")], [1, 1]);
  assertLess(20e6, valueOf("process_resident_memory_bytes"));
  assertLess(0, valueOf("process_cpu_seconds_total"));
  const started = valueOf("process_start_time_seconds");
  assert(began - 1 <= started && started <= Date.now() / 1000, `${began} ${started}`);

  const head = await fetch(`${chat.numericUrl}/metrics`, { method: "HEAD" });
  assertEquals([head.status, await head.text()], [200, ""]);
  const { code, output } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assertEquals(output.split("\n").filter((line) => line.includes("Cannot")), []);
});

for (const flags of [[], ["--metrics"]]) {
  const does = flags.length > 0 ? "loads" : "does not load";
  Deno.test(`a run ${does} prom-client: start ${flags.join(" ")}`, { ignore }, async () => {
    await using chat = await ChatProcess.start(flags, { denoFlags: INSPECT_FLAGS });
    const scripts = await loadedScripts(chat);
    assert(scripts.some((url) => url.endsWith("/chat_hub.ts")), scripts.join("\n"));
    for (const part of ["/prom-client/", "/metrics/metrics.ts"]) {
      assertEquals(scripts.some((url) => url.includes(part)), flags.length > 0, part);
    }
  });
}

Deno.test("a token for metrics that nobody shows ends the start in one line, without the token", {
  ignore,
}, async () => {
  const env = { CHAT_METRICS_TOKEN: "secret-token" };
  const { code, stderr } = await runToEnd([], { env });
  assertEquals(code, 1);
  assertMatch(stderr, /^Cannot start: --metrics is missing; .+\n$/);
  assert(!stderr.includes("secret-token"));
});
