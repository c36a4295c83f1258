/**
 * Every command and every other example in README.md, docs/, deploy/ and the other documents: it
 * is run here, or by a test that is named in {@linkcode RUN_ELSEWHERE}, or it is in
 * {@linkcode NOT_RUN} with the reason.
 *
 * Addresses, ids and marks in the examples are replaced by those of the chat that is started for
 * them. They run in a copy of the project.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseOptions } from "../bench/options.ts";
import { basic, numbered, post, postAll, readHistory, readTexts, sendPost } from "./chat_client.ts";
import { ChatProcess } from "./chat_process.ts";
import { brokenLinks, readExamples } from "./documents.ts";
import { newFolder } from "./folder.ts";
import { freePort } from "./free_port.ts";
import { copyProject } from "./project_copy.ts";
import { hasRedis } from "./redis_server.ts";
import { RunningCommand } from "./running_command.ts";
import { until } from "./until.ts";

const { state } = await Deno.permissions.query({ name: "run" });
const ignore = state !== "granted";
const ROOT = new URL("../", import.meta.url);

/** Examples that something else runs: the file that does, and words in it that are the example or take it. */
const RUN_ELSEWHERE: [example: string, file: string, words: string][] = [
  ["<!doctype html>", "tests/e2e/clients_e2e.ts", 'example("html"'],
  ["import { Chat } from", "tests/client_examples_test.ts", 'language: "ts"'],
  ["deno run --check --allow-import=", "tests/client_examples_test.ts", 'example("sh"'],
  ["deno check", "tests/client_examples_test.ts", '"check", "--allow-import"'],
  ["import { existsSync", "tests/client_examples_test.ts", 'language: "js"'],
  ["curl -o client.mjs", "tests/client_examples_test.ts", "/client.js`"],
  ["import http.client, json, random", "tests/client_examples_test.ts", 'language: "python"'],
  ["package main", "tests/client_examples_test.ts", 'language: "go"'],
  ["npx -y deno@2.9.6", ".ci/run", "npx -y deno@2.9.6"],
  ["npx -y deno@2.9.6 task start", ".ci/run", "npx -y deno@2.9.6"],
  ["deno task test", ".ci/run", "task test"],
  ["deno task check", ".ci/run", "task check"],
  ["deno task e2e", ".ci/run", "task e2e:all"],
  ["deno task engines", ".ci/run", "task e2e:all"],
  ["deno task ok", "deno.json", '"deno task check && deno task test"'],
  ["deno task dev", "tests/dev_test.ts", '"task", "dev"'],
  ["deno task start --version", "tests/process_test.ts", 'runToEnd(["--version"])'],
  ["deno task compile", "tests/e2e/compile_e2e.ts", "tasks.compile"],
  ["deno task bench", "tests/e2e/bench_load.ts", "bench/main.ts"],
  ["## A server from nothing", "tests/from_nothing/from_nothing.ts", '"## A server from nothing"'],
  ["### TLS under systemd", "tests/from_nothing/from_nothing.ts", '"### TLS under systemd"'],
  ["## The kernel", "tests/from_nothing/from_nothing.ts", '"## The kernel"'],
  ["deno task backup", "tests/backup_test.ts", "runBackup([copy]"],
  ["cp deploy/chat-backup.service", "tests/from_nothing/from_nothing.ts", '"### A copy"'],
  ["systemctl daemon-reload", "tests/from_nothing/from_nothing.ts", '"### A copy"'],
  [
    "journalctl -u chat -p warning",
    "tests/from_nothing/from_nothing.ts",
    "journalctl -u chat -p warning",
  ],
  ["systemctl enable --now chat-backup", "tests/from_nothing/from_nothing.ts", '"### A copy"'],
  ["systemctl restart chat", "tests/from_nothing/from_nothing.ts", '"### TLS under systemd"'],
  ["systemctl reload chat", "tests/from_nothing/from_nothing.ts", '"### TLS under systemd"'],
  [
    "systemd-analyze security chat",
    "tests/from_nothing/from_nothing.ts",
    "systemd-analyze security",
  ],
  ["journalctl --unit chat", "tests/from_nothing/from_nothing.ts", "journalctl --unit chat"],
  ["deno task protocol", "tests/e2e/protocol_suite.ts", "tasks.protocol"],
  ["deno task protocol http", "tests/e2e/protocol_suite.ts", "tasks.protocol"],
];

