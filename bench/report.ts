/** What a run of the benchmark found: its form as JSON, and as a table for people. */

import type { LoadResult } from "./load.ts";
import type { Options } from "./options.ts";
import type { Return } from "./return.ts";
import type { Target } from "./server.ts";

/** One server under one number of readers. */
export interface Measurement extends LoadResult {
  readonly target: Target;
  readonly readers: number;
  readonly deliveriesPerSecond: number;
  /** Until every reader was live. */
  readonly connectSeconds: number;
  /** Server CPU for a delivery; none where the system does not tell. */
  readonly cpuMicrosPerDelivery?: number;
  /** What the server's resident memory grew by while readers connected, for each. */
  readonly kibPerReader?: number;
  /** The share of one core that the load used: near 1, it was the limit. */
  readonly loadCpuShare?: number;
  /** With `--return`. */
  readonly return?: Return;
}

/** All that a run writes with `--json`. */
export interface Results {
  readonly date: string;
  readonly deno: string;
  readonly system: string;
  /** Server and load each had a core of their own. */
  readonly pinned: boolean;
  readonly options: Options;
  readonly measurements: readonly Measurement[];
}

/** Above this share of a core, the load may be what limits. */
const LOAD_LIMIT = 0.9;

type Column = readonly [
  head: string,
  text: (measurement: Measurement) => string,
  /** What the ratio row compares. */
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
  ["twice", ({ duplicates }) => number(duplicates)],
];

/** Shown where readers came back. */
const RETURN_COLUMNS: readonly Column[] = [
  ["back in", (row) => optional(row.return?.seconds, "s"), (row) => row.return?.seconds],
  ["CPU for it", (row) => optional(row.return?.cpuSeconds, "s"), (row) => row.return?.cpuSeconds],
];

/** What is about to be measured, in a line. */
export function heading({ publishers, messages, rate, size, messageLog }: Options): string {
  const pace = rate > 0 ? `${number(rate)} a second` : "as fast as they are answered";
  return `${count(publishers, "publisher")}, ${count(messages, "message")} of ${size} bytes, ` +
    `${pace}; --message-log ${messageLog}`;
}

/** The measurements as a table, each baseline followed by how the project compares. */
export function table({ measurements, pinned }: Results): string {
  const columns = measurements.some((row) => row.return)
    ? [...COLUMNS, ...RETURN_COLUMNS]
    : COLUMNS;
  const rows = [columns.map(([head]) => head)];
  for (const measurement of measurements) {
    rows.push(columns.map(([, text]) => text(measurement)));
    const project = measurement.target === "baseline" &&
      measurements.find(({ target, readers }) =>
        target === "project" && readers === measurement.readers
      );
    if (project) {
      const ratios = columns.map(([, , compared]) => {
        const [ours, theirs] = [compared?.(project), compared?.(measurement)];
        return ours === undefined || !theirs ? "" : `${number(ours / theirs)} ×`;
      });
      rows.push(["ratio", ...ratios.slice(1)]);
    }
  }
  const widths = columns.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const lines = rows.map((row) =>
    row.map((text, at) => at === 0 ? text.padEnd(widths[at]) : text.padStart(widths[at]))
      .join("  ").trimEnd()
  );
  return [...lines, "", ...notes(measurements, pinned)].join("\n");
}

function notes(measurements: readonly Measurement[], pinned: boolean): string[] {
  const notes = [
    pinned
      ? "Server and load had a core each."
      : "Server and load shared the cores: no taskset here, or one core only.",
  ];
  if (measurements.some(({ loadCpuShare = 0 }) => loadCpuShare > LOAD_LIMIT)) {
    notes.push(
      `Where the load's CPU is over ${LOAD_LIMIT * 100} %, the load was the limit: ` +
        "the server can do more, and part of p50 and p99 is the load's own.",
    );
  }
  if (measurements.some(({ loadCpuShare }) => loadCpuShare === undefined)) {
    notes.push("CPU and memory are read from /proc, which only Linux has.");
  }
  return notes;
}

/** What is wrong with the measurements; none of it may be. */
export function faults(measurements: readonly Measurement[]): string[] {
  return measurements.flatMap(({ target, readers, return: back, ...run }) => {
    const counts = {
      lost: run.lost,
      twice: run.duplicates,
      "posts refused": run.refused,
      "streams broken": run.broken,
      "lost on return": back?.lost ?? 0,
      "twice on return": back?.duplicates ?? 0,
      "streams broken on return": back?.broken ?? 0,
    };
    return Object.entries(counts).filter(([, value]) => value > 0)
      .map(([name, value]) => `${target}, ${number(readers)} readers: ${name} ${number(value)}`);
  });
}

/** A number as people read it: three digits, or all before the point. */
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
