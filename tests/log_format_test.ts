/** What a process writes as a log: for programs with `--log-format json`, and for systemd's journal. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { makeCertificate } from "./certificate_files.ts";
import { sendPost } from "./chat_client.ts";
import { ChatProcess, runToEnd } from "./chat_process.ts";
import { newFolder } from "./folder.ts";
import { sendRaw } from "./raw_stream.ts";
import { hasRedis, RedisServer } from "./redis_server.ts";
import { until } from "./until.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted" ||
  Deno.build.os === "windows";
const JSON_LOG = ["--log-format", "json"];

/** An event as it is read. */
interface Logged {
  readonly event: string;
  readonly [member: string]: unknown;
}

/** The events in an output, each a line of JSON and nothing besides. */
function eventsIn(output: string): Logged[] {
  assert(output.endsWith("\n"), output);
  return output.slice(0, -1).split("\n").map((line) => {
    const { time, level, ...members } = JSON.parse(line);
    assertEquals(new Date(time).toISOString(), time, line);
    assertMatch(level, /^(info|warning|error)$/, line);
    assertMatch(members.event, /^[a-z_]+$/, line);
    return members;
  });
}

function namesIn(output: string): Set<string> {
  return new Set(eventsIn(output).map(({ event }) => event));
}

Deno.test("each line of a run with --log-format json is an event, from the start to the stop", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const files = await makeCertificate(folder.path, "chat");
  const flags = [
    ...[...JSON_LOG, "--verbose", "--message-log", `sqlite:${folder.path}/chat.db`],
    ...["--tls-cert", files.cert, "--tls-key", files.key],
  ];
  const env = { CHAT_KEEPS: "5", CHAT_PASSWORD: "SECRETWORD" };
  await using chat = await ChatProcess.start(flags, { env, maxFileBytes: 256 * 1024 });
  using client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(files.cert)] });
  const ask = async (path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Basic ${btoa(":SECRETWORD")}`, ...init.headers };
    const response = await fetch(`https://127.0.0.1:${chat.port}${path}`, {
      ...init,
      headers,
      client,
    });
    await response.body?.cancel();
    return response.status;
  };
  const body = new URLSearchParams({ message: "SECRETTEXT".repeat(400), nickname: "SECRETNAME" });
  const say = () => ask("/chat?message=SECRETQUERY", { method: "POST", body });

  assertEquals(
    await ask("/", { headers: { authorization: `Basic ${btoa(":SECRETGUESS")}` } }),
    401,
  );
  assertEquals(await ask("/", { headers: { "x-forwarded-for": "10.0.0.1" } }), 200);
  assertEquals(await say(), 201);
  await until(async () => await say() === 503);
  await makeCertificate(folder.path, "chat");
  Deno.kill(chat.pid, "SIGHUP");
  await until(() => chat.output.includes("certificate_renewed"));
  await Deno.writeTextFile(files.key, "SECRETKEY");
  Deno.kill(chat.pid, "SIGHUP");
  await until(() => chat.output.includes("certificate_unusable"));

  const { code, output } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assertEquals(output.match(/SECRET\w*/g), null);
  assertEquals(
    namesIn(output),
    new Set([
      ...["variables_ignored", "listening", "requests_refused", "proxy_untrusted", "request"],
      ...["request_failed", "certificate_renewed", "certificate_unusable", "stopped"],
    ]),
  );
  const { url, urls, log } = eventsIn(output).find(({ event }) => event === "listening")!;
  assertEquals([url, urls], [`https://localhost:${chat.port}`, []]);
  assertEquals(log, `sqlite:${folder.path}/chat.db`);
  const { ms, ...request } = eventsIn(output).findLast(({ event }) => event === "request")!;
  assertEquals(typeof ms, "number");
  const answered = { method: "POST", path: "/chat", status: 503, address: "127.0.0.1" };
  assertEquals(request, { event: "request", ...answered });
});

Deno.test("an outage of Redis is one event when it begins and one when it ends", {
  ignore: ignore || !hasRedis,
}, async () => {
  await using redis = await RedisServer.start({ settings: ["--appendfsync", "no"] });
  await using chat = await ChatProcess.start([...JSON_LOG, "--message-log", redis.url]);
  await redis.kill();
  await until(() => chat.output.includes("store_away"));
  await redis.start();
  await until(() => chat.output.includes("store_back"));
  const { output } = await chat.stop("SIGTERM");
  const events = eventsIn(output);
  for (const name of ["store_endangered", "store_away", "store_back", "listening", "stopped"]) {
    assertEquals(events.filter(({ event }) => event === name).length, 1, name);
  }
  assertEquals(events.length, 5, output);
});

