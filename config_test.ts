/** Flags and environment, and the errors for those that can't be used. */

import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  ConfigError,
  HELP,
  parseConfig,
  readInfo,
  readLogFormat,
  refuseNewPasswords,
  sharedSettings,
  unknownVariables,
  VERSION,
  withModerator,
} from "./config.ts";

function read(args: string[], env: Record<string, string> = {}) {
  return parseConfig(args, (name) => env[name]);
}

Deno.test("parseConfig() has a default for every setting", () => {
  assertEquals(read([]), {
    port: 4567,
    hostname: "127.0.0.1",
    messageLog: "sqlite:chat.db",
    keep: 10_000,
    keepDays: 0,
    rooms: "any",
    maxRooms: 100,
    heartbeat: 15,
    rateLimit: 240,
    maxReaders: 10_000,
    maxReadersPerAddress: 256,
    trustProxy: [],
    allowHost: [],
    password: undefined,
    moderatorPassword: undefined,
    tlsCert: undefined,
    tlsKey: undefined,
    allowOrigin: [],
    title: "Simple Chat",
    logFormat: "text",
    verbose: false,
    metrics: false,
    metricsToken: undefined,
  });
});

Deno.test("parseConfig() takes the flag over the variable over the default", () => {
  const env = {
    PORT: "8000",
    CHAT_HOSTNAME: "::1",
    CHAT_KEEP: " ",
    CHAT_HEARTBEAT: "",
    CHAT_VERBOSE: "1",
  };
  const config = read(["--port", "9000"], env);
  assertEquals(config.port, 9000);
  assertEquals(config.hostname, "::1");
  assertEquals(config.keep, 10_000);
  assertEquals(config.heartbeat, 15);
  assertEquals(config.verbose, true);
});

Deno.test("parseConfig() takes flags in the usual spellings", () => {
  assertEquals(read(["--port=1", "--port=2"]).port, 2);
  assertEquals(read(["--", "--port", "3"]).port, 3);
  assertEquals(read(["--verbose", "--port", "0"]).verbose, true);
});

Deno.test("readInfo() has the help or the version, whatever else is wrong", () => {
  assertEquals(readInfo([]), undefined);
  assertEquals(readInfo(["--title", "--help"]), undefined);
  assertEquals(readInfo(["--help"]), HELP);
  assertEquals(readInfo(["--prot", "1", "--port", "x", "--", "--help", "--version"]), HELP);
  assertEquals(readInfo(["--keep", "0", "--version"]), VERSION);
});

Deno.test("parseConfig() takes every address and host name, and nothing that has a port", () => {
  const good = ["0.0.0.0", "::", "::1", "fe80::1%eth0", "localhost", "My-Host.example"];
  for (const hostname of good) assertEquals(read(["--hostname", hostname]).hostname, hostname);
  const bad = ["0", "0.0.0.0:80", "localhost:80", "[::1]", "127.1", "256.0.0.1", "a/b", "a@b", ":"];
  for (const hostname of bad) {
    assertThrows(
      () => read([`--hostname=${hostname}`]),
      ConfigError,
      `--hostname must be an IP address or a host name without a port, received "${hostname}"`,
    );
  }
});

Deno.test("unknownVariables() finds names that no setting has", () => {
  const names = ["PATH", "PORT", "CHAT_KEEP", "CHAT_KEEPS", "CHAT_PORT", "OTHER_CHAT_PORT"];
  assertEquals(unknownVariables(names), ["CHAT_KEEPS", "CHAT_PORT"]);
});

Deno.test("parseConfig() adds up lists", () => {
  const args = ["--allow-origin", "https://a.example", "--allow-origin=http://b.example:3000"];
  assertEquals(read(args).allowOrigin, ["https://a.example", "http://b.example:3000"]);
  const env = { CHAT_ALLOW_ORIGIN: "https://a.example, https://b.example" };
  assertEquals(read([], env).allowOrigin, ["https://a.example", "https://b.example"]);
});

