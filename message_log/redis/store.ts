/**
 * The logs of all rooms in Redis, as an instance has them: any number of instances are one chat. Whatever
 * they must agree on is in Redis, and each step there is one script.
 */

import { clearInterval, clearTimeout, setInterval, setTimeout } from "node:timers";
import {
  LogUnavailableError,
  type MessageStore,
  type RoomEntry,
  StoreAwayError,
} from "../message_log.ts";
import type { StoreOptions } from "../open.ts";
import { bornOf } from "../born.ts";
import { EXPIRY_INTERVAL_MS, keptSince } from "../retention.ts";
import { isUsual, parseState, withoutEnded } from "../room_state.ts";
import { ignoreUnavailable, isHopeless, type RedisConnection, RedisError } from "./connection.ts";
import { RedisInstances } from "./instances.ts";
import { KEYS, roomKeys, wakeKey } from "./keys.ts";
import { RedisLink } from "./link.ts";
import { expire, type LogParts, RedisLog } from "./log.ts";
import { RedisRevokedSessions } from "./revoked.ts";
import { SCRIPTS } from "./scripts.ts";
import { type Followed, type RawEntry, RedisTail } from "./tail.ts";
import { otherSettings, readWarnings, startProblem } from "./warnings.ts";

/** The version of the layout in keys.ts. */
const VERSION = 1;
/** How long a start waits for Redis: both may start at once. */
const START_MS = 10_000;
/** The stream that wakes an instance is kept for this long after it was needed. */
const WAKE_MS = 24 * 60 * 60_000;
/** Redis is asked no more often than this to write its files anew. */
const REWRITE_MS = 60_000;
/** It answers at once; closing waits for that. */
const REWRITE_ANSWER_MS = 200;
/** Rooms are counted this many at a time. */
const STEP = 200;
const SECRET_BYTES = 32;

/** What a chat has once it has begun. */
interface Begun {
  readonly secret: Uint8Array<ArrayBuffer>;
  readonly born: number;
}

/** A {@linkcode MessageStore} in Redis. */
export class RedisStore implements MessageStore {
  readonly revoked: RedisRevokedSessions;
  readonly #options: StoreOptions;
  readonly #now: () => number;
  /** Names this instance. */
  readonly #instance = crypto.randomUUID();
  readonly #link: RedisLink;
  readonly #tail: RedisTail;
  readonly #parts: LogParts;
  readonly #open = new Map<string, RedisLog>();
  readonly #started = Promise.withResolvers<void>();
  #instances: RedisInstances | undefined;
  #expiry: ReturnType<typeof setInterval> | undefined;
  #begun: Begun | undefined;
  #awaySince: number | undefined;
  /** Why there was no connection yet. */
  #startProblem = "nothing answers";
  #isRewriteDue = false;
  #lastRewrite = -Infinity;
  #isClosed = false;

