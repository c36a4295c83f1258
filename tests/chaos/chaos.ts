/**
 * The real program under writers that retry and readers that resume, while it
 * is killed and started again: nothing may be lost, doubled or out of order.
 *
 * `deno task chaos --seed 7` repeats the decisions of a run: who writes what,
 * who hangs up when, what each kill waits for. What the kills hit stays chance.
 */

import { assertEquals } from "@std/assert";
import { parseArgs } from "node:util";
import type { ChatMessage } from "../../chat_message.ts";
import { ChatProcess } from "../chat_process.ts";
import { type Begin, read } from "./reader.ts";
import { delay, type Happening, isBroken, Room } from "./room.ts";
import { findInLog, findInTranscript } from "./verdict.ts";
import { post, write } from "./writer.ts";

/** Longest wait for a kill's moment, and for the readers to get to the end when all is written. */
const PATIENCE_MS = 30_000;
/** Longest wait for the whole log. */
const HISTORY_MS = 10_000;
/** So many problems are printed, and so many characters of each. */
const MAX_PROBLEMS = 20;
const MAX_LENGTH = 300;
const BEGINS: readonly Begin[] = ["all", "none", "latest"];

const options = readOptions();

Deno.test(`nothing is lost, doubled or reordered while the server is killed ${options.kills} times`, async () => {
  const began = performance.now();
  console.log(`chaos: --seed ${options.seed}`);
  const folder = await Deno.makeTempDir();
  await using _removed = {
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
  const port = freePort();
  const flags = ["--port", `${port}`, "--keep", "1000000"];
  const start = () => ChatProcess.start([...flags, "--message-log", `sqlite:${folder}/chat.db`]);
  const room = new Room(`http://127.0.0.1:${port}/chat`, options.seed);

  let chat = await start();
  /** Kills the server once, at its moment, and starts it again. */
  async function kill(n: number): Promise<void> {
    const random = room.random(`kill ${n}`);
    await moment(room, n);
    const { output } = await chat.stop("SIGKILL");
    if (output.includes("Cannot")) room.problem(`the server said: ${output}`);
    if (random.chance(0.3)) await delay(random.int(0, 400));
    chat = await start();
  }

  const restarts = Array.from({ length: options.kills }, () => Promise.withResolvers<void>());
  const readers = Array.from({ length: options.readers }, async (_, n) => {
    const random = room.random(`arrival ${n}`);
    // Half are there from the start; the others come after one restart or another.
    if (random.chance(0.5)) await random.pick(restarts).promise;
    return read(room, `reader${n}`, BEGINS[n % BEGINS.length]);
  });
  const writers = Array.from({ length: options.writers }, (_, n) => write(room, `writer${n}`));

  // One that fails ends the run; what it failed at is thrown where it is awaited.
  Promise.all([...writers, ...readers]).catch(() => room.giveUp());

  let timer: ReturnType<typeof setTimeout> | undefined;
  const giveUpAfter = (wanted: string) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      room.problem(`waited ${PATIENCE_MS / 1000} s in vain for ${wanted}`);
      room.giveUp();
    }, PATIENCE_MS);
  };
  let log: ChatMessage[] = [];
  try {
    for (const [n, { resolve }] of restarts.entries()) {
      giveUpAfter(`the moment of kill ${n + 1}`);
      if (!room.signal.aborted) await kill(n);
      resolve();
    }
    room.over = true;
    giveUpAfter("the writers and readers to come to their end");
    await Promise.all(writers);
    room.sent.set(room.lastKey, { nickname: "anonymous", message: room.lastKey });
    await post(room, room.lastKey);
    await Promise.all(readers);
    log = await history(room);
  } finally {
    clearTimeout(timer);
    room.giveUp();
    for (const { resolve } of restarts) resolve();
    await Promise.allSettled([...writers, ...readers]);
    await chat[Symbol.asyncDispose]();
  }

  const transcripts = await Promise.all(readers);
  const wrong = [
    ...room.problems,
    ...findInLog(room, log),
    ...transcripts.flatMap((transcript) => findInTranscript(transcript, log)),
  ];
  const { retries, repeats, reconnects } = room.figures;
  const deliveries = transcripts.reduce((sum, { ids }) => sum + ids.length, 0);
  console.log(
    [
      `chaos: ${options.kills} kills, ${log.length} messages of ${options.writers} writers`,
      `${retries} posts sent again, ${repeats} answered 200`,
      `${transcripts.length} readers verified, ${deliveries} deliveries, ${reconnects} reconnects`,
      `${((performance.now() - began) / 1000).toFixed(1)} s, ${wrong.length} problems`,
    ].join("; "),
  );
  assertEquals(wrong.slice(0, MAX_PROBLEMS).map((text) => text.slice(0, MAX_LENGTH)), []);
});

/** The whole log, read as JSON. */
async function history(room: Room): Promise<ChatMessage[]> {
  const headers = { accept: "application/json" };
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), HISTORY_MS);
  try {
    const response = await fetch(`${room.url}?since=all`, { headers, signal: late.signal });
    return await response.json();
  } catch (error) {
    if (!isBroken(error)) throw error;
    room.problem(`the log could not be read in ${HISTORY_MS / 1000} s`);
    return [];
  } finally {
    clearTimeout(timer);
  }
}

/** What a kill waits for: some time, or the very moment in which something happens. */
async function moment(room: Room, n: number): Promise<void> {
  const random = room.random(`moment ${n}`);
  const happening = random.pick<Happening | undefined>(["post", "answer", "message", undefined]);
  // Some come while the readers of the last kill still return.
  await delay(random.chance(0.2) ? random.int(0, 100) : random.int(800, 4000));
  if (happening) await room.after(random.int(1, 100), happening);
}

function readOptions() {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      seed: { type: "string", default: `${Math.floor(Math.random() * 1e9)}` },
      kills: { type: "string", default: "10" },
      readers: { type: "string", default: "50" },
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
    kills: number("kills"),
    readers: number("readers"),
    writers: number("writers"),
  };
}

/**
 * A free port that stays ours while the server is down: the system gives
 * clients those from 32768 on, and a client that gets the port it connects to
 * is connected to itself.
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
