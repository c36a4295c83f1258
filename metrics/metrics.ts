/**
 * The figures of one run of the server, in the Prometheus text format. Only a run with `--metrics` loads
 * this, and prom-client with it. What is to be counted is reported as it happens; what can be read at any time
 * is given when somebody asks.
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { parseId } from "../chat_message.ts";
import type { Batch } from "../message_log/message_log.ts";
import type { EndReason } from "../reader/reader_observer.ts";
import type { RoomObserver } from "../room.ts";
import { registerProcess } from "./process_metrics.ts";

/** The bounds between which times are counted, in seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** Where messages are posted. */
const CHAT_URL = /^[^?]*\/chat(?:\?|$)/;
const END_REASONS: readonly EndReason[] = ["left", "slow", "log", "session", "shutdown"];

/** What can be read when somebody asks. */
export interface Readings {
  /** Open streams. */
  readonly readers: number;
  /** Open rooms. */
  readonly rooms: number;
  /** Whether messages can be stored. */
  readonly isLogUp: boolean;
}

/** The metrics. Neither rooms nor addresses are among the labels: there can be any number of them. */
export class Metrics implements RoomObserver {
  /** The media type of {@linkcode text}. */
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #registers = [this.#registry];
  readonly #readers = new Gauge({
    name: "chat_readers",
    help: "Streams that are open at this instance.",
    registers: this.#registers,
  });
  readonly #rooms = new Gauge({
    name: "chat_rooms",
    help: "Rooms that are open at this instance.",
    registers: this.#registers,
  });
  readonly #joins = new Counter({
    name: "chat_joins_total",
    help: "Streams that were opened.",
    registers: this.#registers,
  });
  readonly #ends = new Counter({
    name: "chat_reader_ends_total",
    help:
      "Streams that are over, by reason: the reader left, or was too slow, or the log could not " +
      "be read, or the session ended, or the server stops.",
    labelNames: ["reason"],
    registers: this.#registers,
  });
  readonly #posts = new Counter({
    name: "chat_posts_total",
    help: "Posts, by the status of the response.",
    labelNames: ["status"],
    registers: this.#registers,
  });
  readonly #messages = new Counter({
    name: "chat_messages_total",
    help: "Messages that came out of the logs of open rooms, wherever they were posted.",
    registers: this.#registers,
  });
  readonly #appends = new Histogram({
    name: "chat_append_seconds",
    help: "How long it took the log to store a message, or to fail to.",
    buckets: SECONDS,
    registers: this.#registers,
  });
  readonly #lags = new Histogram({
    name: "chat_tail_lag_seconds",
    help: "How old messages were, by Redis' clock, when this instance had them; one of each batch.",
    buckets: SECONDS,
    registers: this.#registers,
  });
  readonly #gaps = new Counter({
    name: "chat_gaps_total",
    help:
      "Gaps, by kind: what a reader had missed is no longer kept, or its cursor is unknown; or " +
      "the log has lost messages.",
    labelNames: ["kind"],
    registers: this.#registers,
  });
  readonly #isLogUp = new Gauge({
    name: "chat_log_up",
    help: "Whether messages can be stored: 1 or 0.",
    registers: this.#registers,
  });
  readonly #reconnects = new Counter({
    name: "chat_log_reconnects_total",
    help: "How often the log could be reached again after it could not.",
    registers: this.#registers,
  });

  constructor(version: string) {
    this.contentType = this.#registry.contentType;
    new Gauge({
      name: "chat_build_info",
      help: "The version of the server; always 1.",
      labelNames: ["version"],
      registers: this.#registers,
    }).set({ version }, 1);
    registerProcess(this.#registry);
    // A rate can be seen only from what was there before.
    for (const reason of END_REASONS) this.#ends.inc({ reason }, 0);
    for (const kind of ["trimmed", "unknown", "lost"]) this.#gaps.inc({ kind }, 0);
    this.#posts.inc({ status: 201 }, 0);
  }

  joined(): void {
    this.#joins.inc();
  }

  ended(reason: EndReason): void {
    this.#ends.inc({ reason });
  }

  missed(count: number | null): void {
    this.#gaps.inc({ kind: count === null ? "unknown" : "trimmed" });
  }

  emitted({ entries, missed }: Batch, now: number | undefined): void {
    if (missed !== 0) this.#gaps.inc({ kind: "lost" });
    if (entries.length === 0) return;
    this.#messages.inc(entries.filter(({ removes }) => removes === undefined).length);
    if (now === undefined) return;
    // The first has waited longest. Ids may be a little ahead of the clock.
    this.#lags.observe(Math.max(0, now - parseId(entries[0].id)!.ms) / 1000);
  }

  /** A message was stored, or could not be, after this many milliseconds. */
  appended(ms: number): void {
    this.#appends.observe(ms / 1000);
  }

  /** A request was answered; posts are counted. */
  answered({ method, url }: Request, { status }: Response): void {
    if (method === "POST" && CHAT_URL.test(url)) this.#posts.inc({ status });
  }

  /** The log can be reached again. */
  reconnected(): void {
    this.#reconnects.inc();
  }

  /** All of them, in the Prometheus text format 0.0.4. */
  async text({ readers, rooms, isLogUp }: Readings): Promise<string> {
    this.#readers.set(readers);
    this.#rooms.set(rooms);
    this.#isLogUp.set(isLogUp ? 1 : 0);
    return await this.#registry.metrics();
  }
}
