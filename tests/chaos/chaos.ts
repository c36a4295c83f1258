/**
 * The real program under writers that retry and readers that resume, while it is
 * stopped and started again: nothing may be lost, repeated or out of order, and
 * what cannot be continued must be said. All this in several rooms, which close
 * when all have left, and open for whoever comes; each is judged by its own log.
 *
 * `deno task chaos --seed 7` repeats the decisions of a run: who writes what, who
 * hangs up when, what each stop waits for. What exactly it interrupts is chance.
 */

import { assertEquals } from "@std/assert";
import { parseArgs } from "node:util";
import { setTimeout as delay } from "node:timers/promises";
import { readHistory } from "../chat_client.ts";
import { newFolder } from "../folder.ts";
import { HalfPost } from "../half_post.ts";
import type { Begin, Pace } from "./habits.ts";
import { readHistories } from "./history_reader.ts";
import { MODERATOR_PASSWORD, Removals } from "./removals.ts";
import type { Room } from "./room.ts";
import { type Happening, Run, type RunOptions } from "./run.ts";
import { Server } from "./server.ts";
import { followRoom } from "./stream_reader.ts";
import type { Transcript } from "./transcript.ts";
import { judge } from "./verdict.ts";
import { post, write, writeLongMessages } from "./writer.ts";

/** What is done while the server is stopped. */
type Task = "restart" | "copy" | "restore";

/** A run: what the server keeps, and what is done at each stop. */
interface Scenario extends Pick<RunOptions, "name" | "keep" | "remembersKeys"> {
  readonly tasks: readonly Task[];
  /** How many long messages there are before anybody reads. */
  readonly longMessages: number;
  /** How many messages are stored between two stops, unless the second comes at once. */
  readonly phase: readonly [min: number, max: number];
}

/** Longest wait for the moment of a stop, and for the end of the run once all is written. */
const TIMEOUT_MS = 60_000;
/** How many details of a kind of problem are reported, and how much of each. */
const MAX_DETAILS = 3;
const MAX_DETAIL_LENGTH = 300;
const SIGNALS: readonly Deno.Signal[] = ["SIGKILL", "SIGTERM", "SIGHUP"];
const BEGINS: readonly Begin[] = ["all", "none", "latest"];
/** More than any run writes. */
const EVERYTHING = 1_000_000;

const options = readOptions();

const SCENARIOS: readonly Scenario[] = [
  {
    name:
      `nothing is lost, repeated or reordered while the server is stopped ${options.stops} times`,
    keep: EVERYTHING,
    remembersKeys: true,
    tasks: new Array(options.stops).fill("restart"),
    longMessages: 600,
    phase: [150, 700],
  },
  {
    name: "readers that fall behind what is kept learn exactly how much they missed",
    keep: 250,
    remembersKeys: false,
    tasks: ["restart", "restart", "restart"],
    longMessages: 400,
    phase: [400, 1000],
  },
  {
    name: "after an older copy is restored, readers that had seen more get a gap",
    keep: EVERYTHING,
    remembersKeys: false,
    tasks: ["copy", "restart", "restore", "restart"],
    longMessages: 0,
    phase: [150, 400],
  },
  {
    name: "after an older copy is restored, lost ids are unknown even if they would be trimmed",
    // Posts in flight at a stop must not outnumber it, or their keys are forgotten.
    keep: 250,
    remembersKeys: false,
    tasks: ["copy", "restore", "restart", "restart"],
    longMessages: 0,
    phase: [200, 700],
  },
];

for (const scenario of SCENARIOS) {
  Deno.test(scenario.name, async () => {
    console.log(`chaos: --seed ${options.seed}`);
    const run = new Run({ ...scenario, seed: options.seed, port: freePort() });
    const began = performance.now();
    const transcripts = await play(run, scenario);
    console.log(summary(run, scenario, transcripts, performance.now() - began));
    assertEquals(report(run), []);
  });
}

