/** The results of a run: their form as JSON, and as a table for people. */

import type { LoadResult } from "./load.ts";
import type { Options } from "./options.ts";
import type { Return } from "./return.ts";
import type { Target } from "./server.ts";

/** One server with one number of readers. */
export interface Measurement extends LoadResult {
  readonly target: Target;
  readonly messageLog: string;
  readonly instances: number;
  readonly readers: number;
  readonly deliveriesPerSecond: number;
  /** How long it took until every reader was live. */
  readonly connectSeconds: number;
  /** Server CPU time per delivery; absent where there is no /proc. */
  readonly cpuMicrosPerDelivery?: number;
  /** Share of a core that each instance used; absent where there is no /proc. */
  readonly cpuShares?: readonly number[];
  /** Growth of the server's resident memory per reader; absent where there is no /proc. */
  readonly kibPerReader?: number;
  /** Share of one core that the load used; near 1, the load was the bottleneck. */
  readonly loadCpuShare?: number;
  /** Only with `--return`. */
  readonly return?: Return;
}

/** What `--json` writes. */
export interface Results {
  readonly date: string;
  readonly deno: string;
  readonly system: string;
  /** Whether server and load had a core each. */
  readonly pinned: boolean;
  readonly options: Options;
  readonly measurements: readonly Measurement[];
}

/** Above this share of a core, the load may be the bottleneck. */
const MAX_LOAD_SHARE = 0.9;

type Column = readonly [
  head: string,
  text: (measurement: Measurement) => string,
  /** The figure that the ratio row compares. */
  compared?: (measurement: Measurement) => number | undefined,
];

const COLUMNS: readonly Column[] = [
  ["", ({ target }) => target],
  ["readers", ({ readers }) => number(readers)],
  [
    "deliveries/s",
    ({ deliveriesPerSecond }) => number(deliveriesPerSecond),
    ({ deliveriesPerSecond }) => deliveriesPerSecond,
  ],
  ["p50", ({ p50Ms }) => `${number(p50Ms)} ms`],
  ["p99", ({ p99Ms }) => `${number(p99Ms)} ms`],
  ["CPU/delivery", ({ cpuMicrosPerDelivery: micros }) => optional(micros, "µs")],
  ["memory/reader", ({ kibPerReader }) => optional(kibPerReader, "KiB")],
  ["connected in", ({ connectSeconds }) => `${number(connectSeconds)} s`],
  ["load's CPU", ({ loadCpuShare: share }) => optional(share && share * 100, "%")],
  ["lost", ({ lost }) => number(lost)],
  ["duplicates", ({ duplicates }) => number(duplicates)],
];

/** Shown where there is more than one message log. */
const LOG_COLUMN: Column = ["message log", ({ messageLog }) => nameOf(messageLog)];

/** Shown with `--instances`. */
const INSTANCE_COLUMNS: readonly Column[] = [
  ["instances", ({ instances }) => number(instances)],
  [
    "CPU of each",
    ({ cpuShares }) => cpuShares?.map((share) => optional(share * 100, "%")).join(", ") ?? "–",
  ],
];

/** Shown with `--return`. */
const RETURN_COLUMNS: readonly Column[] = [
  ["returned in", (row) => optional(row.return?.seconds, "s"), (row) => row.return?.seconds],
  ["return CPU", (row) => optional(row.return?.cpuSeconds, "s"), (row) => row.return?.cpuSeconds],
];

/** The load, in one line. */
export function heading(
  { rooms, publishers, messages, rate, size, messageLog, tls, http2, apart, logOnly }: Options,
): string {
  const pace = rate > 0 ? `${number(rate)} per second` : "as fast as they are accepted";
  return `${count(rooms, "room")}, ${count(publishers, "publisher")}, ${
    count(messages, "message")
  } of ${size} bytes, ` +
    `${pace}; --message-log ${messageLog.map(nameOf).join(", ")}` +
    (http2 ? "; HTTP/2" : tls ? "; TLS" : "") + (apart ? "; publishers and readers apart" : "") +
    (logOnly ? "; the log alone" : "");
}

/** The measurements as a table; after each baseline comes the project's ratio to it. */
export function table({ measurements, pinned }: Results): string {
  const [target, ...figures] = COLUMNS;
  const columns = [
    target,
    ...new Set(measurements.map(({ messageLog }) => messageLog)).size > 1 ? [LOG_COLUMN] : [],
    ...measurements.some(({ instances }) => instances > 1) ? INSTANCE_COLUMNS : [],
    ...figures,
    ...measurements.some((row) => row.return) ? RETURN_COLUMNS : [],
  ];
  const rows = [columns.map(([head]) => head)];
  for (const measurement of measurements) {
    rows.push(columns.map(([, text]) => text(measurement)));
    const project = measurement.target === "baseline" &&
      measurements.find(({ target, readers, messageLog }) =>
        target === "project" && readers === measurement.readers &&
        messageLog === measurement.messageLog
      );
    if (project) {
      const ratios = columns.map(([, , compared]) => {
        const [ours, theirs] = [compared?.(project), compared?.(measurement)];
        return ours === undefined || !theirs ? "" : `${number(ours / theirs)} ×`;
      });
      rows.push(["ratio", ...ratios.slice(1)]);
    }
  }
  return [align(rows), "", ...notes(measurements, pinned)].join("\n");
}

/** Rows of texts in columns, of which the first is aligned to the left. */
export function align(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row.map((text, at) => at === 0 ? text.padEnd(widths[at]) : text.padStart(widths[at]))
      .join("  ").trimEnd()
  ).join("\n");
}

/** The URL of a message log, without a password. */
export function nameOf(messageLog: string): string {
  return messageLog.replace(/\/\/[^/]*@/, "//");
}

function notes(measurements: readonly Measurement[], pinned: boolean): string[] {
  const notes = [
    pinned
      ? "Server and load had a core each."
      : "Server and load shared the cores: there is no taskset, or only one core.",
  ];
  if (measurements.some(({ loadCpuShare = 0 }) => loadCpuShare > MAX_LOAD_SHARE)) {
    notes.push(
      `Where the load's CPU is over ${MAX_LOAD_SHARE * 100} %, the load was the bottleneck: ` +
        "the server can do more, and part of p50 and p99 is the load's own delay.",
    );
  }
  if (measurements.some(({ loadCpuShare }) => loadCpuShare === undefined)) {
    notes.push("CPU and memory are read from /proc, which exists only on Linux.");
  }
  return notes;
}

/** What went wrong, one line each; empty for a run that counts. */
export function faults(measurements: readonly Measurement[]): string[] {
  return measurements.flatMap(({ target, readers, return: returned, ...run }) => {
    const counts = {
      lost: run.lost,
      duplicates: run.duplicates,
      "posts refused": run.refused,
      "streams broken": run.broken,
      "lost on return": returned?.lost ?? 0,
      "duplicates on return": returned?.duplicates ?? 0,
      "streams broken on return": returned?.broken ?? 0,
    };
    return Object.entries(counts).filter(([, value]) => value > 0)
      .map(([name, value]) => `${target}, ${number(readers)} readers: ${name} ${number(value)}`);
  });
}

/** A number for people: three significant digits, or a whole number from 100 on. */
export function number(value: number): string {
  return value.toLocaleString(
    "en",
    value < 100 ? { maximumSignificantDigits: 3 } : {
      maximumFractionDigits: 0,
    },
  );
}

function count(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function optional(value: number | undefined, unit: string): string {
  return value === undefined ? "–" : `${number(value)} ${unit}`;
}
