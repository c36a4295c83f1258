/**
 * Plots what the benchmark wrote with `--json`: deliveries per second and p99
 * against the number of readers.
 *
 * ```sh
 * deno task bench --readers 100,300,1000,3000 --baseline --json bench.json
 * deno run --allow-read --allow-write bench/plot.ts bench.json docs/performance.svg
 * ```
 */

import type { Measurement, Results } from "./report.ts";
import { heading, number } from "./report.ts";
import type { Target } from "./server.ts";

const WIDTH = 760;
const HEIGHT = 376;
const PANEL = { top: 64, width: 290, height: 210 } as const;
const PANEL_LEFTS = [64, 448] as const;
const TARGETS: readonly Target[] = ["project", "baseline"];

/** Colours for a white background and, in the media query, for a black one. */
const STYLE = `
    text { font: 12px system-ui, sans-serif; fill: #1f2328; }
    .title { font-size: 14px; font-weight: 600; }
    .note { fill: #59636e; }
    .grid { stroke: #d1d9e0; }
    .axis { stroke: #59636e; }
    polyline { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
    .project { stroke: #0969da; fill: #0969da; }
    .baseline { stroke: #bc4c00; fill: #bc4c00; }
    polyline.project, polyline.baseline { fill: none; }
    polyline.baseline { stroke-dasharray: 6 4; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .note { fill: #9198a1; }
      .grid { stroke: #3d444d; }
      .axis { stroke: #9198a1; }
      .project { stroke: #4493f8; fill: #4493f8; }
      .baseline { stroke: #f0883e; fill: #f0883e; }
    }`;

/** One of the two diagrams. */
interface Panel {
  readonly title: string;
  readonly left: number;
  readonly value: (measurement: Measurement) => number;
  /** The axis label of a value. */
  readonly tick: (value: number) => string;
}

const PANELS: readonly Panel[] = [
  {
    title: "Deliveries per second (higher is better)",
    left: PANEL_LEFTS[0],
    value: ({ deliveriesPerSecond }) => deliveriesPerSecond,
    tick: (value) => value < 1000 ? number(value) : `${number(value / 1000)} k`,
  },
  {
    title: "p99 in milliseconds (lower is better)",
    left: PANEL_LEFTS[1],
    value: ({ p99Ms }) => p99Ms,
    tick: number,
  },
];

/** The results as an SVG. */
export function plot({ measurements, options, system, deno, date }: Results): string {
  const readers = [...new Set(measurements.map(({ readers }) => readers))].sort((a, b) => a - b);
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    "  <title>Deliveries per second and p99 against the number of readers</title>",
    `  <style>${STYLE}\n  </style>`,
    ...legend(measurements),
    ...PANELS.flatMap((panel) => drawPanel(panel, measurements, readers)),
    text(PANEL_LEFTS[0], HEIGHT - 30, heading(options), "note"),
    text(PANEL_LEFTS[0], HEIGHT - 12, `Deno ${deno} on ${system}, ${date.slice(0, 10)}`, "note"),
    "</svg>",
  ];
  return `${lines.join("\n")}\n`;
}

function drawPanel(panel: Panel, measurements: readonly Measurement[], readers: number[]) {
  const { title, left, value, tick } = panel;
  const { top, width, height } = PANEL;
  const bottom = top + height;
  const x = horizontal(left + 12, width - 24, readers);
  const step = roundStep(Math.max(...measurements.map(value)) / 4);
  const max = Math.max(step, Math.ceil(Math.max(...measurements.map(value)) / step) * step);
  const y = (value: number) => bottom - value / max * height;

  const lines = [text(left, top - 14, title, "title")];
  for (let at = 0; at <= max * 1.0001; at += step) {
    lines.push(
      line(left, y(at), left + width, y(at), at === 0 ? "axis" : "grid"),
      text(left - 8, y(at) + 4, tick(at), "note", "end"),
    );
  }
  for (const count of readers) {
    lines.push(
      line(x(count), bottom, x(count), bottom + 5, "axis"),
      text(x(count), bottom + 20, number(count), "note", "middle"),
    );
  }
  lines.push(text(left + width / 2, bottom + 40, "readers", "note", "middle"));
  for (const target of TARGETS) {
    const points = measurements.filter((measurement) => measurement.target === target)
      .sort((a, b) => a.readers - b.readers)
      .map((measurement) => [x(measurement.readers), y(value(measurement))].map(round));
    if (points.length === 0) continue;
    lines.push(
      `  <polyline class="${target}" points="${points.join(" ")}"/>`,
      ...points.map(([cx, cy]) => `  <circle class="${target}" cx="${cx}" cy="${cy}" r="3.5"/>`),
    );
  }
  return lines;
}

function legend(measurements: readonly Measurement[]): string[] {
  const shown = TARGETS.filter((name) => measurements.some(({ target }) => target === name));
  const names = { project: "sse-chat", baseline: "plain hub in Deno" };
  return shown.flatMap((target, at) => {
    const left = PANEL_LEFTS[0] + at * 110;
    return [
      `  <polyline class="${target}" points="${left},20 ${left + 26},20"/>`,
      text(left + 34, 24, names[target]),
    ];
  });
}

/** Maps a number of readers to its x coordinate, on a logarithmic scale. */
function horizontal(left: number, width: number, readers: number[]): (count: number) => number {
  const [first, last] = [Math.log(readers[0]), Math.log(readers.at(-1)!)];
  return (count) =>
    last === first ? left + width / 2 : left + (Math.log(count) - first) / (last - first) * width;
}

/** The step of an axis: 1, 2 or 5 times a power of ten, at least `min`. */
function roundStep(min: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(min, 1e-6)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= min * 0.999)!;
}

function text(x: number, y: number, content: string, name = "", anchor = "start"): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `  <text x="${round(x)}" y="${round(y)}" class="${name}" text-anchor="${anchor}">` +
    `${escaped}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, name: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map(round);
  return `  <line class="${name}" x1="${a}" y1="${b}" x2="${c}" y2="${d}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

if (import.meta.main) {
  const [from, to, ...rest] = Deno.args;
  if (!from || !to || rest.length > 0) {
    console.error("Usage: plot.ts RESULTS.json PLOT.svg");
    Deno.exit(2);
  }
  await Deno.writeTextFile(to, plot(JSON.parse(await Deno.readTextFile(from))));
}