Deno.test("what was removed comes back nowhere, though the server is killed while it removes", async () => {
  console.log(`chaos: --seed ${options.seed}`);
  const run = new Run({
    name: "removals",
    seed: options.seed,
    port: freePort(),
    keep: EVERYTHING,
    remembersKeys: true,
  });
  await using folder = await newFolder();
  const flag = `--moderator-password=${MODERATOR_PASSWORD}`;
  await using server = await Server.start(run.port, run.keep, folder.path, flag);
  const removals = new Removals(run);
  const timer = setTimeout(() => {
    run.problem("timed out", "");
    run.giveUp();
  }, TIMEOUT_MS);
  try {
    await removals.write(200);
    const actors = [
      ...Array.from({ length: 3 }, () => removals.moderate()),
      ...Array.from({ length: 4 }, (_, n) => removals.read(`reader${n}`)),
    ];
    Promise.all(actors).catch(() => run.giveUp());
    for (let n = 0; n < options.stops; n++) {
      const random = run.random(`stop ${n}`);
      await run.after(random.int(1, 15), "response");
      await delay(random.int(0, 10));
      await server.stop(n % 3 === 2 ? "SIGTERM" : "SIGKILL");
      await server.restart();
    }
    run.finish();
    await Promise.all(actors);
    await server.stop("SIGKILL");
    await server.restart();
    await removals.judge(server);
  } finally {
    clearTimeout(timer);
    run.giveUp();
  }
  console.log(`chaos: ${options.stops} stops, ${removals.count} messages removed`);
  assertEquals(report(run), []);
});

/** What a reader saw of the room that it was in. */
interface Seen {
  readonly room: Room;
  readonly transcript: Transcript;
}

/** Plays a scenario to its end, and checks all that was seen of it. */
async function play(run: Run, { tasks, longMessages, phase }: Scenario): Promise<Transcript[]> {
  await using folder = await newFolder();
  const arrivals = tasks.map(() => Promise.withResolvers<void>());
  const actors: Promise<unknown>[] = [];
  const server = await Server.start(run.port, run.keep, folder.path);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const giveUpAfter = (awaited: string) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      run.problem("timed out", `waited ${TIMEOUT_MS / 1000} s for ${awaited}`);
      run.giveUp();
      // Streams without an end would be waited for.
      server[Symbol.asyncDispose]().catch(reportError);
    }, TIMEOUT_MS);
  };
  try {
    run.life = 0;
    giveUpAfter("the long messages");
    await writeLongMessages(run, longMessages);
    const readers = startReaders(run, arrivals.map(({ promise }) => promise));
    const writers = Array.from({ length: options.writers }, (_, n) => write(run, `writer${n}`));
    actors.push(...readers, ...writers, ...run.rooms.slice(1).map(takeRecesses));
    // An actor that fails ends the run; its error is thrown where it is awaited.
    Promise.all(actors).catch(() => run.giveUp());

    for (const [n, task] of tasks.entries()) {
      giveUpAfter(`the moment of stop ${n + 1}`);
      await moment(run, n, phase);
      if (!run.isGivenUp) await stop(run, server, n, task);
      arrivals[n].resolve();
    }
    await moment(run, tasks.length, phase);
    run.finish();
    giveUpAfter("the writers and readers to finish");
    await Promise.all(writers);
    for (const room of run.rooms) {
      room.sent.set(run.lastKey, { nickname: "anonymous", message: run.lastKey });
      await post(room, run.lastKey);
    }
    const seen = await Promise.all(readers);
    countReopened(run, server.output);
    if (!run.isGivenUp) await judgeAll(run, seen);
    return seen.map(({ transcript }) => transcript);
  } finally {
    clearTimeout(timer);
    run.giveUp();
    for (const { resolve } of arrivals) resolve();
    await server[Symbol.asyncDispose]();
    await Promise.allSettled(actors);
  }
}

/** Judges each room by its own log. */
async function judgeAll(run: Run, seen: readonly Seen[]): Promise<void> {
  for (const room of run.rooms) {
    const transcripts = seen.filter((reader) => reader.room === room)
      .map(({ transcript }) => transcript);
    judge(room, await readHistory(room.url), transcripts);
  }
  if (run.figures.reopened === 0) run.problem("no room closed while the server was running", "");
}

/** Streams and histories, read fast and slowly; half of them come after one stop or another. */
function startReaders(run: Run, arrivals: readonly Promise<void>[]): Promise<Seen>[] {
  return Array.from({ length: options.readers }, async (_, n) => {
    const random = run.random(`arrival ${n}`);
    // One reader of each kind in a room, then the next room.
    const room = run.rooms[Math.floor(n / 8) % run.rooms.length];
    if (random.chance(0.5)) await random.pick(arrivals);
    const pace: Pace = n % 4 === 3 ? "crawling" : "fast";
    const transcript = n % 8 >= 6
      ? await readHistories(room, `history${n}`, pace)
      : await followRoom(room, `reader${n}`, BEGINS[n % BEGINS.length], pace);
    return { room, transcript };
  });
}

