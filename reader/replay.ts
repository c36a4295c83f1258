/**
 * The log as readers get it when they join: pages of frames. Readers that come
 * back together, after a restart say, get the same bytes: a page is read and
 * encoded once for all of them.
 */

import type { LogPage, MessageLog } from "../message_log/message_log.ts";
import { cursorFrame, eventFrame, messageFrames } from "./sse_frame.ts";

/** Full pages are kept up to this many bytes together; a page has 64 messages at most. */
const MAX_FULL_BYTES = 16 * 1024 * 1024;
/** Pages at the log's end are kept for this many different starts. */
const MAX_AT_END = 64;

/** Where a reader begins: after a cursor, with all that is kept, or with the last messages. */
export type Start = { readonly since: string | undefined } | { readonly latest: number };

/** Before every message and unknown to every log: a reader with it is told of a gap. */
export const UNKNOWN_CURSOR = "0-0";

/** A page of the log, encoded. */
export interface ReplayPage extends Pick<LogPage, "cursor" | "more"> {
  /** Its messages, behind a `gap` event if some before them are lost; never empty. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Pages of one log, each encoded once. */
export class Replay {
  readonly #encoder = new TextEncoder();
  readonly #log: Pick<MessageLog, "latest" | "since">;
  /** Pages that follow a cursor and have others behind them: what is in them never changes. */
  readonly #full = new Map<string, ReplayPage>();
  #fullBytes = 0;
  /** All other pages, and those being read: they are true until the log grows. */
  readonly #atEnd = new Map<string, ReplayPage | Promise<ReplayPage>>();
  #growths = 0;

  constructor(log: Pick<MessageLog, "latest" | "since">) {
    this.#log = log;
  }

  /**
   * The page at `start`, with everything in it that was published before the
   * call; a promise only where it must be read, since most readers find it known.
   *
   * @throws {LogUnavailableError} If the log can't be read; the promise rejects.
   */
  read(start: Start): ReplayPage | Promise<ReplayPage> {
    const name = JSON.stringify(start);
    const known = this.#full.get(name) ?? this.#atEnd.get(name);
    if (known) return known;
    if (this.#atEnd.size >= MAX_AT_END) this.#atEnd.clear();
    const reading = this.#read(start, name);
    this.#atEnd.set(name, reading);
    return reading;
  }

  /** Forgets the pages that no longer end with the log. */
  grown(): void {
    this.#growths++;
    this.#atEnd.clear();
  }

  async #read(start: Start, name: string): Promise<ReplayPage> {
    const growths = this.#growths;
    try {
      const { entries, missed, cursor, more } = "latest" in start
        ? await this.#log.latest(start.latest)
        : await this.#log.since(start.since);
      const frames = (missed === 0 ? "" : eventFrame("gap", { missed })) +
        (entries.length > 0 ? messageFrames(entries) : cursorFrame(cursor));
      const page = { bytes: this.#encoder.encode(frames), cursor, more };
      const follows = "since" in start && start.since !== undefined && missed === 0;
      if (follows && more) this.#keep(name, page);
      else if (growths === this.#growths) this.#atEnd.set(name, page);
      return page;
    } catch (error) {
      this.#atEnd.delete(name);
      throw error;
    }
  }

  #keep(name: string, page: ReplayPage): void {
    if (this.#full.has(name)) return;
    this.#full.set(name, page);
    this.#fullBytes += page.bytes.length;
    for (const [oldest, { bytes }] of this.#full) {
      if (this.#fullBytes <= MAX_FULL_BYTES) break;
      this.#full.delete(oldest);
      this.#fullBytes -= bytes.length;
    }
  }
}
