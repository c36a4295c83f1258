import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseOptions } from "./options.ts";
import { plot } from "./plot.ts";
import type { Measurement, Results } from "./report.ts";

function results(...measurements: Partial<Measurement>[]): Results {
  return {
    date: "2026-11-23T20:00:00.000Z",
    deno: "2.9.6",
    system: "linux x86_64, 2 cores",
    pinned: true,
    options: parseOptions(["--message-log", "sqlite:<a&b>"]),
    measurements: measurements as Measurement[],
  };
}

const measured = (target: "project" | "baseline", readers: number) => ({
  target,
  readers,
  deliveriesPerSecond: readers * 100,
  p99Ms: readers / 10,
});

Deno.test("plot() draws a line per server and a point per measurement in each diagram", () => {
  const svg = plot(results(
    ...[100, 1000, 5000].flatMap((readers) => [
      measured("project", readers),
      measured("baseline", readers),
    ]),
  ));
  assertEquals(svg.match(/<circle/g)?.length, 12);
  // Two of them are in the legend.
  assertEquals(svg.match(/<polyline/g)?.length, 6);
  assertStringIncludes(svg, ">400 k</text>");
  assertStringIncludes(svg, ">5,000</text>");
  assertStringIncludes(svg, "sqlite:&lt;a&amp;b>");
});

Deno.test("plot() draws a single measurement without a baseline", () => {
  const svg = plot(results(measured("project", 1000)));
  assertEquals(svg.match(/<circle/g)?.length, 2);
  assertEquals(svg.includes("NaN"), false);
});