/** Now and then has all readers leave a room until it has closed, while it is written to. */
async function takeRecesses(room: Room): Promise<void> {
  const { run } = room;
  const random = run.random(`recesses of ${room.name}`);
  while (!run.isFinishing) {
    await run.after(random.int(50, 200), "response");
    if (run.isFinishing) return;
    room.beginRecess();
    await run.after(random.int(50, 150), "response");
    room.endRecess();
  }
}

/** Counts the logs that one life of the server opened again, from what it printed. */
function countReopened(run: Run, output: string): void {
  const opened = output.match(/^opened .*$/gm) ?? [];
  run.figures.reopened += opened.length - new Set(opened).size;
}

/** Waits for the moment of a stop: amid replays, or once much was stored and something happens. */
async function moment(run: Run, n: number, phase: Scenario["phase"]): Promise<void> {
  const random = run.random(`moment ${n}`);
  if (random.chance(0.35)) return await run.after(random.int(1, 100), "replay");
  await run.after(random.int(...phase), "response");
  const happening = random.pick<Happening | undefined>(["post", "response", "message", undefined]);
  if (happening) await run.after(random.int(1, 100), happening);
}

/** Stops the server, does what is to be done meanwhile, and starts it again. */
async function stop(run: Run, server: Server, n: number, task: Task): Promise<void> {
  const random = run.random(`stop ${n}`);
  const signal = run.random("signals").shuffle(SIGNALS)[n % SIGNALS.length];
  // What a copy holds is known only if nothing is in flight.
  if (task !== "restart") await run.pauseWriters();
  using stalled = random.chance(0.5) ? await HalfPost.begin(run.port, "never") : undefined;
  run.life = undefined;
  run.signal = signal;
  const { code, output } = await server.stop(signal);
  if (signal !== "SIGKILL") {
    const doing = stalled ? "with a stalled post" : "with no stalled post";
    if (code !== 0) run.problem(`${signal} ended the server with ${code}, not 0`, doing);
    if (!await server.isLogClosed()) run.problem(`${signal} left the log open`, doing);
  }
  countReopened(run, output);
  const error = output.indexOf("Cannot");
  if (error >= 0) run.problem("the server printed an error", output.slice(error));
  if (task === "copy") {
    for (const room of run.rooms) room.copyLog();
    await server.copyFile();
  } else if (task === "restore") {
    for (const room of run.rooms) room.restoreLog();
    await server.restoreCopy();
  }
  if (random.chance(0.3)) await delay(random.int(0, 400));
  await server.restart();
  run.life = n + 1;
  run.resumeWriters();
}

/** One line about a run. */
function summary(run: Run, { tasks }: Scenario, transcripts: Transcript[], tookMs: number): string {
  const { retries, repeats, reconnects, gaps, histories, reopened } = run.figures;
  const deliveries = transcripts.reduce(
    (sum, { parts }) => sum + parts.reduce((sum, { items }) => sum + items.length, 0),
    0,
  );
  return [
    `chaos: ${tasks.length} stops, ${run.stored} messages of ${options.writers} writers, ` +
    `${run.rooms.length} rooms that reopened ${reopened} times`,
    `${retries} posts sent again, ${repeats} of them stored already`,
    `${transcripts.length} readers verified: ${deliveries} deliveries, ${reconnects} reconnects, ` +
    `${histories} histories, ${gaps} gaps`,
    `${(tookMs / 1000).toFixed(1)} s, ${run.problems.size} kinds of problems`,
  ].join("; ");
}

/** The problems of a run, a line for each kind. */
function report({ problems }: Run): string[] {
  return Array.from(problems, ([kind, details]) => {
    const shown = details.slice(0, MAX_DETAILS).map((text) => text.slice(0, MAX_DETAIL_LENGTH));
    return `${details.length} × ${kind}: ${shown.join("; ")}`;
  });
}

function readOptions() {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      seed: { type: "string", default: `${Math.floor(Math.random() * 1e9)}` },
      stops: { type: "string", default: "9" },
      readers: { type: "string", default: "40" },
      writers: { type: "string", default: "4" },
    },
  });
  const number = (name: keyof typeof values) => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value > 0) return value;
    throw new RangeError(`--${name} must be a whole number from 1, received "${values[name]}"`);
  };
  return {
    seed: number("seed"),
    stops: number("stops"),
    readers: number("readers"),
    writers: number("writers"),
  };
}

/**
 * A free port that stays ours while the server is down: the system gives clients
 * those from 32768 on, and a client that is given the port it connects to is
 * connected to itself.
 */
function freePort(): number {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
