/** What an attack came to, and the table of all. */

import type { AttackOptions } from "./options.ts";

/** An attack on a server of its own. */
export interface Attack {
  readonly name: string;
  /** What must hold for those who do no harm, in words. */
  readonly asked: string;
  play(options: AttackOptions): Promise<Outcome>;
}

/** How an attack ended. */
export interface Outcome {
  /** The figures. */
  readonly happened: string;
  /** Whether all that was asked is so. */
  readonly isReached: boolean;
}

/** A row of the table. */
export interface Row extends Pick<Attack, "name" | "asked">, Outcome {}

/** All rows, as a table that documents can have. */
export function table(rows: readonly Row[]): string {
  const cells = [
    ["attack", "what happened", "asked", "ok"],
    ...rows.map(({ name, happened, asked, isReached }) => [
      name,
      happened,
      asked,
      isReached ? "yes" : "no",
    ]),
  ];
  const widths = cells[0].map((_, at) => Math.max(...cells.map((row) => row[at].length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((text, at) => text.padEnd(widths[at])).join(" | ")} |`;
  const rule = line(widths.map((width) => "-".repeat(width)));
  return [line(cells[0]), rule, ...cells.slice(1).map(line)].join("\n");
}

/** Durations in milliseconds. */
export class Durations {
  readonly #sorted: readonly number[];

  constructor(durations: readonly number[]) {
    this.#sorted = durations.toSorted((a, b) => a - b);
  }

  /** The duration that a share of all do not exceed; infinite if there are none. */
  quantile(share: number): number {
    const { length } = this.#sorted;
    return this.#sorted[Math.max(0, Math.ceil(share * length) - 1)] ?? Infinity;
  }

  /** p50, p95 and the longest. */
  toString(): string {
    return [0.5, 0.95, 1].map((share) => short(this.quantile(share))).join(" / ");
  }
}

/** A number with as many digits as matter. */
export function short(value: number): string {
  return value < 10 && !Number.isInteger(value)
    ? value.toFixed(1)
    : Math.round(value).toLocaleString("en");
}
