/** What the writers and readers of one run share: where the servers are, and what they know of them. */

import { Instance } from "./instance.ts";
import { Random } from "./random.ts";
import { Room } from "./room.ts";

/** What happens often enough to time a stop by it; `replay`: something arrived during a replay. */
export type Happening = "post" | "response" | "message" | "replay";

/** Options for {@linkcode Run}. */
export interface RunOptions {
  /** Two runs of other names have other random numbers. */
  readonly name: string;
  readonly seed: number;
  /** The ports of the servers, which are one chat. */
  readonly ports: readonly number[];
  /** The servers' `--keep`. */
  readonly keep: number;
  /** Whether the servers remember every key of the run. */
  readonly remembersKeys: boolean;
}

/** The rooms that are written to and read; the main one has no name. */
const ROOM_NAMES = ["", "biology", "physics", "lab-1"];
/** With this many problems of one kind, a run is given up. */
const MAX_PROBLEMS = 500;

/** One run. Problems are noted, not thrown: the run continues and reports them all at its end. */
export class Run {
  readonly name: string;
  readonly seed: number;
  readonly instances: readonly Instance[];
  readonly keep: number;
  readonly remembersKeys: boolean;
  readonly rooms: readonly Room[] = ROOM_NAMES.map((name) => new Room(this, name));
  /** The names of those who have not read to the end. */
  readonly reading = new Set<string>();
  /** The details of each kind of problem. */
  readonly problems = new Map<string, string[]>();
  readonly figures = {
    retries: 0,
    repeats: 0,
    refused: 0,
    reconnects: 0,
    gaps: 0,
    histories: 0,
    reopened: 0,
  };
  /** The key of the message that ends every reader's transcript, in each room. */
  readonly lastKey = "the-end";
  #isFinishing = false;
  #isGivenUp = false;
  #pause: PromiseWithResolvers<void> | undefined;
  readonly #alarms = new Set<{ happening: Happening; left: number; ring: () => void }>();

  constructor({ name, seed, ports, keep, remembersKeys }: RunOptions) {
    this.name = name;
    this.seed = seed;
    this.instances = ports.map((port) => new Instance(port));
    this.keep = keep;
    this.remembersKeys = remembersKeys;
  }

  /** How many of the posts to all rooms have a response. */
  get stored(): number {
    return this.rooms.reduce((sum, { stored }) => sum + stored, 0);
  }

  /** Whether writers are to complete what they have begun, and stop. */
  get isFinishing(): boolean {
    return this.#isFinishing;
  }

  /** Whether nobody is to wait for anything any more. */
  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  finish(): void {
    this.#isFinishing = true;
    this.#pause?.resolve();
    for (const room of this.rooms) room.endRecess();
    for (const { ring } of this.#alarms) ring();
  }

  giveUp(): void {
    this.#isGivenUp = true;
    this.finish();
  }

  /** The random numbers of one actor. */
  random(actor: string): Random {
    return new Random(this.seed, `${this.name}: ${actor}`);
  }

  problem(kind: string, detail: string): void {
    const details = this.problems.get(kind) ?? [];
    this.problems.set(kind, details);
    details.push(detail);
    if (details.length >= MAX_PROBLEMS) this.giveUp();
  }

  /** Counts something that happened. */
  note(happening: Happening): void {
    for (const alarm of this.#alarms) {
      if (alarm.happening === happening && --alarm.left <= 0) alarm.ring();
    }
  }

  /** Resolves as soon as `count` more of these have happened, or the run finishes. */
  async after(count: number, happening: Happening): Promise<void> {
    if (this.#isFinishing || count <= 0) return;
    const { promise, resolve: ring } = Promise.withResolvers<void>();
    const alarm = { happening, left: count, ring };
    this.#alarms.add(alarm);
    await promise;
    this.#alarms.delete(alarm);
  }

  /** Keeps the writers from sending anything new; resolves when every post has its response. */
  async pauseWriters(): Promise<void> {
    this.#pause = Promise.withResolvers();
    while (this.rooms.some((room) => room.stored < room.sent.size) && !this.#isFinishing) {
      await this.after(1, "response");
    }
  }

  resumeWriters(): void {
    this.#pause?.resolve();
    this.#pause = undefined;
  }

  /** Resolves when the writers may send again; undefined while they may. */
  get pause(): Promise<void> | undefined {
    return this.#pause?.promise;
  }
}

/** Whether a request failed because the server, or the client itself, ended it. */
export function isBroken(error: unknown): boolean {
  // TypeError is what fetch and its bodies throw when a connection fails.
  return error instanceof TypeError ||
    error instanceof DOMException && error.name === "AbortError" ||
    error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.UnexpectedEof;
}
