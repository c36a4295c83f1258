/** How a run goes, whatever is stopped in it: who writes and reads, when the stops come, what is reported. */

import { post, write, writeLongMessages } from "./writer.ts";
import type { Begin, Pace } from "./habits.ts";
import { readHistories } from "./history_reader.ts";
import type { Options } from "./options.ts";
import type { Room } from "./room.ts";
import type { Happening, Run } from "./run.ts";
import { followRoom } from "./stream_reader.ts";
import type { Transcript } from "./transcript.ts";

/** What is particular to a run. */
export interface Plot {
  readonly options: Pick<Options, "readers" | "writers">;
  /** How many long messages there are before anybody reads. */
  readonly longMessages: number;
  /** How many messages are stored between two stops, unless the second comes at once. */
  readonly phase: readonly [min: number, max: number];
  readonly stops: number;
  /** Stops something, and lets it go on. */
  stop(n: number): Promise<void>;
  /** Ends what streams come from, for those that would have no end. */
  giveUp(): Promise<void>;
}

/** What a reader saw of the room that it was in. */
export interface Seen {
  readonly room: Room;
  readonly transcript: Transcript;
}

/** Longest wait for the moment of a stop, and for the end of the run once all is written. */
export const TIMEOUT_MS = 60_000;
/** How many details of a kind of problem are reported, and how much of each. */
const MAX_DETAILS = 3;
const MAX_DETAIL_LENGTH = 300;
const BEGINS: readonly Begin[] = ["all", "none", "latest"];

/** Plays a run to its end; its servers run. Returns what its readers saw. */
export async function play(run: Run, plot: Plot): Promise<Seen[]> {
  const { options, longMessages, phase, stops } = plot;
  const arrivals = Array.from({ length: stops }, () => Promise.withResolvers<void>());
  const actors: Promise<unknown>[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const giveUpAfter = (awaited: string) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const names = [...run.reading].join(", ");
      run.problem("timed out", `waited ${TIMEOUT_MS / 1000} s for ${awaited}; reading: ${names}`);
      run.giveUp();
      plot.giveUp().catch(reportError);
    }, TIMEOUT_MS);
  };
  try {
    for (const instance of run.instances) instance.life = 0;
    giveUpAfter("the long messages");
    await writeLongMessages(run, longMessages);
    const readers = startReaders(run, options.readers, arrivals.map(({ promise }) => promise));
    const writers = Array.from({ length: options.writers }, (_, n) => write(run, `writer${n}`));
    actors.push(...readers, ...writers, ...run.rooms.slice(1).map(takeRecesses));
    // An actor that fails ends the run; its error is thrown where it is awaited.
    Promise.all(actors).catch(() => run.giveUp());

    for (const [n, { resolve }] of arrivals.entries()) {
      giveUpAfter(`the moment of stop ${n + 1}`);
      await moment(run, n, phase);
      if (!run.isGivenUp) await plot.stop(n);
      resolve();
    }
    await moment(run, stops, phase);
    run.finish();
    giveUpAfter("the writers and readers to finish");
    await Promise.all(writers);
    for (const room of run.rooms) {
      room.sent.set(run.lastKey, { nickname: "anonymous", message: run.lastKey });
      await post(room, run.lastKey);
    }
    await Promise.all(actors);
    return await Promise.all(readers);
  } catch (error) {
    run.giveUp();
    for (const { resolve } of arrivals) resolve();
    await plot.giveUp();
    await Promise.allSettled(actors);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Streams and histories, read fast and slowly; half of them come after one stop or another. */
function startReaders(
  run: Run,
  count: number,
  arrivals: readonly Promise<void>[],
): Promise<Seen>[] {
  return Array.from({ length: count }, async (_, n) => {
    const random = run.random(`arrival ${n}`);
    // One reader of each kind in a room, then the next room.
    const room = run.rooms[Math.floor(n / 8) % run.rooms.length];
    if (random.chance(0.5)) await random.pick(arrivals);
    const pace: Pace = n % 4 === 3 ? "crawling" : "fast";
    const name = n % 8 >= 6 ? `history${n}` : `reader${n}`;
    run.reading.add(name);
    const transcript = n % 8 >= 6
      ? await readHistories(room, name, pace)
      : await followRoom(room, name, BEGINS[n % BEGINS.length], pace);
    run.reading.delete(name);
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

/** Waits for the moment of a stop: amid replays, or once much was stored and something happens. */
async function moment(run: Run, n: number, phase: Plot["phase"]): Promise<void> {
  const random = run.random(`moment ${n}`);
  if (random.chance(0.35)) return await run.after(random.int(1, 100), "replay");
  await run.after(random.int(...phase), "response");
  const happening = random.pick<Happening | undefined>(["post", "response", "message", undefined]);
  if (happening) await run.after(random.int(1, 100), happening);
}

/** Counts the logs that one life of a server opened again, from what it printed. */
export function countReopened(run: Run, output: string): void {
  const opened = output.match(/^opened .*$/gm) ?? [];
  run.figures.reopened += opened.length - new Set(opened).size;
}

/** What happened in a run, in one line. */
export function summary(
  run: Run,
  { stops, options }: Pick<Plot, "stops" | "options">,
  seen: readonly Seen[],
  tookMs: number,
): string {
  const { retries, repeats, refused, reconnects, gaps, histories, reopened } = run.figures;
  const deliveries = seen.reduce(
    (sum, { transcript: { parts } }) =>
      sum + parts.reduce((sum, { items }) => sum + items.length, 0),
    0,
  );
  return [
    `chaos: ${stops} stops, ${run.stored} messages of ${options.writers} writers, ` +
    `${run.rooms.length} rooms that reopened ${reopened} times`,
    `${retries} posts sent again, ${repeats} of them stored already, ${refused} refused`,
    `${seen.length} readers verified: ${deliveries} deliveries, ${reconnects} reconnects, ` +
    `${histories} histories, ${gaps} gaps`,
    `${(tookMs / 1000).toFixed(1)} s, ${run.problems.size} kinds of problems`,
  ].join("; ");
}

/** The problems of a run, a line for each kind. */
export function report({ problems }: Run): string[] {
  return Array.from(problems, ([kind, details]) => {
    const shown = details.slice(0, MAX_DETAILS).map((text) => text.slice(0, MAX_DETAIL_LENGTH));
    return `${details.length} × ${kind}: ${shown.join("; ")}`;
  });
}
