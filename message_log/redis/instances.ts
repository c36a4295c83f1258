/** The instances of a chat: each says once a second that it is there, and who reads there. */

import { clearInterval, setInterval } from "node:timers";
import { Listeners } from "../listeners.ts";
import type { ReadersElsewhere } from "../message_log.ts";
import { ignoreUnavailable } from "./connection.ts";
import { KEYS } from "./keys.ts";
import type { RedisLink } from "./link.ts";
import { SCRIPTS } from "./scripts.ts";

const BEAT_MS = 1000;
/** One that has said nothing for this long is gone. */
const GONE_MS = 2000;
/** To say that one leaves takes no longer: the others find out by themselves. */
const LEAVE_MS = 100;

/** What an instance says of itself. */
interface Said {
  /** How many readers it has, by room. */
  readonly readers: Readonly<Record<string, number>>;
  /** Digests of the settings that all must share, by their flags. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Options for {@linkcode RedisInstances}. */
export interface RedisInstancesOptions {
  readonly link: RedisLink;
  /** The name of this one. */
  readonly id: string;
  /** What Redis must have of the chat: what begin.lua takes. */
  readonly chat: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
  /** Called with the flags of the settings that are other elsewhere, once for each. */
  onOtherSettings?(flags: readonly string[]): void;
  /** What has to be done once in a while is done at each beat. */
  onBeat?(): void;
}

/** This instance, and what it knows of the others. */
export class RedisInstances {
  readonly #options: RedisInstancesOptions;
  readonly #rooms = new Map<string, RoomReaders>();
  readonly #different = new Set<string>();
  #elsewhere = new Map<string, number>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #lastHeard = performance.now();

  constructor(options: RedisInstancesOptions) {
    this.#options = options;
  }

  /** Says for the first time that it is there, and goes on to. */
  async begin(): Promise<void> {
    await this.#beat();
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
  }

  /** Says that it leaves. */
  async leave(): Promise<void> {
    clearInterval(this.#timer);
    const { link, id } = this.#options;
    if (!link.isReady) return;
    await link.send(["HDEL", KEYS.instances, id], LEAVE_MS).catch(ignoreUnavailable);
  }

  /** A room's readers at the others; to be given back by {@linkcode close}. */
  open(room: string): ReadersElsewhere {
    const readers = new RoomReaders(this.#elsewhere.get(room) ?? 0);
    this.#rooms.set(room, readers);
    return readers;
  }

  close(room: string): void {
    this.#rooms.delete(room);
  }

  /** How many readers the others have, by room. */
  get elsewhere(): ReadonlyMap<string, number> {
    return this.#elsewhere;
  }

  async #beat(): Promise<void> {
    const { link, id, chat, settings, onBeat } = this.#options;
    const readers: Record<string, number> = {};
    for (const [room, { here }] of this.#rooms) if (here > 0) readers[room] = here;
    const said: Said = { readers, settings };
    try {
      const sent = performance.now();
      const [now, ...others] = await link.run(SCRIPTS.beat, [KEYS.instances, KEYS.chat], [
        id,
        `${GONE_MS}`,
        JSON.stringify(said),
        ...chat,
      ]) as string[];
      link.setClock(Number(now), sent);
      this.#hear(others.map((text) => JSON.parse(text)));
    } catch (error) {
      ignoreUnavailable(error);
      if (performance.now() - this.#lastHeard > GONE_MS) this.#count([]);
    }
    onBeat?.();
  }

  #hear(others: readonly Said[]): void {
    this.#lastHeard = performance.now();
    this.#count(others);
    const { settings, onOtherSettings } = this.#options;
    const different = Object.keys(settings).filter((flag) =>
      !this.#different.has(flag) &&
      others.some((other) => (other.settings[flag] ?? settings[flag]) !== settings[flag])
    );
    if (different.length === 0) return;
    for (const flag of different) this.#different.add(flag);
    onOtherSettings?.(different);
  }

  #count(others: readonly Said[]): void {
    this.#elsewhere = new Map();
    for (const { readers } of others) {
      for (const [room, count] of Object.entries(readers)) {
        this.#elsewhere.set(room, (this.#elsewhere.get(room) ?? 0) + count);
      }
    }
    for (const [room, readers] of this.#rooms) readers.set(this.#elsewhere.get(room) ?? 0);
  }
}

/** {@linkcode ReadersElsewhere} of a room. */
class RoomReaders implements ReadersElsewhere {
  here = 0;
  readonly #listeners = new Listeners();

  constructor(public count: number) {}

  tell(readers: number): void {
    this.here = readers;
  }

  subscribe(onChange: () => void): Disposable {
    return this.#listeners.add(onChange);
  }

  set(count: number): void {
    if (count === this.count) return;
    this.count = count;
    this.#listeners.call();
  }
}
