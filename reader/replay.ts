/**
 * The log as it is sent: encoded pages. Readers that come back together, after a
 * restart say, share pages: each is read and encoded once for all of them.
 */

import type { LogEntry, LogPage, MessageLog, Start } from "../message_log/message_log.ts";
import { cursorFrame, entryFrames, eventFrame } from "./sse_frame.ts";

/** All rooms' pages are kept up to this many bytes together. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Pages at a log's end are kept for this many different starts. */
const MAX_LAST_PAGES = 64;
const ENCODER = new TextEncoder();

/** A page of the log, encoded. */
export interface ReplayPage extends Pick<LogPage, "cursor" | "missed"> {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether the log ended with it when it was read. */
  readonly isLast: boolean;
}

/** A page as frames: its entries, after a `gap` event if some before them are missing. */
export function toFrames({ entries, missed, cursor }: LogPage): string {
  const gap = missed === 0 ? "" : eventFrame("gap", { missed });
  return gap + (entries.length > 0 ? entryFrames(entries) : cursorFrame(cursor));
}

/** What is before each row of JSON. */
export const SEPARATOR = ",\n";

/** A page as JSON: each message with a comma and a line break before it. */
export function toJson({ entries }: Pick<LogPage, "entries">): string {
  return jsonRows(entries.filter(({ removes }) => removes === undefined));
}

/** Entries as JSON, removals too. */
export function jsonRows(entries: readonly LogEntry[]): string {
  return entries.map(({ json }) => SEPARATOR + json).join("");
}

/** What the pages of all rooms may take together: the oldest make room for new ones. */
export class PageBudget {
  /** What forgets each page. */
  readonly #pages = new Map<ReplayPage, () => void>();
  #bytes = 0;

  /** Takes a page into account; `forget` is called when it has to go. */
  add(page: ReplayPage, forget: () => void): void {
    this.#pages.set(page, forget);
    this.#bytes += page.bytes.length;
    for (const [oldest, forgetOldest] of this.#pages) {
      if (this.#bytes <= MAX_BYTES) break;
      this.delete(oldest);
      forgetOldest();
    }
  }

  delete(page: ReplayPage): void {
    if (this.#pages.delete(page)) this.#bytes -= page.bytes.length;
  }
}

/** The pages of one log in one encoding, each encoded once. */
export class Replay implements Disposable {
  readonly #log: Pick<MessageLog, "read">;
  readonly #encode: (page: LogPage) => string;
  readonly #budget: PageBudget;
  readonly #subscription: Disposable;
  /** Pages that follow a cursor and are followed by others: their content is final. */
  readonly #final = new Map<string, ReplayPage>();
  /** All other pages; valid until the log grows. */
  readonly #last = new Map<string, ReplayPage>();
  readonly #reading = new Map<string, Promise<ReplayPage>>();
  /** How many times the log has grown, and has lost messages that were in it. */
  #generation = 0;
  #losses = 0;
  #isOver = false;

  constructor(
    log: Pick<MessageLog, "read" | "subscribe">,
    encode: (page: LogPage) => string,
    budget: PageBudget = new PageBudget(),
  ) {
    this.#log = log;
    this.#encode = encode;
    this.#budget = budget;
    this.#subscription = log.subscribe(({ entries, missed }) => {
      this.#generation++;
      this.#reading.clear();
      this.#forget(this.#last);
      const isLoss = missed !== 0 || entries.length === 0;
      if (!isLoss && entries.every(({ removes }) => removes === undefined)) return;
      this.#losses++;
      this.#forget(this.#final);
    });
  }

  /**
   * The page at `start`, with everything in it that the log emitted before the call, and nothing
   * that was removed before it is there; a promise only on a cache miss, since most readers hit.
   *
   * @throws {LogUnavailableError} If the log can't be read; the promise rejects.
   */
  read(start: Start): ReplayPage | Promise<ReplayPage> {
    const name = JSON.stringify(start);
    const known = this.#final.get(name) ?? this.#last.get(name) ?? this.#reading.get(name);
    if (known) return known;
    const reading = this.#read(start, name);
    this.#reading.set(name, reading);
    return reading;
  }

  /** Forgets its pages and no longer follows the log. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#subscription[Symbol.dispose]();
    this.#generation++;
    this.#reading.clear();
    this.#forget(this.#final);
    this.#forget(this.#last);
  }

  async #read(start: Start, name: string): Promise<ReplayPage> {
    const generation = this.#generation;
    try {
      let losses: number;
      let read: LogPage;
      do {
        losses = this.#losses;
        read = await this.#log.read(start);
      } while (losses !== this.#losses);
      const { missed, cursor, end } = read;
      const bytes = ENCODER.encode(this.#encode(read));
      const page = { bytes, missed, cursor, isLast: cursor === end };
      const isFinal = !page.isLast && missed === 0 && "since" in start && start.since !== undefined;
      if (isFinal) this.#keep(this.#final, name, page);
      else if (generation === this.#generation) this.#keep(this.#last, name, page);
      return page;
    } finally {
      if (generation === this.#generation) this.#reading.delete(name);
    }
  }

  #keep(pages: Map<string, ReplayPage>, name: string, page: ReplayPage): void {
    if (this.#isOver || pages.has(name)) return;
    if (pages === this.#last && pages.size >= MAX_LAST_PAGES) this.#forget(pages);
    pages.set(name, page);
    this.#budget.add(page, () => pages.delete(name));
  }

  #forget(pages: Map<string, ReplayPage>): void {
    for (const page of pages.values()) this.#budget.delete(page);
    pages.clear();
  }
}
