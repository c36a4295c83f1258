/** The program as a user starts it, and what it prints. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { basic } from "./chat_client.ts";
import { ChatProcess, COMMAND, runToEnd } from "./chat_process.ts";
import { newFolder } from "./folder.ts";
import { evaluate, INSPECT_FLAGS } from "./inspector.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted";

Deno.test("the first line printed says where to go", { ignore }, async () => {
  await using chat = await ChatProcess.start();
  assertMatch(chat.firstLine, /^The chat is at http:\/\/localhost:\d+$/);
  const response = await fetch(`http://127.0.0.1:${chat.port}/`);
  assertStringIncludes(await response.text(), "<h1>");
});

Deno.test("--help prints the settings and --version the version", { ignore }, async () => {
  const help = await runToEnd(["--help"], { env: { CHAT_KEEP: "many" } });
  assertEquals([help.code, help.stderr], [0, ""]);
  assertStringIncludes(help.stdout, "--port N");
  const version = await runToEnd(["--version"]);
  assertEquals([version.code, version.stderr], [0, ""]);
  assertMatch(version.stdout, /^\d+\.\d+\.\d+\n$/);
});

Deno.test("a failed start prints one clear line", { ignore }, async () => {
  await using chat = await ChatProcess.start();
  const cases: [args: string[], env: Record<string, string>, line: string][] = [
    [["--prot", "1"], {}, "Cannot start: unknown flag --prot; --help lists the flags"],
    [
      [],
      { PORT: "http" },
      'Cannot start: PORT must be a whole number from 0 to 65535, received "http"',
    ],
    [["--port", String(chat.port)], {}, `Cannot start: port ${chat.port} is in use`],
    [
      ["--hostname", "192.0.2.1", "--port", "0"],
      {},
      'Cannot start: this machine has no address "192.0.2.1"',
    ],
    [
      ["--hostname", "no.such.invalid"],
      {},
      'Cannot start: this machine has no address "no.such.invalid"',
    ],
  ];
  for (const [args, env, line] of cases) {
    const ended = await runToEnd(["--message-log", "memory:", ...args], { env });
    assertEquals(ended.code, 1);
    assertEquals(ended.stdout, "");
    assert(ended.stderr.startsWith(line), ended.stderr);
    assertEquals(ended.stderr.split("\n").length, 2);
  }
});

Deno.test("a variable that no setting has is named, and ignored", { ignore }, async () => {
  // As Kubernetes has it for a service named chat.
  const env = { CHAT_PORT: "tcp://10.0.0.1:80", CHAT_KEEPS: "5" };
  await using chat = await ChatProcess.start([], { env });
  const { output } = await chat.stop("SIGTERM");
  const lines = output.split("\n").filter((line) => line.startsWith("Ignored"));
  assertEquals(lines.length, 1, output);
  for (const name of Object.keys(env)) assertStringIncludes(lines[0], name);
});

Deno.test(
  "what a store reports is printed, and it is given what instances share",
  { ignore },
  async () => {
    const program = `
    import { main } from "./main.ts";
    await main({
      openStore: (_url, { settings, onAway, onBack, onWarning }) => {
        onAway("it hangs");
        onBack(3210);
        onWarning(Object.keys(settings).join());
        return Promise.reject(new Error("that is enough"));
      },
    });`;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-lock", program],
      cwd: new URL("..", import.meta.url),
      env: { NO_COLOR: "1" },
    }).output();
    const textOf = (bytes: Uint8Array) =>
      new TextDecoder().decode(bytes).replaceAll(/^[\d:]{8} /gm, "");
    assertEquals(textOf(stdout), "The message log is back, after 3.2 s.\n");
    assertEquals([code, textOf(stderr).split("\n").slice(-4)], [1, [
      "The message log can't be reached: it hangs. Posts are refused until it is back.",
      "--keep,--keep-days,--rooms,--max-rooms,--password,--moderator-password,--title",
      "Cannot start: that is enough",
      "",
    ]]);
  },
);

Deno.test("a system that tells no addresses prevents no start", { ignore }, async () => {
  const denoFlags = ["--deny-sys=networkInterfaces"];
  await using chat = await ChatProcess.start(["--hostname", "0.0.0.0"], { denoFlags });
  const { code, output } = await chat.stop("SIGTERM");
  assertEquals([code, output.includes("Cannot")], [0, false], output);
});

Deno.test("a Deno that is too old says which one is needed", { ignore }, async () => {
  await using folder = await newFolder();
  const old = `${folder.path}/old.ts`;
  for (const version of ["1.46.3", "2.8.3"]) {
    const text = `Object.defineProperty(Deno, "version", { value: { deno: "${version}" } });`;
    await Deno.writeTextFile(old, text);
    const ended = await runToEnd(["--port", "0"], { denoFlags: [`--preload=${old}`] });
    assertEquals(ended.code, 1);
    assertStringIncludes(
      ended.stderr,
      `Cannot start: this is Deno ${version}, and the chat needs 2.9`,
    );
    assertEquals(ended.stderr.split("\n").length, 2);
  }
});

Deno.test("--verbose logs requests and never what was said", { ignore }, async () => {
  await using chat = await ChatProcess.start(["--verbose"]);
  const url = `http://127.0.0.1:${chat.port}/chat`;
  const body = new URLSearchParams({ nickname: "SECRETNAME", message: "SECRETTEXT" });
  await (await fetch(`${url}?message=SECRETQUERY`, { method: "POST", body })).body?.cancel();
  const { code, output } = await chat.stop("SIGTERM");
  assertEquals(code, 0);
  assertMatch(output, /201 POST \/chat \d+\.\d ms 127\.0\.0\.1/);
  assert(!output.includes("SECRET"), output);
});

Deno.test("no password that was given is printed, and no wrong one", { ignore }, async () => {
  const env = { CHAT_PASSWORD: "correct horse", CHAT_MODERATOR_PASSWORD: "battery staple" };
  await using chat = await ChatProcess.start(["--verbose"], { env });
  for (const password of ["correct horse", "a bad guess"]) {
    const body = new URLSearchParams({ password });
    const url = `http://127.0.0.1:${chat.port}/session`;
    await (await fetch(url, { method: "POST", body })).body?.cancel();
  }
  const { output } = await chat.stop("SIGTERM");
  assertMatch(output, /204 POST \/session/);
  assertMatch(output, /401 POST \/session/);
  for (const part of ["horse", "staple", "guess", "assword:"]) {
    assert(!output.includes(part), output);
  }
  const ended = await runToEnd(["--password=secret"]);
  assertEquals(ended.stderr, "Cannot start: --password must be text of 8 to 200 characters\n");
});

Deno.test("at a terminal a moderator's password is made, and lets in", { ignore }, async () => {
  const command = [...COMMAND, "--port", "0", "--message-log", "memory:"].map((part) =>
    `'${part}'`
  );
  // It gives a program a terminal.
  const script = new Deno.Command("script", {
    args: ["-qefc", command.join(" "), "/dev/null"],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let output = "";
  for await (const text of script.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    const [, port] = /localhost:(\d+)/.exec(output) ?? [];
    const [, password] = /Moderator's password: (\S+)/.exec(output) ?? [];
    if (!output.includes("Ctrl+C")) continue;
    const body = new URLSearchParams({ password });
    const response = await fetch(`http://127.0.0.1:${port}/session`, { method: "POST", body });
    assertEquals(response.status, 204, output);
    break;
  }
  script.kill("SIGTERM");
  await script.status;
});

Deno.test("a chat that listens can use no file, variable or program", { ignore }, async () => {
  await using folder = await newFolder();
  const flags = ["--message-log", `sqlite:${folder.path}/chat.db`];
  await using chat = await ChatProcess.start(flags, { denoFlags: INSPECT_FLAGS });
  const attempts = [
    `Deno.readTextFileSync("${folder.path}/chat.db")`,
    `Deno.writeTextFileSync("${folder.path}/new", "")`,
    'Deno.env.get("PORT")',
    "Deno.networkInterfaces()",
    'new Deno.Command("true").outputSync()',
  ];
  for (const attempt of attempts) {
    const error = `(() => { try { ${attempt}; } catch (error) { return error.name; } })()`;
    assertEquals(await evaluate(chat, error), "NotCapable", attempt);
  }
  // More than the write-ahead log takes before it goes into the file.
  const body = new URLSearchParams({ message: "👋".repeat(4000) });
  for (let n = 0; n < 400; n++) {
    const response = await fetch(`http://127.0.0.1:${chat.port}/chat`, { method: "POST", body });
    assertEquals(response.status, 201);
    await response.body?.cancel();
  }
  const { size } = await Deno.stat(`${folder.path}/chat.db`);
  assert(size > 1024 * 1024, `${size} bytes in the file`);
  assertEquals((await chat.stop("SIGTERM")).code, 0);
});

Deno.test("what a moderator removes is in no file any more", { ignore }, async () => {
  await using folder = await newFolder();
  const flags = ["--message-log", `sqlite:${folder.path}/chat.db`];
  const env = { CHAT_MODERATOR_PASSWORD: "battery staple" };
  await using chat = await ChatProcess.start(flags, { env });
  const send = async (path: string, fields: Record<string, string>) => {
    const headers = basic("battery staple");
    const body = new URLSearchParams(fields);
    const response = await fetch(`http://127.0.0.1:${chat.port}${path}`, {
      method: "POST",
      body,
      headers,
    });
    assertEquals(response.ok, true, await response.clone().text());
    return await response.json();
  };
  const { id } = await send("/chat", { message: "RUDEWORDS", nickname: "RUDENAME" });
  await send("/biology/chat", { message: "RUDEWORDS".repeat(400) });
  await send("/chat", { message: "kind words" });
  const files = async () => {
    const texts = [];
    for await (const { name } of Deno.readDir(folder.path)) {
      texts.push(new TextDecoder("latin1").decode(await Deno.readFile(`${folder.path}/${name}`)));
    }
    return texts.join("\n");
  };
  assertStringIncludes(await files(), "RUDEWORDS");
  assertEquals((await send("/moderation", { action: "remove", id })).removed, 1);
  assertEquals((await send("/biology/moderation", { action: "clear" })).removed, 1);
  const left = await files();
  assertEquals(left.match(/RUDE\w*/g), null);
  assertStringIncludes(left, "kind words");
  assertEquals((await chat.stop("SIGTERM")).code, 0);
});

Deno.test("a thousand readers that arrive at once connect without a retry second", {
  ignore,
}, async () => {
  await using chat = await ChatProcess.start();
  const began = performance.now();
  const connections = await Promise.all(
    Array.from({ length: 1000 }, () => Deno.connect({ hostname: "127.0.0.1", port: chat.port })),
  );
  const tookMs = performance.now() - began;
  for (const connection of connections) connection.close();
  assert(tookMs < 900, `took ${tookMs} ms: a connection waited for its SYN to be sent again`);
});