Deno.test("parseConfig() refuses what it does not know, and names it and what is wanted", () => {
  const cases: [args: string[], env: Record<string, string>, message: string][] = [
    [["--prot", "1"], {}, "unknown flag --prot"],
    [["-p", "1"], {}, "unknown flag -p"],
    [["8080"], {}, 'unknown argument "8080"'],
    [["--port", "http"], {}, '--port must be a whole number from 0 to 65535, received "http"'],
    [["--port", "65536"], {}, 'received "65536"'],
    [["--port", "-1"], {}, 'received "-1"'],
    [["--port", "1e3"], {}, 'received "1e3"'],
    [["--port", ""], {}, '--port must be a whole number from 0 to 65535, received ""'],
    [["--port"], {}, '--port must be a whole number from 0 to 65535, received ""'],
    [["--port", "--verbose"], {}, 'received "--verbose"'],
    [[], { PORT: "x" }, 'PORT must be a whole number from 0 to 65535, received "x"'],
    [["--heartbeat", "0"], {}, "--heartbeat must be a whole number from 1 to 3600"],
    [["--message-log", "chat.db"], {}, "--message-log must be sqlite:PATH, memory: or redis://"],
    [["--message-log", "sqlite:"], {}, "--message-log must be sqlite:PATH, memory: or redis://"],
    [["--message-log", "sqlite::memory:"], {}, 'received "sqlite::memory:"'],
    [["--keep", "0"], {}, "--keep must be a whole number from 1 to 10000000"],
    [["--hostname", "a b"], {}, "--hostname must be an IP address or a host name"],
    [["--title", " "], {}, '--title must be text of 1 to 80 characters, received " "'],
    [["--title", "x".repeat(81)], {}, "--title must be text of 1 to 80 characters"],
    [["--verbose=maybe"], {}, "--verbose must be true or false"],
    [[], { CHAT_VERBOSE: "yes" }, 'CHAT_VERBOSE must be true or false, received "yes"'],
    [["--allow-origin", "example.com"], {}, "--allow-origin must be origins such as"],
    [["--allow-origin", "https://a.example/"], {}, "--allow-origin must be origins such as"],
    [["--allow-origin", "null"], {}, "--allow-origin must be origins such as"],
  ];
  for (const [args, env, message] of cases) {
    const error = assertThrows(() => read(args, env), ConfigError);
    assertStringIncludes(error.message, message);
  }
});

Deno.test("parseConfig() refuses lists and limits that have no meaning", () => {
  const cases: [args: string[], message: string][] = [
    [["--rate-limit", "-1"], "--rate-limit must be a whole number from 0 to 1000000"],
    [["--max-readers", "x"], "--max-readers must be a whole number from 0 to 1000000"],
    [["--max-readers-per-address", ""], "must be a whole number from 0 to 1000000"],
    [["--trust-proxy", "10.0.0.0/33"], "--trust-proxy must be addresses or ranges such as"],
    [["--trust-proxy", "localhost"], "--trust-proxy must be addresses or ranges such as"],
    [["--allow-host", "a.example:80"], "--allow-host must be host names without a port"],
    [["--allow-host", ""], "--allow-host must be host names without a port"],
    [
      ["--tls-cert", "", "--tls-key", "x"],
      '--tls-cert must be the path of a PEM file, received ""',
    ],
    [["--tls-cert", "x"], "--tls-key is missing; --tls-cert needs it"],
    [["--tls-key", "x"], "--tls-cert is missing; --tls-key needs it"],
  ];
  for (const [args, message] of cases) {
    assertStringIncludes(assertThrows(() => read(args), ConfigError).message, message);
  }
});

Deno.test("parseConfig() repeats no part of a password that lacks its quotes", () => {
  for (const flag of ["--password", "--moderator-password", "--metrics-token"]) {
    const { message } = assertThrows(
      () => read([flag, "open", "SECRET", "--metrics"]),
      ConfigError,
    );
    assertEquals(
      message,
      `unknown argument; put what belongs to ${flag} in quotes if it has spaces`,
    );
  }
});

