/**
 * The log as it is sent: encoded pages. Readers that come back together, after a
 * restart say, share pages: each is read and encoded once for all of them.
 */

import type { LogPage, MessageLog, Start } from "../message_log/message_log.ts";
import { cursorFrame, eventFrame, messageFrames } from "./sse_frame.ts";

/** Pages that can no longer change are kept up to this many bytes together. */
const MAX_FINAL_BYTES = 16 * 1024 * 1024;
/** Pages at the log's end are kept for this many different starts. */
const MAX_LAST_PAGES = 64;

/** A page of the log, encoded. */
export interface ReplayPage extends Pick<LogPage, "cursor" | "missed"> {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether the log ended with it when it was read. */
  readonly isLast: boolean;
}

/** A page as frames: its messages, after a `gap` event if some before them are missing. */
export function toFrames({ entries, missed, cursor }: LogPage): string {
  const gap = missed === 0 ? "" : eventFrame("gap", { missed });
  return gap + (entries.length > 0 ? messageFrames(entries) : cursorFrame(cursor));
}

/** A page as JSON: each message with a comma and a line break before it. */
export function toJson({ entries }: LogPage): string {
  return entries.map(({ json }) => `,\n${json}`).join("");
}

/** The pages of one log in one encoding, each encoded once. */
export class Replay implements Disposable {
  readonly #encoder = new TextEncoder();
  readonly #log: Pick<MessageLog, "read">;
  readonly #encode: (page: LogPage) => string;
  readonly #subscription: Disposable;
  /** Pages that follow a cursor and are followed by others: their content is final. */
  readonly #final = new Map<string, ReplayPage>();
  #finalBytes = 0;
  /** All other pages, and pages being read; valid until the log grows. */
  readonly #last = new Map<string, ReplayPage | Promise<ReplayPage>>();
  /** How many times the log has grown. */
  #generation = 0;

  constructor(
    log: Pick<MessageLog, "read" | "subscribe">,
    encode: (page: LogPage) => string,
  ) {
    this.#log = log;
    this.#encode = encode;
    this.#subscription = log.subscribe(() => {
      this.#generation++;
      this.#last.clear();
    });
  }

  /**
   * The page at `start`, with everything in it that the log emitted before the
   * call; a promise only on a cache miss, since most readers hit.
   *
   * @throws {LogUnavailableError} If the log can't be read; the promise rejects.
   */
  read(start: Start): ReplayPage | Promise<ReplayPage> {
    const name = JSON.stringify(start);
    const known = this.#final.get(name) ?? this.#last.get(name);
    if (known) return known;
    if (this.#last.size >= MAX_LAST_PAGES) this.#last.clear();
    const reading = this.#read(start, name);
    this.#last.set(name, reading);
    return reading;
  }

  /** Forgets its pages and no longer follows the log. */
  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#final.clear();
    this.#last.clear();
  }

  async #read(start: Start, name: string): Promise<ReplayPage> {
    const generation = this.#generation;
    try {
      const read = await this.#log.read(start);
      const { missed, cursor, end } = read;
      const bytes = this.#encoder.encode(this.#encode(read));
      const page = { bytes, missed, cursor, isLast: cursor === end };
      const isFinal = !page.isLast && missed === 0 && "since" in start && start.since !== undefined;
      if (isFinal) this.#keep(name, page);
      else if (generation === this.#generation) this.#last.set(name, page);
      return page;
    } catch (error) {
      this.#last.delete(name);
      throw error;
    }
  }

  #keep(name: string, page: ReplayPage): void {
    this.#last.delete(name);
    if (this.#final.has(name)) return;
    this.#final.set(name, page);
    this.#finalBytes += page.bytes.length;
    for (const [oldest, { bytes }] of this.#final) {
      if (this.#finalBytes <= MAX_FINAL_BYTES) break;
      this.#final.delete(oldest);
      this.#finalBytes -= bytes.length;
    }
  }
}
