/**
 * The log of a room in Redis, as an instance has it: what waits to be written, which entries its readers
 * have been given, and what it knows of the room's state. The order of things is Redis' own.
 */

import { clearTimeout, setTimeout } from "node:timers";
import { compareIds, parseId, type Post } from "../../chat_message.ts";
import { Listeners } from "../listeners.ts";
import {
  type Appended,
  type Batch,
  type LogPage,
  type MessageLog,
  type Range,
  type ReadersElsewhere,
  type Refuse,
  type Removal,
  type RoomState,
  StoreAwayError,
  toUnfinished,
} from "../message_log.ts";
import { parseState, stateJson, USUAL, withoutEnded } from "../room_state.ts";
import { ignoreUnavailable, type RedisConnection, RedisError } from "./connection.ts";
import { isClear, seqOf, toEntries } from "./entries.ts";
import { type Job, PostJob, type Turn, UpdateJob } from "./jobs.ts";
import { KEYS, type RoomKeys, roomKeys } from "./keys.ts";
import type { RedisLink } from "./link.ts";
import { SCRIPTS } from "./scripts.ts";
import type { Followed, RawEntry, RedisTail } from "./tail.ts";

/** No more jobs than this are one script: others have their turn in between. */
const MAX_JOBS = 256;
/** A step that removes all of a mark looks at this many entries. */
const STEP = 250;
/** An entry that has not come after this time may have been lost. */
const EMITTED_MS = 1000;
/** Closing waits no longer for what is being written. */
const CLOSE_MS = 100;

/** What all logs work with. */
export interface LogParts {
  readonly link: RedisLink;
  readonly tail: RedisTail;
  readonly keep: number;
  readonly maxRooms: number;
  readonly now: () => number;
  /** The same if it is not Redis' own: a test's. */
  readonly givenNow?: () => number;
  /** Has Redis' own files forget what is not there any more. */
  rewriteSoon(): void;
}

/** What Redis has of a room: see announce.lua. */
type Announced = readonly [
  born: string,
  last: string,
  version: string,
  state: string,
  erase: number,
  found: string,
];

/** A {@linkcode MessageLog} in Redis. */
export class RedisLog implements MessageLog, Followed {
  readonly room: string;
  readonly elsewhere: ReadersElsewhere;
  readonly #parts: LogParts;
  readonly #keys: RoomKeys;
  readonly #onClose: () => void;
  readonly #listeners = new Listeners<Batch>();
  readonly #following: Disposable;
  readonly #writing = new Set<Promise<void>>();
  /** Who waits until an entry has been emitted. */
  #waiting: { readonly id: string; resolve(): void }[] = [];
  #jobs: Job[] = [];
  readonly #born: string;
  /** The last id that was emitted; the latest time and the highest number of all ids. */
  #emitted: string;
  #known: string;
  #version: string;
  #state: RoomState;
  /** The oldest entry when it was last looked for what is too old. */
  #first = "";
  #isClosed = false;

  private constructor(
    room: string,
    parts: LogParts,
    announced: Announced,
    { elsewhere, onClose }: { readonly elsewhere: ReadersElsewhere; onClose(): void },
  ) {
    this.room = room;
    this.elsewhere = elsewhere;
    this.#parts = parts;
    this.#keys = roomKeys(room);
    this.#onClose = onClose;
    const [born, last, version, state] = announced;
    this.#born = born;
    this.#emitted = this.#known = last;
    this.#version = version;
    this.#state = parseState(state || null);
    this.#following = parts.tail.follow(this);
  }

  /**
   * Opens a room's log.
   *
   * @param born Where the room begins if it is not there yet.
   * @throws {StoreAwayError} If Redis can't be reached.
   */
  static async open(
    room: string,
    born: number,
    parts: LogParts,
    options: { readonly elsewhere: ReadersElsewhere; onClose(): void },
  ): Promise<RedisLog> {
    const announced = await announce(parts.link, roomKeys(room), [`${born}`, "", ""]);
    const opened = new RedisLog(room, parts, announced, options);
    // An instance may have ended before it was done.
    if (announced[4] === 1) opened.#eraseLater();
    return opened;
  }

  append(post: Post, refuse?: Refuse): Promise<Appended> {
    return this.#enqueue((resolve, reject) => new PostJob(post, refuse, resolve, reject));
  }