  private constructor(url: string, options: StoreOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => Date.now());
    this.#link = new RedisLink(url, {
      onConnect: (connection) => this.#begin(connection),
      onFailure: (error) => this.#onFailure(error),
      onReady: () => this.#onReady(),
    });
    const wake = wakeKey(this.#instance);
    this.#tail = new RedisTail(url, {
      wakeKey: wake,
      wake: () => this.#wake(wake),
      whenReadable: () => this.#link.ready,
    });
    this.revoked = new RedisRevokedSessions(this.#link, this.#now);
    this.#tail.follow(this.#newChanges());
    this.#parts = {
      link: this.#link,
      tail: this.#tail,
      keep: options.keep,
      maxRooms: options.maxRooms ?? Number.MAX_SAFE_INTEGER,
      now: this.#now,
      givenNow: options.now,
      rewriteSoon: () => {
        this.#isRewriteDue = true;
      },
    };
  }

  /**
   * Connects to the Redis that a URL names, and begins a chat there if there is none.
   *
   * @throws {Error} If it can't be used, or reached for ten seconds; the message says why and what to
   * change.
   */
  static async open(url: string, options: StoreOptions): Promise<RedisStore> {
    const store = new RedisStore(url, options);
    const timer = setTimeout(
      () => store.#started.reject(new StoreAwayError(store.#startProblem)),
      START_MS,
    );
    try {
      await store.#started.promise;
      await store.#join();
      return store;
    } catch (error) {
      await store[Symbol.asyncDispose]();
      if (!(error instanceof LogUnavailableError)) throw error;
      throw startProblem(url, error);
    } finally {
      clearTimeout(timer);
    }
  }

  get id(): string {
    return this.#chat.born.toString(36);
  }

  get secret(): Uint8Array<ArrayBuffer> {
    return this.#chat.secret;
  }

  async openLog(room: string): Promise<RedisLog> {
    this.#checkOpen();
    const elsewhere = this.#instances!.open(room);
    const onClose = () => {
      this.#open.delete(room);
      this.#instances!.close(room);
    };
    let log: RedisLog | undefined;
    try {
      const born = bornOf(room, this.#chat.born);
      log = await RedisLog.open(room, born, this.#parts, { elsewhere, onClose });
      if (this.#isClosed) await log[Symbol.asyncDispose]();
      else this.#open.set(room, log);
      // A change until then was none of an open room.
      await log.learnState();
      if (this.#options.keepDays) await log.expire(this.#minMs);
      return log;
    } catch (error) {
      await log?.[Symbol.asyncDispose]();
      onClose();
      throw error;
    }
  }

  async rooms(): Promise<RoomEntry[]> {
    this.#checkOpen();
    const { elsewhere } = this.#instances!;
    const names = new Set([...await this.#listRooms(), ...elsewhere.keys()]);
    const entries: RoomEntry[] = [];
    for (const step of chunks([...names], STEP)) {
      const counts = await this.#link.run(SCRIPTS.rooms, step.flatMap(countedKeys), []) as [
        messages: number,
        state: string,
      ][];
      for (const [index, [messages, state]] of counts.entries()) {
        const name = step[index];
        const readersElsewhere = elsewhere.get(name);
        const isModerated = !isUsual(withoutEnded(parseState(state || null), this.#now()));
        if (messages === 0 && !isModerated && !readersElsewhere) continue;
        entries.push({ name, messages, ...(readersElsewhere && { readersElsewhere }) });
      }
    }
    return entries;
  }

  async probe(): Promise<void> {
    this.#checkOpen();
    await this.#link.run(SCRIPTS.probe, [KEYS.probe], []);
  }

  get now(): number {
    return this.#link.now;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#expiry);
    await Promise.all(Array.from(this.#open.values(), (log) => log[Symbol.asyncDispose]()));
    await this.#instances?.leave();
    await this.#rewrite();
    await Promise.all([this.#tail.close(), this.#link.close()]);
  }

  get #chat(): Begun {
    if (!this.#begun) throw new LogUnavailableError("The message log has not been opened");
    return this.#begun;
  }

  /** With each new connection: what Redis must have of the chat, and what it has. */
  async #begin(connection: RedisConnection): Promise<void> {
    const reply = await connection.run(SCRIPTS.begin, [KEYS.chat], this.#toBegin) as string[];
    if (Number(reply[0]) > VERSION) {
      throw new RedisError(
        `NEWER its messages are of version ${reply[0]}, and this program knows ${VERSION}`,
      );
    }
    this.#begun ??= { secret: Uint8Array.fromBase64(reply[1]), born: Number(reply[2]) };
    await Promise.all([
      this.revoked.load(connection),
      ...Array.from(this.#open.values(), (log) => log.announce(connection)),
    ]);
  }

  /** What begin.lua takes. */
  get #toBegin(): string[] {
    const { now } = this.#options;
    const { secret, born } = this.#begun ?? {
      secret: crypto.getRandomValues(new Uint8Array(SECRET_BYTES)),
      born: now?.() ?? "",
    };
    return [`${VERSION}`, secret.toBase64(), `${born}`];
  }

  /** Shows the others that this instance is there. */
  async #join(): Promise<void> {
    const { settings = {}, onWarning, keepDays } = this.#options;
    for (const text of await readWarnings(this.#link)) onWarning?.(text);
    this.#instances = new RedisInstances({
      link: this.#link,
      id: this.#instance,
      chat: this.#toBegin,
      settings: await digests(settings, this.secret),
      onOtherSettings: (flags) => onWarning?.(otherSettings(flags)),
      onBeat: () => this.#rewrite(),
    });
    await this.#instances.begin();
    if (!keepDays) return;
    await this.#expire();
    this.#expiry = setInterval(() => this.#expire(), EXPIRY_INTERVAL_MS);
  }

  #onFailure(error: LogUnavailableError): void {
    if (this.#begun === undefined) {
      this.#startProblem = error.message;
      if (isHopeless(error)) this.#started.reject(error);
      return;
    }
    if (this.#awaySince !== undefined) return;
    this.#awaySince = performance.now();
    this.#options.onAway?.(error.message);
  }

  #onReady(): void {
    this.#started.resolve();
    if (this.#awaySince === undefined) return;
    this.#options.onBack?.(performance.now() - this.#awaySince);
    this.#awaySince = undefined;
  }

  /** Ends the wait for entries, so that the next is for those of other rooms too. */
  #wake(key: string): void {
    const sent = [["XADD", key, "MAXLEN", "1", "*", "open", "1"], ["PEXPIRE", key, `${WAKE_MS}`]];
    // Without a connection nobody waits long.
    for (const args of sent) this.#link.send(args).catch(ignoreUnavailable);
  }

  /** What instances tell each other. */
  #newChanges(): Followed {
    const changes: Followed & { cursor: string } = {
      key: KEYS.changes,
      cursor: "0",
      resume: async (connection) => {
        const [last] = await connection.send(
          ["XREVRANGE", KEYS.changes, "+", "-", "COUNT", "1"],
        ) as RawEntry[];
        changes.cursor = last?.[0] ?? "0";
        // The states are announced with the rooms.
        await this.revoked.load(connection);
      },
      take: async (entries) => {
        changes.cursor = entries.at(-1)![0];
        for (const [, [kind, name, , until]] of entries) {
          if (kind === "session") this.revoked.learn(name, Number(until));
          else await this.#open.get(name)?.learnState();
        }
      },
    };
    return changes;
  }

  /** Has every room give up what has become too old. */
  async #expire(): Promise<void> {
    const minMs = this.#minMs;
    try {
      for (const [, log] of this.#open) await log.expire(minMs);
      for (const name of await this.#listRooms()) {
        if (!this.#open.has(name)) await expire(this.#link, name, minMs);
      }
    } catch (error) {
      ignoreUnavailable(error);
    }
  }

  /** The names of the rooms that have messages or a state, and of the main room. */
  async #listRooms(): Promise<string[]> {
    return ["", ...await this.#link.send(["ZRANGE", KEYS.rooms, "0", "-1"]) as string[]];
  }

  /** What was written before it has become too old. */
  get #minMs(): number {
    const { keepDays = 0, now = () => this.#link.now } = this.#options;
    return keptSince(keepDays, now());
  }

  /** Has Redis write its files anew, where it lets us: the old ones have what has been removed. */
  async #rewrite(): Promise<void> {
    const isEarly = !this.#isClosed && performance.now() - this.#lastRewrite < REWRITE_MS;
    if (!this.#isRewriteDue || isEarly) return;
    this.#isRewriteDue = false;
    try {
      await this.#link.send(["BGREWRITEAOF"], REWRITE_ANSWER_MS);
      this.#lastRewrite = performance.now();
    } catch (error) {
      ignoreUnavailable(error);
      // One that is under way began too early. Where we may not ask, the docs say what that means.
      this.#isRewriteDue = !isHopeless(error);
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreAwayError("The message log is closed");
  }
}

function countedKeys(room: string): string[] {
  const { log, room: key } = roomKeys(room);
  return [log, key];
}

/** Digests of settings, by their flags: short, so that many passwords have the same. */
async function digests(
  settings: Readonly<Record<string, string>>,
  secret: Uint8Array<ArrayBuffer>,
): Promise<Record<string, string>> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  const entries = Object.entries(settings).map(async ([flag, text]) => {
    const bytes = new TextEncoder().encode(`${flag}\n${text}`);
    const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes));
    return [flag, digest.slice(0, 2).toHex()];
  });
  return Object.fromEntries(await Promise.all(entries));
}

function* chunks<Item>(items: readonly Item[], size: number): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}
