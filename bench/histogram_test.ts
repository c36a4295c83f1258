import { assert, assertEquals } from "@std/assert";
import { Histogram } from "./histogram.ts";

Deno.test("Histogram.quantile() is exact for short durations", () => {
  const histogram = new Histogram();
  for (let duration = 1; duration <= 50; duration++) histogram.record(duration);
  assertEquals(histogram.quantile(0.5), 25);
  assertEquals(histogram.quantile(0.99), 50);
  assertEquals(histogram.count, 50);
});

Deno.test("Histogram.quantile() is at most 1.6% too high for long durations", () => {
  for (let duration = 60; duration < 2e9; duration = Math.ceil(duration * 1.007)) {
    const histogram = new Histogram();
    histogram.record(duration);
    histogram.record(0x7fffffff);
    const off = histogram.quantile(0.5) / duration - 1;
    assert(off >= 0 && off < 0.016, `${duration}: ${off}`);
  }
});

Deno.test("Histogram.record() accepts durations out of range", () => {
  const histogram = new Histogram();
  assertEquals(histogram.quantile(0.5), 0);
  histogram.record(-5);
  assertEquals(histogram.quantile(1), 0);
  histogram.record(1e12);
  assertEquals(histogram.quantile(1), 0x7fffffff);
});
