/** Loads what counts, for a run that is to. */

import { type Config, VERSION } from "../config.ts";
import type { Metrics } from "./metrics.ts";

/** The metrics of this run, if its settings want any; other runs load nothing for them. */
export async function loadMetrics(config: Pick<Config, "metrics">): Promise<Metrics | undefined> {
  if (!config.metrics) return undefined;
  const { Metrics } = await import("./metrics.ts");
  return new Metrics(VERSION);
}