  async read(range: Range): Promise<LogPage> {
    this.#checkOpen();
    const page = await this.#read(range);
    if ("before" in range || seqOf(page.end) >= seqOf(this.#emitted)) return page;
    // Redis has lost what was there, and nobody has noticed.
    await this.resume(this.#parts.link);
    return await this.#read(range);
  }

  async #read(range: Range): Promise<LogPage> {
    const { log, removed, room } = this.#keys;
    const args = "before" in range
      ? ["before", idOr(range.before, "0-0"), `${range.count}`]
      : "latest" in range
      ? ["latest", `${range.latest}`]
      : ["since", range.since === undefined ? "" : idOr(range.since, "0-0")];
    const reply = await this.#parts.link.run(
      SCRIPTS.read,
      [log, removed, room],
      [this.#born, ...args],
    ) as [missed: number, cursor: string, end: string, hasOlder: number, ...RawEntry[]];
    const [missed, cursor, end, hasOlder, ...entries] = reply;
    return {
      entries: toEntries(entries),
      missed: missed < 0 ? null : missed,
      cursor,
      end,
      hasOlder: hasOlder === 1,
    };
  }

  async remove(what: Removal): Promise<number> {
    let count = 0;
    try {
      if (what === "all") count = await this.#enqueueRemoval(["clear"]) as number;
      else if ("id" in what) {
        if (parseId(what.id)) count = await this.#enqueueRemoval(["remove", what.id]) as number;
      } else {
        const last = this.#known;
        let lookedAt = "";
        do {
          const job = ["remove-by", what.by, `${STEP}`, last, lookedAt];
          const [removed, next] = await this.#enqueueRemoval(job) as [number, string];
          count += removed;
          lookedAt = next;
        } while (lookedAt !== "");
      }
      if (count > 0) await this.#erase();
    } catch (error) {
      throw count === 0 ? error : toUnfinished(error);
    }
    return count;
  }

  async delete(): Promise<number> {
    const count = await this.#enqueue<unknown>((settle, fail) => ({
      maxEntries: 1,
      encode(turn) {
        turn.state = USUAL;
        return ["delete"];
      },
      settle,
      fail,
    })) as number;
    try {
      await this.#erase();
    } catch (error) {
      throw toUnfinished(error);
    }
    return count;
  }

  get state(): RoomState {
    return withoutEnded(this.#state, this.#parts.now());
  }

  update(change: (state: RoomState) => RoomState): Promise<RoomState> {
    return this.#enqueue((resolve, reject) => new UpdateJob(change, resolve, reject));
  }

  async addressOf(by: string): Promise<string | undefined> {
    this.#checkOpen();
    const last = await this.#parts.link.send(["HGET", this.#keys.marks, by]) as string | null;
    return last?.slice(last.indexOf(" ") + 1);
  }

  subscribe(onBatch: (batch: Batch) => void): Disposable {
    return this.#listeners.add(onBatch);
  }

  /** Gives up the messages of before a time, unless another instance has done so. */
  async expire(minMs: number): Promise<void> {
    const first = await expire(this.#parts.link, this.room, minMs);
    if (first !== this.#first) this.#emit({ entries: [], missed: 0 });
    this.#first = first;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#listeners.clear();
    this.#flush();
    this.#isClosed = true;
    let timer;
    const late = new Promise((resolve) => timer = setTimeout(resolve, CLOSE_MS));
    await Promise.race([Promise.all(this.#writing), late]);
    clearTimeout(timer);
    this.#following[Symbol.dispose]();
    this.pause();
    this.#onClose();
  }

  get key(): string {
    return this.#keys.log;
  }

  get cursor(): string {
    return this.#emitted;
  }

  /** Tells Redis what is known here, and subscribers if Redis has lost some of it. */
  async resume(connection: Pick<RedisConnection, "run">): Promise<void> {
    const emitted = this.#emitted;
    const [, last, , , , found] = await this.#announce(connection, emitted);
    if (found === "here") return;
    // What others have written may have earlier times: nothing would come after the id that is not known.
    if (found === "unknown" && emitted === this.#emitted) this.#emitted = last;
    this.#know(last);
    this.#emit({ entries: [], missed: null });
  }

  /** Tells Redis what is known here; learns the room's state. */
  async announce(connection: Pick<RedisConnection, "run">): Promise<void> {
    await this.#announce(connection, "");
  }

  take(raw: readonly RawEntry[]): void | Promise<void> {
    const next = raw.filter(([id]) => compareIds(id, this.#emitted) > 0);
    if (next.length === 0) return;
    let seq = seqOf(this.#emitted);
    for (const entry of next) {
      const at = seqOf(entry[0]);
      if (at !== seq + 1) return this.#takeAfterGap(next);
      seq = at;
    }
    this.#emit({ entries: toEntries(next), missed: 0 });
  }

  /** Nobody knows when entries will come again. */
  pause(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { resolve } of waiting) resolve();
  }

  /** Learns the room's state, which another instance has changed. */
  async learnState(): Promise<void> {
    const [version, state] = await this.#parts.link.send(
      ["HMGET", this.#keys.room, "version", "state"],
    ) as (string | null)[];
    this.#learn(version ?? "0", state ?? "");
  }

  async #announce(connection: Pick<RedisConnection, "run">, emitted: string): Promise<Announced> {
    const announced = await announce(connection, this.#keys, [this.#born, this.#known, emitted]);
    this.#learn(announced[2], announced[3]);
    // It was interrupted.
    if (announced[4] === 1) this.#eraseLater();
    return announced;
  }

  #learn(version: string, state: string): void {
    this.#version = version;
    this.#state = parseState(state || null);
  }

  /** Numbers are missing, but for those whose messages have been removed. */
  async #takeAfterGap(raw: readonly RawEntry[]): Promise<void> {
    let missed: number | null = 0;
    let seq = seqOf(this.#emitted);
    for (const [id, fields] of raw) {
      const at = seqOf(id);
      if (at <= seq) missed = null;
      else if (at > seq + 1 && !isClear(fields) && missed !== null) {
        const removed = await this.#parts.link.send(
          ["ZCOUNT", this.#keys.removed, `(${seq}`, `(${at}`],
        ) as number;
        missed += at - seq - 1 - removed;
      }
      seq = at;
    }
    const next = raw.filter(([id]) => compareIds(id, this.#emitted) > 0);
    if (next.length > 0) this.#emit({ entries: toEntries(next), missed });
  }

  #enqueue<Result>(
    newJob: (resolve: (result: Result) => void, reject: (error: unknown) => void) => Job,
  ): Promise<Result> {
    if (this.#isClosed) {
      return Promise.reject(new StoreAwayError("The message log is closed"));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    if (this.#jobs.push(newJob(resolve, reject)) === 1) setImmediate(() => this.#flush());
    return promise;
  }

  #enqueueRemoval(args: readonly string[]): Promise<unknown> {
    return this.#enqueue((resolve, fail) => ({
      maxEntries: args[0] === "remove-by" ? STEP : 1,
      encode: () => args,
      settle: resolve,
      fail,
    }));
  }

  #flush(): void {
    const jobs = this.#jobs;
    this.#jobs = [];
    for (let from = 0; from < jobs.length; from += MAX_JOBS) {
      const writing = this.#write(jobs.slice(from, from + MAX_JOBS))
        .finally(() => this.#writing.delete(writing));
      this.#writing.add(writing);
    }
  }

  async #write(jobs: readonly Job[]): Promise<void> {
    try {
      const { last, results } = await this.#run(jobs);
      const entries = results.flatMap((result) => isNew(result) ? result.entry : []);
      // What nothing else has come between need not be waited for.
      const isNext = entries.at(-1)?.id === last &&
        seqOf(last) - entries.length === seqOf(this.#emitted);
      if (isNext) this.#emit({ entries, missed: 0 });
      // Once an author or a moderator hears of it, so has everybody here.
      if (last !== "") await this.#untilEmitted(last);
      for (const [index, job] of jobs.entries()) job.settle(results[index]);
    } catch (error) {
      // Redis is full: what needs no room is done all the same.
      const isFull = error instanceof RedisError && error.message.startsWith("OOM");
      const others = isFull ? jobs.filter((job) => !(job instanceof PostJob)) : [];
      for (const job of jobs) if (!others.includes(job)) job.fail(error);
      if (others.length > 0 && others.length < jobs.length) await this.#write(others);
      else for (const job of others) job.fail(error);
    }
  }

  /** Runs the script for some jobs, again where the room's state is another than was thought. */
  async #run(jobs: readonly Job[]): Promise<{ last: string; results: unknown[] }> {
    const { link, keep, maxRooms, now, givenNow } = this.#parts;
    const { log, keys, marks, removed, cleared, copy, room } = this.#keys;
    while (true) {
      const version = this.#version;
      const turn: Turn = { now: now(), state: this.#state };
      const encoded = jobs.map((job) => job.encode(turn));
      const state = turn.state === this.#state ? "" : stateJson(turn.state) ?? "usual";
      const reply = await link.run(
        jobs.some((job) => job instanceof PostJob) ? SCRIPTS.write : SCRIPTS.moderate,
        [
          ...[log, keys, marks, removed, cleared, copy, room],
          ...[KEYS.rooms, KEYS.changes, KEYS.chat],
        ],
        [
          ...[`${keep}`, this.#known, this.#born, `${link.deadline}`],
          ...[givenNow ? `${givenNow()}` : "", this.room, `${maxRooms}`, version, state],
          `${jobs.reduce((sum, { maxEntries }) => sum + maxEntries, 0)}`,
          ...encoded.flat(),
        ],
      ) as unknown[];
      if (reply[1] === "late") throw new StoreAwayError("Redis was too late");
      if (reply[1] === "stale") {
        this.#learn(reply[2] as string, reply[3] as string);
        continue;
      }
      // Another instance may have changed it again, and that be known here already.
      if (state !== "" && this.#version === version) {
        this.#learn(`${Number(version) + 1}`, state === "usual" ? "" : state);
      }
      const last = reply[1] as string;
      if (last !== "") this.#know(last);
      let index = 2;
      const results = encoded.map((args, at) => {
        if (args.length === 0) return undefined;
        const result = reply[index++];
        return jobs[at] instanceof PostJob ? jobs[at].toResult(result) : result;
      });
      return { last, results };
    }
  }

  /** Where Redis has lost entries, an id with a later time may have a lower number. */
  #know(id: string): void {
    const known = parseId(this.#known)!;
    const { ms, seq } = parseId(id)!;
    this.#known = `${Math.max(ms, known.ms)}-${Math.max(seq, known.seq)}`;
  }

  /** @throws {StoreAwayError} If Redis has lost it before it came. */
  async #untilEmitted(id: string): Promise<void> {
    while (
      compareIds(id, this.#emitted) > 0 && this.#parts.tail.isFollowing && !this.#isClosed
    ) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const waiter = { id, resolve: () => resolve(false) };
      this.#waiting.push(waiter);
      const timer = setTimeout(() => resolve(true), EMITTED_MS);
      const isLate = await promise;
      clearTimeout(timer);
      if (!isLate) return;
      this.#waiting = this.#waiting.filter((other) => other !== waiter);
      await this.#checkStored(id);
    }
  }

  /** @throws {StoreAwayError} If an entry that has not been emitted is not there any more. */
  async #checkStored(id: string): Promise<void> {
    if (compareIds(id, this.#emitted) <= 0) return;
    const { link } = this.#parts;
    const found = await link.send(["XRANGE", this.#keys.log, id, id]) as RawEntry[];
    if (found.length > 0 || compareIds(id, this.#emitted) <= 0) return;
    await this.resume(link);
    throw new StoreAwayError("Redis has lost what it had stored");
  }

  #emit(batch: Batch): void {
    const last = batch.entries.at(-1)?.id;
    if (last !== undefined) {
      this.#emitted = last;
      this.#know(last);
    }
    this.#listeners.call(batch);
    if (this.#waiting.length === 0) return;
    const isEmitted = ({ id }: { readonly id: string }) => compareIds(id, this.#emitted) <= 0;
    const over = this.#waiting.filter(isEmitted);
    this.#waiting = this.#waiting.filter((each) => !isEmitted(each));
    for (const { resolve } of over) resolve();
  }

  /** Has Redis forget the texts of what is not there any more. */
  async #erase(): Promise<void> {
    const { log, copy, room } = this.#keys;
    while (await this.#parts.link.run(SCRIPTS.erase, [log, copy, room], []) === 0);
    this.#parts.rewriteSoon();
  }

  #eraseLater(): void {
    // Should it fail, whoever opens the room next goes on.
    const erasing = this.#erase().catch(ignoreUnavailable).finally(() =>
      this.#writing.delete(erasing)
    );
    this.#writing.add(erasing);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreAwayError("The message log is closed");
  }
}

/** Runs announce.lua. */
async function announce(
  connection: Pick<RedisConnection, "run">,
  { log, removed, room }: RoomKeys,
  args: readonly [born: string, known: string, emitted: string],
): Promise<Announced> {
  return await connection.run(SCRIPTS.announce, [log, removed, room], args) as Announced;
}

/** Gives up a room's messages of before a time; returns the id of the oldest entry left, "" if none is. */
export async function expire(link: RedisLink, name: string, minMs: number): Promise<string> {
  const { log, keys, marks, removed, cleared, copy, room } = roomKeys(name);
  let isMore: number, first: string;
  do {
    [isMore, first] = await link.run(
      SCRIPTS.expire,
      [log, keys, marks, removed, cleared, copy, room, KEYS.rooms],
      [name, `${minMs}`],
    ) as [number, string];
  } while (isMore === 1);
  return first;
}

function isNew(result: unknown): result is Appended {
  return typeof result === "object" && result !== null && "repeated" in result && !result.repeated;
}

function idOr(text: string, other: string): string {
  return parseId(text) ? text : other;
}
