/** The protocol from outside: what the suite says of the chat, and of a server that is no such chat. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ChatProcess } from "../chat_process.ts";
import { RULES } from "../protocol/rules.ts";
import { until } from "../until.ts";
import { checkServer } from "./protocol_suite.ts";

const ROOT = new URL("../../", import.meta.url);
const PASSWORDS = ["--password", "correct horse", "--moderator-password", "battery staple"];
const SITE = ["--allow-origin", "https://allowed.example"];
/** Above what the suite posts, for the rule that is about it. */
const LIMITS = ["--rate-limit", "1200", "--max-readers-per-address", "40"];

Deno.test("the chat keeps every rule of its protocol, with passwords", async () => {
  const flags = ["--keep", "60", ...PASSWORDS, ...SITE, ...LIMITS];
  await using chat = await ChatProcess.start(flags);
  const began = performance.now();
  const { broken, ignored, output } = await checkServer(chat.url, ...flags);
  assertEquals(broken, [], output);
  assertEquals(ignored, ["A6 [not checked: the server has a password]"]);
  const tookS = (performance.now() - began) / 1000;
  assert(tookS < 60, `it took ${tookS} s`);
});

Deno.test("the chat keeps the rules that are about one without passwords", async () => {
  const keep = ["--keep", "20"];
  await using chat = await ChatProcess.start(keep);
  const { kept, broken, output } = await checkServer(chat.url, "--without", "slow", ...keep);
  assertEquals(broken, [], output);
  assert(kept.includes("A6"));
});

Deno.test("a server without the page, health and history keeps every rule that is left", async () => {
  const flags = ["--keep", "60", ...PASSWORDS, ...SITE];
  const module = new URL("partial_chat.ts", import.meta.url).pathname;
  await using chat = await ChatProcess.start(flags, { module });
  const without = "page,health,history,slow";
  const { broken, ignored, output } = await checkServer(chat.url, ...flags, "--without", without);
  assertEquals(broken, [], output);
  const others = ignored.filter((line) => !/--without (page|health|history|slow)\]/.test(line));
  assertEquals(others.map((line) => line.split(" ")[0]), ["A6", "X11", "X12"]);
});

Deno.test("a hub that anyone would write first breaks every rule but a few", async () => {
  const args = ["run", "--quiet", "--no-lock", "--allow-net=127.0.0.1", "bench/baseline.ts"];
  const hub = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdout: "piped" }).spawn();
  await using _ended = {
    async [Symbol.asyncDispose]() {
      hub.kill();
      await hub.status;
      await printing;
    },
  };
  let printed = "";
  const printing = (async () => {
    for await (const text of hub.stdout.pipeThrough(new TextDecoderStream())) printed += text;
  })();
  await until(() => printed.includes("\n"));
  const [url] = /http:\S+/.exec(printed)!;
  const settings = ["--keep", "20", "--rate-limit", "10", "--max-readers-per-address", "10"];
  const options = [...settings, ...PASSWORDS, ...SITE, "--without", "slow", "--patience", "2"];
  const { kept, broken, ignored, output } = await checkServer(url, ...options);
  assertEquals(kept, [
    // It passes on to all what comes in a form, adds nothing that somebody could choose,
    ...["F10", "S5", "W1", "W31", "T1", "R2", "R15"],
    // lets everybody do everything, and says nothing to other sites or to a HEAD.
    ...["A3", "O2", "O3", "O6", "P5"],
  ], output);
  assertEquals(ignored.map((line) => line.split(" ")[0]), ["A6", "S12", "X10"]);
  assertEquals(broken.length, RULES.length - kept.length - ignored.length);
  assertStringIncludes(
    output,
    'S3: the document says "N is between 2000 and 4000", but the stream does not begin with a retry.',
  );
});
