/**
 * Readers that come and go by the thousand leak nothing, and readers that vanish
 * silently are found.
 *
 * CHURN_SECONDS=60 makes the first test last that long. In 10 seconds some 80,000
 * readers come and go, so a leak shows from 300 bytes per reader on.
 */

import { assert, assertEquals } from "@std/assert";
import { end, residentKib } from "../../bench/server.ts";
import { ChatProcess, COMMAND, NO_LIMITS } from "../chat_process.ts";
import { EventReader } from "../event_reader.ts";

const CHURN_SECONDS = Number(Deno.env.get("CHURN_SECONDS") ?? 10);
/** How long memory grows because code is compiled and heaps reach their size. */
const WARM_UP_SECONDS = 5;
const VISITORS_AT_ONCE = 32;
const MIN_JOINS_PER_SECOND = 500;
/** How much the resident memory may differ: garbage that is not collected yet. */
const TOLERANCE_KIB = 24 * 1024;

const encoder = new TextEncoder();
const REQUEST = encoder.encode(
  "GET /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n",
);

/** Lets visitors come and go for a while, and returns how many came. */
async function churn(port: number, seconds: number): Promise<number> {
  const deadline = performance.now() + seconds * 1000;
  let joins = 0;
  const visit = async () => {
    const buffer = new Uint8Array(4096);
    while (performance.now() < deadline) {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(REQUEST);
      // Every third one hangs up before its stream has begun.
      if (joins++ % 3 > 0) await connection.read(buffer);
    }
  };
  await Promise.all(Array.from({ length: VISITORS_AT_ONCE }, visit));
  return joins;
}

/** Reads until an `online` event has this number of readers; fails after some seconds. */
async function untilOnline(watcher: EventReader, readers: number, seconds = 10): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  let online;
  while (online !== String(readers)) {
    // There is a ping every --heartbeat seconds, so this ends.
    const event = await watcher.next();
    if (event?.event === "online") online = event.data;
    if (!event || performance.now() > deadline) break;
  }
  assertEquals(online, String(readers));
}

function openFiles(pid: number): number {
  return Array.from(Deno.readDirSync(`/proc/${pid}/fd`)).length;
}

Deno.test("thousands of joins and leaves leave the server as it was", {
  ignore: Deno.build.os !== "linux",
}, async (t) => {
  await using chat = await ChatProcess.start();
  await using watcher = new EventReader(await fetch(`${chat.url}/chat`));
  await churn(chat.port, WARM_UP_SECONDS);
  await untilOnline(watcher, 1);
  const files = openFiles(chat.pid);
  const before = await residentKib(chat.pid);

  const joins = await churn(chat.port, CHURN_SECONDS);
  await untilOnline(watcher, 1);
  const after = await residentKib(chat.pid);
  const figures = `${joins} joins in ${CHURN_SECONDS} s; resident ${before} KiB, then ${after} KiB`;
  await t.step(figures, () => {
    assert(joins / CHURN_SECONDS > MIN_JOINS_PER_SECOND);
    assert(after! - before! < TOLERANCE_KIB);
    assert(openFiles(chat.pid) <= files);
  });
});

/** Runs a command of iproute2, and returns whether it succeeded. */
async function ip(...args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("ip", { args, stderr: "null" }).output();
    return success;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}

/** Linux retransmits 15 times, which takes a quarter of an hour; 3 times take 7 seconds. */
const FEW_RETRIES = "echo 3 >/proc/sys/net/ipv4/tcp_retries2";

/** Two hosts of our own, joined by a cable that can be cut. */
class Hosts implements AsyncDisposable {
  static readonly SERVER_ADDRESS = "10.213.77.1";
  readonly server = `chat-server-${Deno.pid}`;
  readonly client = `chat-client-${Deno.pid}`;

  /** Sets them up, and returns whether this system lets this user do so. */
  async create(): Promise<boolean> {
    const { server, client } = this;
    return await ip("netns", "add", server) && await ip("netns", "add", client) &&
      await ip("link", "add", "s", "netns", server, "type", "veth", "peer", "c", "netns", client) &&
      await ip("-n", server, "address", "add", `${Hosts.SERVER_ADDRESS}/30`, "dev", "s") &&
      await ip("-n", client, "address", "add", "10.213.77.2/30", "dev", "c") &&
      await ip("-n", server, "link", "set", "lo", "up") &&
      await ip("-n", server, "link", "set", "s", "up") &&
      await ip("-n", client, "link", "set", "c", "up") &&
      await ip("netns", "exec", server, "sh", "-c", FEW_RETRIES);
  }

  /** Stops everything from the client to the server, without either noticing. */
  async cut(): Promise<void> {
    const route = ["route", "replace", "blackhole", Hosts.SERVER_ADDRESS];
    assert(await ip("-n", this.client, ...route));
  }

  /** Starts a command on one of the hosts, to be killed by disposing of `running`. */
  run(
    running: AsyncDisposableStack,
    host: string,
    ...command: string[]
  ): ReadableStream<Uint8Array<ArrayBuffer>> {
    const args = ["netns", "exec", host, ...command];
    const process = new Deno.Command("ip", { args, stdout: "piped", stderr: "null" }).spawn();
    const output = process.stdout.pipeThrough(new TransformStream());
    running.defer(async () => {
      end(process);
      await process.status;
      await output.cancel();
    });
    return output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ip("netns", "delete", this.server);
    await ip("netns", "delete", this.client);
  }
}

/** Whether network namespaces can be created: on Linux with iproute2, as root. */
const canCut = await (async () => {
  if (Deno.build.os !== "linux") return false;
  await using hosts = new Hosts();
  return await hosts.create();
})();
if (!canCut) console.log("No network namespaces here (root and iproute2): no cable can be cut.");

Deno.test("a reader whose network is gone is found by the heartbeat and released", {
  ignore: !canCut,
}, async () => {
  await using running = new AsyncDisposableStack();
  const hosts = running.use(new Hosts());
  assert(await hosts.create());
  const server = hosts.run(
    ...[running, hosts.server, ...COMMAND, "--port", "4567", "--hostname", "0.0.0.0"],
    ...["--message-log", "memory:", "--heartbeat", "1", ...NO_LIMITS],
  );
  const greeting = server.getReader();
  await greeting.read();
  greeting.releaseLock();
  const read = (host: string, address: string) => {
    const script = `const { body } = await fetch("http://${address}:4567/chat");
      await body.pipeTo(Deno.stdout.writable);`;
    return hosts.run(running, host, Deno.execPath(), "eval", script);
  };
  await using watcher = new EventReader(new Response(read(hosts.server, "127.0.0.1")));
  await untilOnline(watcher, 1);
  read(hosts.client, Hosts.SERVER_ADDRESS);
  await untilOnline(watcher, 2);

  await hosts.cut();
  await untilOnline(watcher, 1, 20);
});
