/** Two instances of the chat on one Redis, through the proxies of deploy/ as they are configured there. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EventSource } from "eventsource";
import { basic, post, readTexts, sendPost } from "../chat_client.ts";
import { ChatProcess, NO_LIMITS } from "../chat_process.ts";
import { newFolder } from "../folder.ts";
import { hasRedis } from "../redis_server.ts";
import { until } from "../until.ts";
import { type OtherServer, startServer } from "./other_server.ts";
import { checkServer } from "./protocol_suite.ts";
import { CADDY, NGINX, type Proxy, startProxy } from "./proxy.ts";

const COMPOSE = new URL("../../deploy/compose.yaml", import.meta.url);
const REDIS_PASSWORD = "secret1";
const MODERATOR_PASSWORD = "the moderator";
const OK = new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");

/** A chat of two instances; disposing of it ends all that belongs to it. */
interface Chat extends AsyncDisposable {
  readonly instances: ChatProcess[];
  readonly proxy: OtherServer;
  readonly redis: OtherServer;
  /** Starts an instance again where it was. */
  restart(index: number): Promise<void>;
}

async function startChat(proxy: Proxy, flags: readonly string[] = NO_LIMITS): Promise<Chat> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await newFolder());
  const redis = stack.use(await startRedis(folder.path));
  const args = [
    ...["--message-log", `redis://chat:${REDIS_PASSWORD}@127.0.0.1:${redis.port}`],
    ...["--trust-proxy", "127.0.0.1", "--verbose", "--keep", "1000000", ...flags],
  ];
  const start = (port: number) =>
    ChatProcess.start([...args, "--port", `${port}`], { hasLimits: true });
  const instances: ChatProcess[] = [];
  stack.defer(async () => {
    for (const instance of instances) await instance[Symbol.asyncDispose]();
  });
  instances.push(await start(0));
  instances.push(await start(0));
  const running = stack.use(await startProxy(proxy, instances.map(({ port }) => port)));
  const owned = stack.move();
  return {
    instances,
    proxy: running,
    redis,
    restart: async (index) => {
      instances[index] = await start(instances[index].port);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts Redis with the command in deploy/compose.yaml. */
async function startRedis(folder: string): Promise<OtherServer> {
  const [, command] = /redis:7\n +command: >-\n((?: {6}.+\n)+)/.exec(
    await Deno.readTextFile(COMPOSE),
  )!;
  const [program, ...args] = command
    .replace(/\$\{REDIS_PASSWORD.*?\}/, REDIS_PASSWORD)
    .match(/'.*?'|\S+/g)!
    .map((word) => word.replaceAll("'", ""));
  return await startServer((port) => ({
    program,
    args: [...args, "--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder],
  }));
}

/** Opens a stream, and hangs up when it is disposed of. */
async function openStream(url: string): Promise<AsyncDisposable> {
  const { body } = await fetch(`${url}/chat`, { headers: { accept: "text/event-stream" } });
  return { [Symbol.asyncDispose]: () => body!.cancel() };
}

/** A reader as the standard has it, and what it was sent. */
class StandardReader implements Disposable {
  readonly texts: string[] = [];
  gaps = 0;
  /** How often it has got to the end of a replay or heard of a change in the number of readers. */
  #onlines = 0;
  readonly #source: EventSource;

  private constructor(url: string) {
    this.#source = new EventSource(`${url}/chat`);
    this.#source.addEventListener("message", ({ data }) => {
      this.texts.push(JSON.parse(data).message);
    });
    this.#source.addEventListener("gap", () => this.gaps++);
    this.#source.addEventListener("online", () => this.#onlines++);
  }

  static async join(url: string): Promise<StandardReader> {
    const reader = new StandardReader(url);
    await until(() => reader.#onlines > 0);
    return reader;
  }

  [Symbol.dispose](): void {
    this.#source.close();
  }
}

/** Writes a message, again and again with the same key, until it is stored. */
async function write(url: string, message: string): Promise<string> {
  await until(() => isStored(sendPost(url, { message, key: message })));
  return message;
}

/** Writes one message after the other until it is to end; returns them. */
async function writeOn(url: string, name: string, isOver: () => boolean): Promise<string[]> {
  const written: string[] = [];
  while (!isOver()) written.push(await write(url, `${name} ${written.length}`));
  return written;
}

/** Whether a post is answered so; what is worth another try is not. */
async function isStored(answer: Promise<Response>): Promise<boolean> {
  let response;
  try {
    response = await answer;
  } catch (error) {
    assert(error instanceof TypeError);
    return false;
  }
  await response.body?.cancel();
  assert(response.ok || response.status >= 500, `${response.status}`);
  return response.ok;
}

/** How many requests of a kind an instance has answered. */
function countRequests({ output }: ChatProcess, request: string): number {
  return output.split("\n").filter((line) => line.includes(` ${request} `)).length;
}

/** What Redis answers a command of the chat's own user. */
async function runRedis(port: number, ...command: string[]): Promise<string> {
  const user = ["--user", "chat", "--pass", REDIS_PASSWORD, "--no-auth-warning"];
  const args = ["-p", `${port}`, ...user, ...command];
  const { stdout } = await new Deno.Command("redis-cli", { args }).output();
  return new TextDecoder().decode(stdout).trimEnd();
}

/** A server that says it is alive, but hangs up on whoever asks for anything else. */
class Quitter implements AsyncDisposable {
  /** What it was asked for. */
  readonly paths: string[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #ended = this.#serve();

  get port(): number {
    return this.#listener.addr.port;
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) {
      const bytes = new Uint8Array(4096);
      const count = await connection.read(bytes) ?? 0;
      const [, path] = new TextDecoder().decode(bytes.subarray(0, count)).split(" ");
      if (path === "/livez") await connection.write(OK);
      else if (path !== undefined) this.paths.push(path);
      connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#ended;
  }
}

/**
 * Asks for one path after the other until a server that hangs up has been asked; returns the status of
 * that one, and how often it has been asked for at any server.
 */
async function askUntilTaken(
  proxy: Proxy,
  { method, headers }: { readonly method: string; readonly headers?: Record<string, string> },
): Promise<{ readonly status: number; readonly times: number }> {
  await using quitter = new Quitter();
  const paths: string[] = [];
  await using healthy = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    paths.push(new URL(request.url).pathname);
    return new Response("ok");
  });
  await using running = await startProxy(proxy, [quitter.port, healthy.addr.port]);
  for (let n = 0;; n++) {
    const path = `/${n}/chat`;
    const body = method === "POST" ? "message=hi" : undefined;
    const response = await fetch(running.url + path, { method, headers, body });
    await response.body?.cancel();
    if (quitter.paths.length === 0) continue;
    paths.push(...quitter.paths);
    return { status: response.status, times: paths.filter((each) => each === path).length };
  }
}

Deno.test(
  "deploy/compose.yaml lets the chat do with Redis all that it has to, and no more",
  {
    ignore: !hasRedis,
  },
  async () => {
    const flags = ["--moderator-password", MODERATOR_PASSWORD, "--keep", "3", "--keep-days", "1"];
    await using chat = await startChat(NGINX, [...NO_LIMITS, ...flags]);
    const { redis, instances, proxy: { url } } = chat;
    const headers = basic(MODERATOR_PASSWORD);
    const ask = async (path: string, init?: RequestInit) => {
      const response = await fetch(url + path, { headers, ...init });
      const text = await response.text();
      assert(response.ok, `${path}: ${response.status} ${text}`);
      return { headers: response.headers, text };
    };
    const act = async (fields: Record<string, string>) => {
      const body = new URLSearchParams(fields);
      await ask("/biology/moderation", { method: "POST", body });
    };
    const room = `${url}/biology`;
    for (let n = 0; n < 5; n++) await post(room, `message ${n}`);
    const { id } = await post(room, "to be removed");
    await act({ action: "remove", id });
    const { by } = await post(room, "to be removed, too");
    await act({ action: "mute", by: by!, minutes: "10" });
    await act({ action: "unmute", by: by! });
    await act({ action: "remove", by: by! });
    await act({ action: "close" });
    await act({ action: "open" });
    await act({ action: "clear" });
    await act({ action: "delete" });
    await post(room, "left");
    const rooms = await ask("/rooms");
    assertEquals(JSON.parse(rooms.text).at(-1), { name: "biology", readers: 0, messages: 1 });
    const signedIn = await ask("/session", {
      method: "POST",
      body: new URLSearchParams({ password: MODERATOR_PASSWORD }),
    });
    const [cookie] = signedIn.headers.get("set-cookie")!.split(";", 1);
    await ask("/session", { method: "DELETE", headers: { cookie } });
    for (const { output } of instances) assert(!/NOPERM|can't/.test(output), output);

    assertStringIncludes(await runRedis(redis.port, "BGREWRITEAOF"), "rewriting");
    assertStringIncludes(await runRedis(redis.port, "INFO", "persistence"), "aof_enabled:1");
    for (
      const command of ["SET other 1", "XADD other * a 1", "FLUSHALL", "CONFIG GET *", "KEYS *"]
    ) {
      assertStringIncludes(await runRedis(redis.port, ...command.split(" ")), "NOPERM", command);
    }
  },
);

for (const proxy of [NGINX, CADDY]) {
  Deno.test(`${proxy.name} repeats no post that an instance may have taken, though it has a key`, async () => {
    const headers = { "idempotency-key": "1" };
    const answer = await askUntilTaken(proxy, { method: "POST", headers });
    assertEquals(answer, { status: 502, times: 1 });
  });

  Deno.test(`${proxy.name} asks the other instance where one fails to answer a GET`, async () => {
    const { status, times } = await askUntilTaken(proxy, { method: "GET" });
    assertEquals(status, 200);
    assert(times > 1);
  });

  Deno.test(`${proxy.name} shares readers and posts out between two instances that are one chat`, {
    ignore: !hasRedis,
  }, async () => {
    await using chat = await startChat(proxy);
    const { instances, proxy: { url } } = chat;
    await using streams = new AsyncDisposableStack();
    for (let n = 0; n < 6; n++) streams.use(await openStream(url));
    await until(() => instances.every((instance) => countRequests(instance, "GET /chat") === 3));
    const written: string[] = [];
    await until(async () => {
      written.push((await post(url, `message ${written.length}`)).message);
      return instances.every((instance) => countRequests(instance, "POST /chat") > 0);
    });
    for (const { url: direct } of instances) assertEquals(await readTexts(direct), written);
  });

  Deno.test(
    `${proxy.name} holds nothing back that goes from one instance to readers of the other`,
    {
      ignore: !hasRedis,
    },
    async () => {
      await using chat = await startChat(proxy);
      using readers = new DisposableStack();
      const both: StandardReader[] = [];
      for (let n = 0; n < 2; n++) both.push(readers.use(await StandardReader.join(chat.proxy.url)));
      for (const [n, { url }] of [...chat.instances, ...chat.instances].entries()) {
        await post(url, `message ${n}`);
        const began = performance.now();
        await until(() => both.every(({ texts }) => texts.length === n + 1));
        const tookMs = performance.now() - began;
        assert(tookMs < 1000, `a message took ${tookMs} ms`);
      }
    },
  );

  Deno.test(`${proxy.name} tells the chat whose each request is, whatever the visitor says`, {
    ignore: !hasRedis,
  }, async () => {
    await using chat = await startChat(proxy, ["--rate-limit", "6"]);
    const { url } = chat.proxy;
    const postFrom = async (localAddress: string, n: number) => {
      using client = Deno.createHttpClient({ localAddress });
      const response = await fetch(`${url}/chat`, {
        client,
        method: "POST",
        body: new URLSearchParams({ message: "hi" }),
        // As the page sends it: the chat must be told at which host.
        headers: { origin: url, "x-forwarded-for": `203.0.113.${n}` },
      });
      await response.body?.cancel();
      return response.status;
    };
    // Each instance has room for five.
    const statuses: number[] = [];
    while (!statuses.includes(429) && statuses.length < 20) {
      statuses.push(await postFrom("127.0.0.2", statuses.length));
    }
    assertEquals(new Set(statuses), new Set([201, 429]));
    assertEquals(await postFrom("127.0.0.3", 0), 201);
    const output = () => chat.instances.map(({ output }) => output).join("");
    await until(() => / 201 POST .* 127\.0\.0\.3\n/.test(output()));
    assert(!output().includes("203.0.113"), output());
  });

  Deno.test(`${proxy.name} passes on that the chat can't store a message while Redis is down`, {
    ignore: !hasRedis,
  }, async () => {
    await using chat = await startChat(proxy);
    const { url } = chat.proxy;
    using reader = await StandardReader.join(url);
    await chat.redis[Symbol.asyncDispose]();
    for (let n = 0; n < 4; n++) {
      const response = await sendPost(url, { message: "hi" });
      assertEquals([response.status, (await response.json()).status], [503, 503]);
      assert(Number(response.headers.get("retry-after")) > 0);
    }
    assertEquals(reader.texts, []);
  });

  Deno.test(`nothing is lost or repeated at ${proxy.name} while instances end one by one`, {
    ignore: !hasRedis,
  }, async () => {
    await using chat = await startChat(proxy);
    const { instances, proxy: { url } } = chat;
    using stack = new DisposableStack();
    const readers: StandardReader[] = [];
    for (let n = 0; n < 6; n++) readers.push(stack.use(await StandardReader.join(url)));
    const untilAllHave = (text: string) =>
      until(() => readers.every(({ texts }) => texts.includes(text)));
    let isOver = false;
    const writers = ["ann", "ben"].map((name) => writeOn(url, name, () => isOver));
    const written: string[] = [];
    try {
      await until(() => readers.every(({ texts }) => texts.length > 20));
      for (const [index, signal] of (["SIGTERM", "SIGKILL"] as const).entries()) {
        await instances[index].stop(signal);
        written.push(await write(url, `after the ${signal}`));
        await untilAllHave(`after the ${signal}`);
        await chat.restart(index);
        await until(() => countRequests(instances[index], "POST /chat") > 20);
      }
    } finally {
      isOver = true;
      written.push(...(await Promise.all(writers)).flat());
    }
    written.push(await write(url, "the end"));
    await untilAllHave("the end");
    for (const instance of instances) {
      const stored = await readTexts(instance.url);
      assertEquals(stored.toSorted(), written.toSorted());
      for (const { texts, gaps } of readers) assertEquals([texts, gaps], [stored, 0]);
    }
  });

  Deno.test(`two instances behind ${proxy.name} keep the rules of the protocol`, {
    ignore: !hasRedis,
  }, async () => {
    const flags = ["--keep", "60", "--moderator-password", MODERATOR_PASSWORD];
    await using chat = await startChat(proxy, [...NO_LIMITS, ...flags]);
    const { broken, output } = await checkServer(chat.proxy.url, ...flags);
    // nginx itself waits for a body, and for longer than the chat would.
    assertEquals(broken, proxy === NGINX ? ["X10"] : [], output);
  });
}
