/** Attacks by connections that stay: unread, unfinished, or simply too many. */

import { setTimeout as delay } from "node:timers/promises";
import { RawResponse, sendRaw } from "../raw_stream.ts";
import { readStatus } from "./requests.ts";
import { ATTACKER, statuses } from "./floods.ts";
import type { Attack, Outcome } from "./outcome.ts";
import { waitFor } from "./patience.ts";
import { Person } from "./person.ts";
import { askedIn, play, type Scene } from "./scene.ts";
import { Target } from "./target.ts";

/** What one address may have open. */
const MAX_STREAMS = 256;
const MAX_IN_FLIGHT = 64;
/** Those who write it, and as many long messages as each may at once: more than a connection takes. */
const WRITERS = Array.from({ length: 40 }, (_, n) => `127.2.0.${n + 1}`);
const LONG_MESSAGES = 12;
const HISTORIES = 300;
const REPLAYS = 400;
const LONG_TEXT = "👋".repeat(4000);
const BODIES = 300;
/** A body is given up after 15 s, which only the full run waits for. */
const BODY_SECONDS = { full: 16, short: 4 };
/** Until then it must be known who has left. */
const PATIENCE_MS = 5000;
/** How long what is unread is held. */
const HOLD_SECONDS = 3;
/** What is unread takes no more in the server than this; the rest is the kernel's. */
const UNREAD: Pick<Scene, "maxGrowthMb"> = { maxGrowthMb: 60 };

/** Attacks by connections that stay, in the order in which they are played. */
export const HOLDS: readonly Attack[] = [
  {
    name: "300 streams from one address",
    asked: `${MAX_STREAMS} in; EventSources are told to come back, others get 503; ` +
      "room for those that come back and for other addresses",
    play: async (options) => {
      await using target = await Target.start(options);
      return await crowdStreams(target);
    },
  },
  {
    name: `${HISTORIES} histories that nobody reads`,
    asked: `${MAX_IN_FLIGHT} in; ${askedIn(UNREAD)}`,
    play: (options) =>
      play({
        ...UNREAD,
        seconds: HOLD_SECONDS,
        prepare: writeLongMessages,
        attack: (target) =>
          hold(
            target,
            300,
            MAX_IN_FLIGHT,
            () => ["/chat?since=all", { accept: "application/json" }],
          ),
      }, options),
  },
  {
    name: `${REPLAYS} replays that nobody reads, each from another message on`,
    asked: `${MAX_STREAMS} in; ${askedIn(UNREAD)}`,
    play: (options) => {
      const ids: string[] = [];
      return play({
        ...UNREAD,
        seconds: HOLD_SECONDS,
        prepare: async (target) => ids.push(...await writeLongMessages(target)),
        attack: (target) =>
          hold(target, REPLAYS, MAX_STREAMS, (n) => [`/chat?since=${ids[n]}`, {}]),
      }, options);
    },
  },
  {
    name: `${BODIES} bodies that never end`,
    asked: `${MAX_IN_FLIGHT} are waited for, 15 s long; ${askedIn({ maxGrowthMb: 30 })}`,
    play: (options) => {
      const seconds = BODY_SECONDS[options.short ? "short" : "full"];
      const attack = (target: Target) => holdBodies(target, seconds);
      return play({ seconds, maxGrowthMb: 30, attack }, options);
    },
  },
];

/** Fills the room with long messages; returns their ids. */
async function writeLongMessages({ url }: Target): Promise<string[]> {
  const body = JSON.stringify({ message: LONG_TEXT });
  const headers = { "content-type": "application/json" };
  const ids = await Promise.all(WRITERS.map(async (localAddress) => {
    using client = Deno.createHttpClient({ localAddress });
    const ids: string[] = [];
    for (let n = 0; n < LONG_MESSAGES; n++) {
      const response = await fetch(`${url}/chat`, { method: "POST", body, headers, client });
      ids.push((await response.json()).id);
    }
    return ids;
  }));
  return ids.flat();
}

