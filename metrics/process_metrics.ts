/**
 * What the process uses, by the names that Prometheus gives to it. prom-client's own would read /proc,
 * which the server may not, and then says 0.
 */

import process from "node:process";
import { Counter, Gauge, type Registry } from "prom-client";

/** Adds the metrics of this process; each is read when somebody asks. */
export function registerProcess(registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory size in bytes.",
    registers,
    collect() {
      this.set(Deno.memoryUsage().rss);
    },
  });
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Total user and system CPU time spent in seconds.",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: "process_start_time_seconds",
    help: "Start time of the process since unix epoch in seconds.",
    registers,
  }).set(performance.timeOrigin / 1000);
}