/** Examples that no test can run. */
const NOT_RUN: [example: string, why: string][] = [
  ["certbot certonly --standalone -d chat.example.com", "Let's Encrypt asks the domain name"],
  ["apt-get install unzip", "it is for Deno's installer"],
  ["curl -fsSL https://deno.land/install.sh", "machines that run tests may reach npm alone"],
  ["sqlite3 chat.db", "it is another project's"],
  ["scrape_configs:", "there is no Prometheus"],
  ["groups:", "there is no Prometheus"],
  ["mkcert laptop.local 192.168.1.20", "it makes the machine trust an authority"],
  ["cat > deploy/.env", "it is for Docker"],
  ["docker build", "there is no Docker"],
  ["docker run", "there is no Docker"],
  ["docker compose -f deploy/compose.yaml", "there is no Docker"],
  ["git pull", "it is for Docker"],
  ["curl -u :PASSWORD", "it is a part of a command"],
  ["deno task -q", "it is a part of a command"],
  ["deno task load", "it needs the machine for itself, for minutes"],
  ["deno task attack", "it needs the machine for itself, for minutes"],
  ["deno bench", "it needs the machine for itself, for minutes"],
  ["perf record -p PID", "it needs the rights of the kernel's profiler"],
  ["deno run --allow-read --allow-write bench/plot.ts", "bench/plot_test.ts draws the plot"],
  ["deno run --allow-all tests/e2e/screenshots.ts", "pictures are for people to look at"],
];

const ALL_AS_JSON = /^\[\{[^\n]*"message":"no. 1",[^]*"message":"no. 51",[^\n]*\}\]\n?$/;

