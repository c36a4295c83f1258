/** The jobs that wait for a log's part in the transaction of a turn, and what they work on. */

import { type ChatMessage, momentOf } from "../chat_message.ts";
import type { LogEntry } from "./message_log.ts";
import type { Span } from "./sqlite_span.ts";

/** The transaction of a turn, as far as a log goes. */
export interface Turn {
  /** What it makes of the log. */
  readonly span: Span;
  /** For the ids of its entries. */
  readonly ms: number;
  /** What the clock shows, in milliseconds and as messages have it. */
  readonly now: number;
  readonly moment: Pick<ChatMessage, "timestamp" | "time">;
  readonly batch: LogEntry[];
}

/** The transaction of a turn that begins with what there is. */
export function newTurn(span: Span, ms: number, now: number): Turn {
  return { span: { ...span }, ms, now, moment: momentOf(new Date(now)), batch: [] };
}

/** A job's own error: the rest of the transaction goes on. */
export class Refused {
  constructor(readonly error: unknown) {}
}

/** What waits for a transaction. */
interface Job {
  readonly maxEntries: number;
  /** Does it; the function that it returns is called once that is durable. */
  run(turn: Turn): () => void;
  reject(error: unknown): void;
}

/** What waits for the next transaction, in the order in which it came. */
export class Jobs {
  #waiting: Job[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** How many entries they append at most. */
  get maxEntries(): number {
    return this.#waiting.reduce((sum, { maxEntries }) => sum + maxEntries, 0);
  }

  /** Adds one that appends so many entries at most; resolves with what it makes once that is durable. */
  add<Result>(maxEntries: number, run: (turn: Turn) => Result | Refused): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#waiting.push({
      maxEntries,
      run(turn) {
        const result = run(turn);
        return () => result instanceof Refused ? reject(result.error) : resolve(result);
      },
      reject,
    });
    return promise;
  }

  /** Does them all. The function that it returns answers them, once that is durable. */
  run(turn: Turn): () => void {
    const answers = this.#waiting.map((job) => job.run(turn));
    return () => {
      this.#waiting = [];
      for (const answer of answers) answer();
    };
  }

  /** Rejects them all. */
  fail(error: unknown): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(error);
  }
}