Deno.test("parseConfig() takes a password, makes one where none is given, and repeats none", () => {
  const text = "correct horse";
  assertEquals(read(["--password", text]).password, { text, isNew: false });
  assertEquals(read([], { CHAT_PASSWORD: text }).password, { text, isNew: false });
  assertEquals(read([], { CHAT_PASSWORD: "" }).password, undefined);
  for (const args of [["--password"], ["--password="], ["--password", "--verbose"]]) {
    const { password } = read([...args]);
    assertMatch(password!.text, /^[a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4}$/);
    assertEquals(password!.isNew, true);
  }
  assertEquals(read(["--password", "--verbose"]).verbose, true);
  for (const name of ["--password", "--moderator-password"]) {
    for (const text of ["secret1", "🔑".repeat(7), "x".repeat(201)]) {
      const { message } = assertThrows(() => read([name, text]), ConfigError);
      assertEquals(message, `${name} must be text of 8 to 200 characters`);
    }
  }
  const [composed, decomposed] = ["Schöne Zeit".normalize("NFC"), "Schöne Zeit".normalize("NFD")];
  for (const other of [composed, decomposed]) {
    const { message } = assertThrows(
      () => read(["--password", composed, "--moderator-password", other]),
      ConfigError,
    );
    assertEquals(message, "--moderator-password must not be the --password; choose another one");
  }
});

Deno.test("parseConfig() takes a token for the metrics that a header can carry, and repeats none", () => {
  for (const text of ["12345678", "x".repeat(200), "a.~+/-_=!"]) {
    assertEquals(read(["--metrics", "--metrics-token", text]).metricsToken, text);
  }
  for (const text of ["secret1", "x".repeat(201), "eight ch", "schlüssel"]) {
    const { message } = assertThrows(
      () => read(["--metrics", "--metrics-token", text]),
      ConfigError,
    );
    assertEquals(
      message,
      "--metrics-token must be text of 8 to 200 ASCII characters without spaces",
    );
  }
  const { message } = assertThrows(() => read(["--metrics-token", "12345678"]), ConfigError);
  assertEquals(
    message,
    "--metrics is missing; --metrics-token needs it, to have something to show",
  );
});

Deno.test("HELP lists every setting with its variable and its default", () => {
  for (const text of ["--port N", "PORT", "4567", "--allow-origin ORIGIN", "CHAT_ALLOW_ORIGIN"]) {
    assertStringIncludes(HELP, text);
  }
});

Deno.test("the README's table lists every flag and its default", {
  ignore: (await Deno.permissions.query({ name: "read", path: "README.md" })).state !== "granted",
}, async () => {
  const readme = await Deno.readTextFile(new URL("./README.md", import.meta.url));
  const rows = new Map(readme.matchAll(/^\| `(--[a-z-]+)`.*$/gm).map(([row, flag]) => [flag, row]));
  const help = [...HELP.matchAll(/^ +(--[a-z-]+).*?(?:\(([^()]+)\))?$/gm)];
  assertEquals([...rows.keys()], help.map(([, flag]) => flag));
  for (const [, flag, value = ""] of help) assertStringIncludes(rows.get(flag)!, value);
});

