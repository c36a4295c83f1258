/** What the writers and readers of one run share: where the chat is, and what they know of it. */

import { Random } from "./random.ts";

/** What happens so often that a kill can be timed by it. */
export type Happening = "post" | "answer" | "message";

/** A post as it was sent, and what its author was answered. */
export interface Sent {
  readonly nickname: string;
  readonly message: string;
  /** The stored message as JSON, once there was an answer. */
  answer?: string;
}

/** More problems than these say nothing new: the run is given up. */
const MAX_PROBLEMS = 20;

/** One run. Problems are noted, not thrown: the run goes on and tells them all at its end. */
export class Room {
  /** By key; a post is here before it is sent. */
  readonly sent = new Map<string, Sent>();
  /** The JSON that the first reader of a message got, by id. */
  readonly received = new Map<string, string>();
  readonly problems: string[] = [];
  readonly figures = { retries: 0, repeats: 0, reconnects: 0 };
  /** How many posts were answered for the first time. */
  answered = 0;
  /** Writers finish what they have begun, and stop. */
  over = false;
  /** The key of the message that ends every reader's transcript. */
  readonly lastKey = "the-end";
  readonly #end = new AbortController();
  #alarm: { happening: Happening; left: number; ring: () => void } | undefined;

  constructor(readonly url: string, readonly seed: number) {}

  /** Aborts when nobody is to wait any longer. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  giveUp(): void {
    this.over = true;
    this.#end.abort();
    this.#alarm?.ring();
  }

  random(name: string): Random {
    return new Random(this.seed, name);
  }

  /** Notes what should not be. */
  problem(text: string): void {
    this.problems.push(text);
    if (this.problems.length >= MAX_PROBLEMS) this.giveUp();
  }

  /** Counts something that happens. */
  note(happening: Happening): void {
    if (this.#alarm?.happening === happening && --this.#alarm.left <= 0) this.#alarm.ring();
  }

  /** Resolves as soon as so many more of these have happened. */
  async after(count: number, happening: Happening): Promise<void> {
    if (this.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#alarm = { happening, left: count, ring: resolve };
    await promise;
    this.#alarm = undefined;
  }
}

/** Whether a request failed because the server, or the client itself, ended it. */
export function isBroken(error: unknown): boolean {
  if (error instanceof SuppressedError) return isBroken(error.error) && isBroken(error.suppressed);
  // TypeError is what fetch and its bodies say of a connection that fails.
  return error instanceof TypeError ||
    error instanceof DOMException && error.name === "AbortError";
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