/** Sends requests whose responses nobody reads further than to the status. */
async function hold(
  { port }: Target,
  count: number,
  maxIn: number,
  target: (n: number) => readonly [path: string, headers: Record<string, string>],
): Promise<Outcome> {
  using held = new DisposableStack();
  const counts: Record<string, number> = {};
  for (let n = 0; n < count; n++) {
    const { status } = held.use(await RawResponse.get(port, ...target(n)));
    counts[status] = (counts[status] ?? 0) + 1;
  }
  await delay(HOLD_SECONDS * 1000);
  return { happened: `answered ${statuses(counts)}`, isReached: counts[200] === maxIn };
}

/** Begins posts, half with a length and half in chunks, and never ends them. */
async function holdBodies({ port }: Target, seconds: number): Promise<Outcome> {
  using held = new DisposableStack();
  const start = performance.now();
  const counts: Record<string, number> = { waiting: BODIES };
  let lastMs = 0;
  const readAnswer = async (connection: Deno.TcpConn) => {
    const status = await readStatus(connection);
    counts[status] = (counts[status] ?? 0) + 1;
    counts.waiting--;
    lastMs = performance.now() - start;
  };
  const reading = [];
  for (let n = 0; n < BODIES; n++) {
    const body = n % 2 === 0
      ? "Content-Length: 60000\r\n\r\nm"
      : "Transfer-Encoding: chunked\r\n\r\n1\r\nm\r\n";
    const type = "Content-Type: application/x-www-form-urlencoded\r\n";
    const head = `POST /chat HTTP/1.1\r\nHost: localhost\r\n${type}`;
    reading.push(readAnswer(held.use(await sendRaw(port, head + body))));
  }
  await waitFor(() => counts.waiting === 0, seconds * 1000);
  const isOver = counts.waiting === 0;
  const happened = `answered ${statuses(counts)}${
    isOver ? `, the last after ${(lastMs / 1000).toFixed(1)} s` : ""
  }`;
  held.dispose();
  await Promise.allSettled(reading);
  return {
    happened,
    isReached: (counts[408] ?? counts.waiting) === MAX_IN_FLIGHT &&
      counts[503] === BODIES - MAX_IN_FLIGHT,
  };
}

/** Opens streams as a browser does, as a program does, and again when some have left. */
async function crowdStreams({ url }: Target): Promise<Outcome> {
  using client = Deno.createHttpClient({ localAddress: ATTACKER });
  const hangUp = new AbortController();
  const open = async (accept: string) => {
    const { status, body } = await fetch(`${url}/chat?since=none`, {
      client,
      headers: { accept },
      signal: hangUp.signal,
    });
    const reader = body!.getReader();
    const text = new TextDecoder().decode((await reader.read()).value);
    const kind = status !== 200 ? String(status) : text.includes("retry: 60000") ? "later" : "in";
    return { kind, leave: () => reader.cancel() };
  };
  const browsers = [];
  for (let n = 0; n < 300; n++) browsers.push(await open("text/event-stream"));
  const inside = browsers.filter(({ kind }) => kind === "in");
  const later = browsers.filter(({ kind }) => kind === "later");
  const program = await open("*/*");
  await using _other = await Person.join({ url, address: "127.0.0.3" });
  for (const { leave } of inside.slice(0, 44)) await leave();
  let returned = 0;
  const deadline = performance.now() + PATIENCE_MS;
  while (returned < later.length && performance.now() < deadline) {
    if ((await open("text/event-stream")).kind === "in") returned++;
  }
  hangUp.abort();
  return {
    happened: `${inside.length} in, ${later.length} told to come back, a program got ` +
      `${program.kind}; another address got in; ${returned} came back once 44 had left`,
    isReached: inside.length === MAX_STREAMS && later.length === 300 - MAX_STREAMS &&
      program.kind === "503" && returned === 44,
  };
}
