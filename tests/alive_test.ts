/** What the system may refuse the program, and faults of its own: the readers stay, and it goes on. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { sendPost } from "./chat_client.ts";
import { ChatProcess, COMMAND } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { evaluate, INSPECT_FLAGS } from "./inspector.ts";
import { until } from "./until.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted" ||
  Deno.build.os === "windows";

Deno.test("more connections than files end no stream, and keep nobody out for long", {
  ignore,
}, async () => {
  await using chat = await ChatProcess.start([], { maxOpenFiles: 100 });
  const url = `http://127.0.0.1:${chat.port}`;
  await using reader = new EventReader(await fetch(`${url}/chat`));
  await reader.nextOf("online");
  // Connections that say nothing and never hang up.
  const idle: Deno.Conn[] = [];
  await until(async () => {
    const connecting = Array.from(
      { length: 50 },
      () => Deno.connect({ hostname: "127.0.0.1", port: chat.port }).then((it) => idle.push(it)),
    );
    await Promise.allSettled(connecting);
    return chat.output.includes("Cannot accept connections");
  });

  let response: Response | undefined;
  await until(async () => {
    response = await sendPost(url, { message: "still there?" }).catch(() => undefined);
    return response !== undefined;
  });
  assertEquals(response!.status, 201);
  await response!.body?.cancel();
  assertEquals((await reader.nextMessage()).message, "still there?");
  await using second = new EventReader(await fetch(`${url}/chat`));
  assertEquals((await second.nextMessage()).message, "still there?");

  const { code, output } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  for (const { next } of [reader, second].map((it) => ({ next: () => it.next() }))) {
    let last;
    for (let event = await next(); event; event = await next()) last = event;
    assertEquals(Object.keys(last!), ["retry"]);
  }
  const complaints = output.split("\n").filter((line) => line.includes("Cannot"));
  assertEquals(complaints.length, 1, output);
  assertStringIncludes(complaints[0], "ulimit -n");
  for (const connection of idle) connection.close();
});

Deno.test("output that nobody reads holds nothing up", { ignore, timeout: 60_000 }, async () => {
  const [program, ...args] = COMMAND;
  await using chat = new Deno.Command(program, {
    args: [...args, "--verbose", "--port", "0", "--message-log", "memory:"],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const output = chat.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const url = (await output.read()).value!.replace("localhost", "127.0.0.1").match(/http:\S+/)![0];
  // Nobody reads from here on. It is more than a pipe takes, and than is kept for one.
  const path = "x".repeat(200);
  for (let n = 0; n < 15_000; n++) {
    const response = await fetch(`${url}/${path}`);
    assertEquals(response.status, 404);
    await response.body?.cancel();
  }
  const start = performance.now();
  chat.kill("SIGTERM");
  assertEquals((await chat.status).code, 0);
  assert(performance.now() - start < 1000);
  await output.cancel();
});

Deno.test("an error that nobody catches is printed and ends nothing", { ignore }, async () => {
  await using chat = await ChatProcess.start([], { denoFlags: INSPECT_FLAGS });
  const url = `http://127.0.0.1:${chat.port}`;
  await using reader = new EventReader(await fetch(`${url}/chat`));
  await reader.nextOf("online");
  await evaluate(chat, 'void Promise.reject(new Error("a promise"))');
  await evaluate(chat, 'setTimeout(() => { throw new Error("a timer"); })');
  await (await sendPost(url, { message: "still there?" })).body?.cancel();
  assertEquals((await reader.nextMessage()).message, "still there?");
  const { code, output } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assertStringIncludes(output, "Unexpected error: Error: a promise");
  assertStringIncludes(output, "Failures since the last line: 1");
});