/** Commands for a running chat that has 51 messages, and what each must print. */
const TO_A_CHAT: [command: string, prints: RegExp][] = [
  ["curl -N localhost:4567/chat", /^retry: \d+\n\nid: [\d-]+\ndata: \{[^\n]*"message":"no. 2"/],
  [
    "curl -N 'localhost:4567/chat?since=all'",
    /^retry: \d+\n\nid: [\d-]+\ndata: .*"message":"no. 1"/,
  ],
  [
    "curl -N -H 'Last-Event-ID: 1763908894123-7' localhost:4567/chat",
    /^retry: \d+\n\n(id: [\d-]+\n\n)?event: online\n/,
  ],
  ["curl -u :PASSWORD -N localhost:4567/chat", /^data: .*"message":"no. 51"/m],
  [
    "curl -H 'Accept: application/json' 'localhost:4567/chat?since=all'",
    ALL_AS_JSON,
  ],
  [
    "curl -H 'Accept: application/json' 'localhost:4567/chat?since=all' > chat.json",
    ALL_AS_JSON,
  ],
  [
    "curl -d nickname=ann -d message=hi localhost:4567/chat",
    /^\{"id":.*"nickname":"ann","message":"hi"/,
  ],
  [
    `curl --json '{"nickname": "ann", "message": "hi"}' localhost:4567/chat`,
    /^\{"id":.*"nickname":"ann","message":"hi"/,
  ],
  [
    'curl -d message=hi -H "Idempotency-Key: $(openssl rand -hex 16)" localhost:4567/chat',
    /^\{"id":.*"nickname":"anonymous","message":"hi"/,
  ],
  ["curl -d message=hi localhost:4567/biology/chat", /^\{"id":.*"message":"hi"/],
  ["curl -N localhost:4567/biology/chat", /^data: .*"message":"hi"/m],
  [
    "curl -u :PASSWORD localhost:4567/rooms",
    /^\[\{"name":"","readers":\d,"messages":5\d\},\{"name":"biology"/,
  ],
  ["curl -u :PASSWORD localhost:4567/moderation", /^\{"closed":false,"muted":\[\]\}/],
  [
    "curl -u :PASSWORD -d action=remove -d id=1763908894123-7 localhost:4567/moderation",
    /^\{"closed":false,"muted":\[\],"removed":1\}/,
  ],
  [
    "curl -u :PASSWORD -d action=remove -d by=p3Xk_a0Z localhost:4567/moderation",
    /"removed":5[0-9]\}/,
  ],
  ["curl -u :PASSWORD -d action=clear localhost:4567/biology/moderation", /"removed":1\}/],
  ["curl -u :PASSWORD -d action=delete localhost:4567/biology/moderation", /"removed":0\}/],
  [
    "curl -u :PASSWORD -d action=mute -d by=p3Xk_a0Z -d minutes=10 localhost:4567/moderation",
    /"muted":\[\{"by":"[^"]+","until":"[^"]+Z"\}\]/,
  ],
  ["curl -u :PASSWORD -d action=unmute -d by=p3Xk_a0Z localhost:4567/moderation", /"muted":\[\]/],
  ["curl -u :PASSWORD -d action=close localhost:4567/moderation", /"closed":true/],
  ["curl -f localhost:4567/livez", /^ok\n$/],
  ["curl -f localhost:4567/healthz", /^\{"status":"ok"/],
  ["curl -u :PASSWORD -d action=open localhost:4567/moderation", /"closed":false/],
];

/** Commands that start a chat, or prepare that, one after the other, and what each must print. */
const STARTS: [command: string, prints: RegExp][] = [
  [
    "deno task start",
    /^The chat is at http:\/\/localhost:\d+\n[^]*Messages are kept in chat\.db\./,
  ],
  ["deno task start --hostname 0.0.0.0", /^The chat is at http:[^]*--password asks/],
  [
    "CHAT_PASSWORD='three random words' deno task start --hostname 0.0.0.0",
    /^The chat is at http:(?![^]*--password asks)[^]*Ctrl\+C stops it/,
  ],
  ["deno task start --hostname 0.0.0.0 --allow-host chat.example.com", /^The chat is at http:/],
  [
    'CHAT_METRICS_TOKEN="$(openssl rand -hex 24)" deno task start --metrics --hostname 0.0.0.0',
    /^The chat is at http:/,
  ],
  ["OTEL_DENO=true OTEL_SERVICE_NAME=chat deno task start", /^The chat is at http:/],
  [
    "deno task start --message-log memory: --keep 60 --rate-limit 1000 --moderator-password secret-word",
    /^The chat is at http:[^]*Messages are kept in memory/,
  ],
  [
    "deno task -q start --log-format json --verbose",
    /^\{"time":"[^"]+","level":"info","event":"listening",/,
  ],
  ["openssl req -x509", /^$/],
  [
    "deno task start --hostname 0.0.0.0 --port 8443 --tls-cert cert.pem --tls-key key.pem",
    /^The chat is at https:\/\/localhost:\d+\n[^]*https:\/\/laptop\.local:\d+\n/,
  ],
  ["deno cache --lock=deno.lock main.ts", /^$/],
  ["deno task backup chat-copy.db", /^Copied 0 messages .*\/chat-copy\.db in /],
  ["rm -f chat.db-wal chat.db-shm", /^$/],
  ["cp chat-copy.db chat.db", /^$/],
];

const examples = ignore ? [] : await readExamples();
/** Those that nobody runs. */
const left = new Set(examples);
/** Those that no document has. */
const gone: string[] = [];

/** What is named is not one example but several, of which only one would be run. */
const unclear: string[] = [];

/**
 * The examples that are named whole or, if there are none, by how they begin. A heading names all
 * commands in blocks under it.
 */
function takeAll(start: string): string[] {
  const same = examples.filter(({ text, heading, language }) =>
    text === start || (heading === start && language === "sh")
  );
  const found = same.length > 0 ? same : examples.filter(({ text }) => text.startsWith(start));
  for (const example of found) left.delete(example);
  if (found.length === 0) gone.push(start);
  return found.map(({ text }) => text);
}

/** The one example that is named. */
function take(start: string): string {
  const texts = new Set(takeAll(start));
  if (texts.size > 1) unclear.push(start);
  const [text = ""] = texts;
  return text;
}

const [reader, writer] = ["import http.client, json, time", "import http.client, time"].map(take);
const [messageJson, removalJson, refusalJson, stateJson, roomsJson, healthJson, logJson] = [
  ...['{\n  "id"', '{ "id"', '{\n  "type"', '{\n  "closed"', '[\n  { "name"'],
  ...['{\n  "status"', '{"time"'],
].map(take);
const toAChat = TO_A_CHAT.map(([command, prints]) => ({ command: take(command), prints }));
const starts = STARTS.map(([command, prints]) => ({ command: take(command), prints }));
const manyInstances = [
  "redis-server --appendonly yes --appendfsync always",
  "deno task start --message-log redis://127.0.0.1",
  "deno task start --message-log redis://127.0.0.1 --port 4568",
].map(take);
const benchmarks = examples.map(({ text }) => text)
  .filter((text) => text.startsWith("deno task bench --")).map(take);
for (const [example] of [...RUN_ELSEWHERE, ...NOT_RUN]) takeAll(example);

Deno.test("every example in the documents is run", { ignore }, () => {
  const lines = Array.from(left, ({ at, text }) => `${at}: ${text.split("\n")[0]}`);
  assert(
    left.size === 0,
    "nobody runs these examples; run them in tests/docs_test.ts, or name the test that does in " +
      `RUN_ELSEWHERE there, or the reason why none can in NOT_RUN:\n${lines.join("\n")}`,
  );
});

Deno.test("every example that tests know is in a document", { ignore }, () => {
  assertEquals(gone, [], "no document has these any more; take them out of tests/docs_test.ts");
  assertEquals(unclear, [], "several examples begin so; name each in tests/docs_test.ts");
});

Deno.test("examples that are run elsewhere are there", { ignore }, async () => {
  for (const [example, file, words] of RUN_ELSEWHERE) {
    const text = await Deno.readTextFile(new URL(file, ROOT));
    assert(text.includes(words), `${file} does not run ${example}: it has no ${words}`);
  }
});

Deno.test("links in the documents lead somewhere", { ignore }, async () => {
  assertEquals(await brokenLinks(), []);
});

Deno.test("commands for a running chat do what the documents say", { ignore }, async () => {
  await using folder = await newFolder();
  await using chat = await ChatProcess.start(["--moderator-password", "PASSWORD"]);
  await postAll(chat.numericUrl, numbered("no.", 51));
  let { id, by } = (await readHistory(chat.numericUrl)).at(-1)!;
  for (const { command, prints } of toAChat) {
    if (command.includes("action=remove")) ({ id, by } = await post(chat.numericUrl, "rude"));
    await using running = RunningCommand.shell(adapt(command, here(chat, id, by)), {
      cwd: folder.path,
    });
    if (command.includes("-N ")) {
      await running.prints(prints);
      continue;
    }
    const [, file] = / > (\S+)$/.exec(command) ?? [];
    const output = await running.succeeds();
    assertMatch(file ? await Deno.readTextFile(`${folder.path}/${file}`) : output, prints, command);
  }
});

Deno.test("commands that start a chat do what the documents say", { ignore }, async () => {
  await using project = await copyProject();
  const options = { cwd: project.path, env: { PORT: "0" } };
  for (const { command, prints } of starts) {
    await using running = RunningCommand.shell(
      adapt(command, { "--port 8443": "--port 0" }),
      options,
    );
    if (/^[^|]* start\b/.test(command)) await running.prints(prints);
    else assertMatch(await running.succeeds(), prints);
  }
});

Deno.test("many instances on one machine are one chat, as operations.md has it", {
  ignore: ignore || !hasRedis,
}, async () => {
  await using project = await copyProject();
  const port = freePort();
  const options = { cwd: project.path, env: { PORT: "0" } };
  const replacements = {
    "redis-server": `redis-server --port ${port}`,
    "redis://127.0.0.1": `redis://127.0.0.1:${port}`,
    "--port 4568": "--port 0",
  };
  const [redis, first, second] = manyInstances.map((command) => adapt(command, replacements));
  await using _redis = RunningCommand.shell(redis, options);
  await using a = RunningCommand.shell(first, options);
  await using b = RunningCommand.shell(second, options);
  const [urlA, urlB] = await Promise.all([a, b].map((chat) => urlOf(chat)));
  await post(urlA, "hi");
  assertEquals(await readTexts(urlB), ["hi"]);
});

Deno.test("flags of benchmarks in the documents are there", { ignore }, () => {
  assert(benchmarks.length > 0);
  for (const command of benchmarks) parseOptions(command.split(" ").slice(3));
});

Deno.test("JSON in protocol.md has the members that the chat's has", { ignore }, async () => {
  const headers = basic("a moderator");
  await using chat = await ChatProcess.start(["--moderator-password", "a moderator"]);
  const url = chat.numericUrl;
  const moderate = (fields: Record<string, string>) =>
    fetch(`${url}/moderation`, { method: "POST", headers, body: new URLSearchParams(fields) });
  const message = await post(url, "hi");
  const refusal = await (await sendPost(url, { message: " " })).json();
  await (await moderate({ action: "mute", by: message.by! })).body?.cancel();
  const state = await (await moderate({ action: "remove", id: message.id })).json();
  const accept = "application/json";
  const [removal] = await (await fetch(`${url}/chat?since=all&removed`, { headers: { accept } }))
    .json();
  const [room] = await (await fetch(`${url}/rooms`, { headers })).json();
  assertEquals(shapeOf(JSON.parse(messageJson)), shapeOf(message));
  assertEquals(shapeOf(JSON.parse(removalJson)), shapeOf(removal));
  assertEquals(JSON.parse(refusalJson), refusal);
  assertEquals(shapeOf(JSON.parse(stateJson)), shapeOf(state));
  assertEquals(
    shapeOf(JSON.parse(healthJson)),
    shapeOf(await (await fetch(`${url}/healthz`)).json()),
  );
  for (const one of JSON.parse(roomsJson)) assertEquals(shapeOf(one), shapeOf(room));
});

Deno.test(
  "lines of JSON in operations.md have the members that the chat's have",
  { ignore },
  async () => {
    await using chat = await ChatProcess.start(["--log-format", "json", "--verbose"]);
    await readTexts(chat.numericUrl);
    await until(() => chat.output.split("\n").length > 2);
    const lines = (json: string) =>
      json.trim().split("\n").map((line) => shapeOf(JSON.parse(line)));
    assertEquals(lines(logJson), lines(chat.output).slice(0, 2));
  },
);

Deno.test("the Python programs in protocol.md lose and double nothing while the chat restarts", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const port = freePort();
  const flags = ["--port", `${port}`, "--message-log", `sqlite:${folder.path}/chat.db`];
  const options = { env: { PYTHONUNBUFFERED: "1" } };
  const python = (program: string, input?: string) =>
    new RunningCommand(
      "python3",
      ["-c", adapt(program, { "localhost:4567": `127.0.0.1:${port}` })],
      {
        ...options,
        input,
      },
    );
  await using chat = await ChatProcess.start(flags);
  await post(chat.numericUrl, "before");
  await using reading = python(reader);
  await reading.prints(/ben: before\n/);
  await chat.stop("SIGKILL");
  await using writing = python(writer, "meanwhile\nafter\n");
  await writing.prints(/Not sent yet/);
  await using again = await ChatProcess.start(flags);
  const output = await reading.prints(/ann: after\n/);
  assertEquals(Array.from(output.matchAll(/: (\w+)\n/g), ([, text]) => text), [
    ...["before", "meanwhile", "after"],
  ]);
  assertEquals(await readTexts(again.numericUrl), ["before", "meanwhile", "after"]);
});

/** What takes the place of something in an example. */
type Replacements = Readonly<Record<string, string>>;

/** An example with what is so here in place of what documents have. */
function adapt(example: string, replacements: Replacements): string {
  return Object.entries(replacements).reduce(
    (text, [from, to]) => text.replaceAll(from, to),
    example,
  );
}

/** This chat's port, a message of it and that one's mark, for those in the documents. */
function here({ port }: ChatProcess, id: string, by = ""): Replacements {
  return { "localhost:4567": `localhost:${port}`, "1763908894123-7": id, "p3Xk_a0Z": by };
}

/** Where a chat that a command has started is reached. */
async function urlOf(chat: RunningCommand): Promise<string> {
  const [, port] = /localhost:(\d+)/.exec(await chat.prints(/localhost:\d+\n/))!;
  return `http://127.0.0.1:${port}`;
}

/** A JSON value with the names of types in place of texts and numbers. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, shapeOf(member)]),
  );
}