Deno.test("a failed start is one line of JSON too, unless the format is what failed it", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const old = `${folder.path}/old.ts`;
  const version = `Object.defineProperty(Deno, "version", { value: { deno: "2.8.3" } });`;
  await Deno.writeTextFile(old, version);
  const cases: [args: string[], reason: string, denoFlags?: string[]][] = [
    [
      [],
      "a permission is missing; use deno task start, which grants what is needed (Requires env " +
      'access to "CHAT_HOSTNAME", run again with the --allow-env flag)',
      ["--deny-env=CHAT_HOSTNAME"],
    ],
    [["--prot", "1"], "unknown flag --prot; --help lists the flags"],
    [["--port", "http"], '--port must be a whole number from 0 to 65535, received "http"'],
    [
      ["--hostname", "no.such.invalid"],
      'this machine has no address "no.such.invalid"; choose one that it has with --hostname',
    ],
    [
      ["--title", "x\n".repeat(50)],
      `--title must be text of 1 to 80 characters, received "${"x\n".repeat(50)}"`,
    ],
    [
      [],
      "this is Deno 2.8.3, and the chat needs 2.9 or newer; run deno upgrade, or start it with " +
      "npx -y deno@2.9.6 task start",
      [`--preload=${old}`],
    ],
  ];
  for (const [args, reason, denoFlags] of cases) {
    const start = ["--port", "0", "--message-log", "memory:", ...JSON_LOG, ...args];
    const { code, stdout, stderr } = await runToEnd(start, { denoFlags });
    assertEquals([code, stdout], [1, ""]);
    assertEquals(eventsIn(stderr), [{ event: "start_failed", reason }]);
  }
  const { code, stderr } = await runToEnd(["--log-format", "xml"]);
  assertEquals(code, 1);
  assertEquals(stderr, 'Cannot start: --log-format must be text or json, received "xml"\n');
});

Deno.test("no password is made where a log would have it", { ignore }, async () => {
  const start = ["--port", "0", "--message-log", "memory:"];
  for (const flag of ["--password", "--moderator-password"]) {
    const variable = flag === "--password" ? "CHAT_PASSWORD" : "CHAT_MODERATOR_PASSWORD";
    const json = await runToEnd([...start, ...JSON_LOG, flag]);
    const [{ event, reason }] = eventsIn(json.stderr);
    assertEquals([json.code, json.stdout, event], [1, "", "start_failed"]);
    assertStringIncludes(String(reason), `give one of 8 to 200 characters in ${variable}`);
    const journal = await runToEnd([...start, flag], { isInJournal: true });
    assertEquals([journal.code, journal.stdout], [1, `<3>Cannot start: ${reason}\n`]);
  }
});

Deno.test("in systemd's journal each line has a priority, and neither a time nor a colour", {
  ignore,
}, async () => {
  const options = { isInJournal: true, env: { NO_COLOR: "" } };
  await using chat = await ChatProcess.start(["--hostname", "0.0.0.0", "--verbose"], options);
  const response = await sendPost(chat.numericUrl, { message: "hi" });
  await response.body?.cancel();
  await until(() => chat.output.includes("/chat"));
  const { code, output } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  const lines = output.trimEnd().split("\n");
  for (const line of lines) assertMatch(line, /^<6>[A-Z\d]/);
  assert(lines.some((line) => /^<6>201 POST \/chat \d+\.\d ms 127\.0\.0\.1$/.test(line)), output);
  assertEquals(lines.at(-1), "<6>Stopped.");
  assertEquals(output.match(/(?!\n)\p{Cc}|^<.>[\d:]{8}|Ctrl|█/gmu), null);
});

Deno.test("a JOURNAL_STREAM that is neither of our streams is none of ours", {
  ignore,
}, async () => {
  for (const stream of ["8:1234", "nonsense", ""]) {
    const { stderr } = await runToEnd(["--port=x"], { env: { JOURNAL_STREAM: stream } });
    assertMatch(stderr, /^Cannot start: --port/);
  }
});

Deno.test("a request is one line, whatever a client sends", { ignore }, async () => {
  const flags = ["--verbose", "--trust-proxy", "127.0.0.1"];
  await using text = await ChatProcess.start(flags);
  await using json = await ChatProcess.start([...flags, ...JSON_LOG]);
  await using journal = await ChatProcess.start(flags, { isInJournal: true });
  const starts = [
    "GET /%0a%0d%1b[31m<0>x HTTP/1.1",
    "GET /\u2028\u202e\u009b31m HTTP/1.1",
    "GE%0aT / HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    // Deno refuses these.
    "GET /\x1b[2J\x1b]0;title\x07 HTTP/1.1",
    "GET /a\x0b\x0c\x85b HTTP/1.1",
    "G\x1bT / HTTP/1.1",
  ];
  for (const chat of [text, json, journal]) {
    for (const start of starts) {
      using connection = await sendRaw(
        chat.port,
        `${start}\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-For: ::\t1\r\n\r\n`,
      );
      await new Response(connection.readable).bytes();
    }
    const { output } = await chat.stop("SIGTERM");
    assertEquals(output.replaceAll("\n", "").match(/[\p{Cc}\p{Zl}\p{Zp}\u202e]/gu), null, output);
    if (chat === json) {
      const requests = eventsIn(output).filter(({ event }) => event === "request");
      assertEquals(requests.map(({ method, path, address }) => `${method} ${path} ${address}`), [
        "GET /%0a%0d%1b[31m%3C0%3Ex 127.0.0.1",
        "GET /%E2%80%A8%E2%80%AE%C2%9B31m 127.0.0.1",
        "GE%0aT / 127.0.0.1",
        "OPTIONS /* 127.0.0.1",
      ]);
    } else {
      const start = chat === journal ? /^<6>\d{3} / : /^[\d:]{8} \d{3} /;
      assertEquals(output.split("\n").filter((line) => start.test(line)).length, 4, output);
    }
  }
});