Deno.test("parseConfig() takes a Redis, with what it needs and nothing else", () => {
  const good = [
    "redis://localhost",
    "rediss://redis.example.com:6380/15",
    "redis://chat:p%40ss:w%2Ford@10.0.0.1:6379/0",
    "redis://:secret-word@redis",
    "redis://[::1]:6379/1",
  ];
  for (const url of good) assertEquals(read(["--message-log", url]).messageLog, url);
  const bad = [
    "redis:",
    "redis://",
    "redis:secret-word@host",
    "redis://u:secret-word@:99999/x",
    "redis://u:secret-word@host:0",
    "redis://u:secret-word@host:65536",
    "redis://u:secret-word@host/",
    "redis://u:secret-word@host/x",
    "redis://u:secret-word@host?a=b",
    "redis://u:secret-word@host#a",
    "redis://u:secret-word@ho st",
    "redis://u:secret-word@[::1",
    "redis://u:secret-word@[host]",
    "redis://u:secret-word%@host",
    "redis://u:secret-word%ff@host",
    "redis://u:secret-word/@host",
    "redis://secret-word@host",
    "redis://u:@host",
    "Redis://u:secret-word@host",
    "reddis://u:secret-word",
  ];
  for (const url of bad) {
    for (
      const [args, env] of [[["--message-log", url], {}], [[], { CHAT_MESSAGE_LOG: url }]] as const
    ) {
      const { message } = assertThrows(() => read([...args], env), ConfigError);
      assertStringIncludes(message, "must be sqlite:PATH, memory: or redis://", url);
      assert(!message.includes("secret-word"), message);
    }
    const { message } = assertThrows(() => read([url]), ConfigError);
    assert(!message.includes("secret-word"), message);
  }
});

Deno.test("sharedSettings() are those that all servers must have alike, by their flags", () => {
  const flags = ["--rooms=physics,biology", "--password=correct horse", "--port=8080"];
  const shared = {
    "--keep": "10000",
    "--keep-days": "0",
    "--rooms": "biology,physics",
    "--max-rooms": "100",
    "--password": "correct horse",
    "--moderator-password": "",
    "--title": "Simple Chat",
  };
  assertEquals(sharedSettings(read(flags)), shared);
  assertEquals(sharedSettings(read([...flags, "--rooms=biology,physics"])), shared);
});

Deno.test("readLogFormat() reads the format, whatever else is wrong", () => {
  const formatOf = (args: string[], variable?: string) =>
    readLogFormat(args, (name) => name === "CHAT_LOG_FORMAT" ? variable : undefined);
  assertEquals(formatOf([]), "text");
  assertEquals(formatOf(["--prot", "1", "--log-format", "json", "--port=x", "what"]), "json");
  assertEquals(formatOf([], " json "), "json");
  assertEquals(formatOf(["--log-format=text"], "json"), "text");
  assertEquals(formatOf(["--log-format=json", "--log-format=text"]), "text");
  for (const text of ["xml", "JSON", ""]) {
    assertEquals(formatOf([`--log-format=${text}`], "json"), "text");
  }
  assertEquals(formatOf([], "xml"), "text");
  assertThrows(
    () => read(["--log-format=xml"]),
    ConfigError,
    '--log-format must be text or json, received "xml"',
  );
});

Deno.test("refuseNewPasswords() lets only passwords pass that were given", () => {
  for (
    const [flag, variable] of [["--password", "CHAT_PASSWORD"], [
      "--moderator-password",
      "CHAT_MODERATOR_PASSWORD",
    ]]
  ) {
    const error = assertThrows(() => refuseNewPasswords(read([flag])), ConfigError);
    assertMatch(
      error.message,
      new RegExp(`^${flag} without a value .*; give one of 8 to 200 characters in ${variable}$`),
    );
    refuseNewPasswords(read([`${flag}=battery staple`]));
  }
  refuseNewPasswords(read([]));
});

Deno.test("withModerator() makes a password at a terminal, but none for one of many instances", () => {
  const made = withModerator(read([]), true).moderatorPassword;
  assertEquals([made?.isNew, made?.text.length], [true, 14]);
  assertEquals(withModerator(read([]), false).moderatorPassword, undefined);
  for (const url of ["redis://localhost", "rediss://u:secret@host"]) {
    const config = read(["--message-log", url]);
    assertEquals(withModerator(config, true).moderatorPassword, undefined, url);
  }
  const given = read(["--moderator-password=battery staple", "--message-log=redis://localhost"]);
  assertEquals(withModerator(given, true), given);
});
