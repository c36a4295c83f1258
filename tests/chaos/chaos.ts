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
import { setTimeout as delay } from "node:timers/promises";
import { readHistory } from "../chat_client.ts";
import { newFolder } from "../folder.ts";
import { freePort } from "../free_port.ts";
import { HalfPost } from "../half_post.ts";
import { readOptions } from "./options.ts";
import { countReopened, play, type Plot, report, type Seen, summary, TIMEOUT_MS } from "./play.ts";
import { MODERATOR_PASSWORD, Removals } from "./removals.ts";
import { Run, type RunOptions } from "./run.ts";
import { Server } from "./server.ts";
import { judge } from "./verdict.ts";

/** What is done while the server is stopped. */
type Task = "restart" | "copy" | "restore";

/** A run: what the server keeps, and what is done at each stop. */
interface Scenario
  extends
    Pick<RunOptions, "name" | "keep" | "remembersKeys">,
    Pick<Plot, "longMessages" | "phase"> {
  readonly tasks: readonly Task[];
}

const SIGNALS: readonly Deno.Signal[] = ["SIGKILL", "SIGTERM", "SIGHUP"];
/** More than any run writes. */
const EVERYTHING = 1_000_000;

const options = readOptions(Deno.args);

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

for (const seed of options.seeds) {
  for (const scenario of SCENARIOS) {
    Deno.test(scenario.name, async () => {
      console.log(`chaos: --seed ${seed}`);
      const run = new Run({ ...scenario, seed, ports: [freePort()] });
      console.log(await playScenario(run, scenario));
      assertEquals(report(run), []);
    });
  }
  Deno.test(
    "what was removed comes back nowhere, though the server is killed while it removes",
    () => playRemovals(seed),
  );
}

async function playRemovals(seed: number): Promise<void> {
  console.log(`chaos: --seed ${seed}`);
  const ports = [freePort()];
  const run = new Run({ name: "removals", seed, ports, keep: EVERYTHING, remembersKeys: true });
  await using folder = await newFolder();
  const flag = `--moderator-password=${MODERATOR_PASSWORD}`;
  const file = `sqlite:${folder.path}/chat.db`;
  await using server = await Server.start(ports[0], run.keep, file, flag);
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
}

/** Plays a scenario to its end, and checks all that was seen of it; returns what to print of it. */
async function playScenario(run: Run, { tasks, longMessages, phase }: Scenario): Promise<string> {
  const began = performance.now();
  await using folder = await newFolder();
  const [{ port }] = run.instances;
  await using server = await Server.start(port, run.keep, `sqlite:${folder.path}/chat.db`);
  const plot = {
    options,
    longMessages,
    phase,
    stops: tasks.length,
    stop: (n: number) => stop(run, server, n, tasks[n]),
    giveUp: () => server[Symbol.asyncDispose](),
  };
  const seen = await play(run, plot);
  countReopened(run, server.output);
  if (!run.isGivenUp) await judgeAll(run, seen);
  return summary(run, plot, seen, performance.now() - began);
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

/** Stops the server, does what is to be done meanwhile, and starts it again. */
async function stop(run: Run, server: Server, n: number, task: Task): Promise<void> {
  const random = run.random(`stop ${n}`);
  const signal = run.random("signals").shuffle(SIGNALS)[n % SIGNALS.length];
  // What a copy holds is known only if nothing is in flight.
  if (task !== "restart") await run.pauseWriters();
  const [instance] = run.instances;
  using stalled = random.chance(0.5) ? await HalfPost.begin(instance.port, "never") : undefined;
  instance.life = undefined;
  instance.signal = signal;
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
  instance.life = n + 1;
  run.resumeWriters();
}
