/**
 * Prints what `deno task compile` leaves out: the tests of a package that prom-client needs. Deno takes
 * their data, 100,000 numbers of which every other is negative, for one expression of JavaScript, and
 * overflows its stack (denoland/deno#36746).
 */

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import "prom-client";

const loaded = Object.keys(createRequire(import.meta.url).cache);
const bintrees = loaded.find((path) => /[\\/]bintrees[\\/][^\\/]+[\\/]index\.js$/.test(path))!;
console.log(join(dirname(bintrees), "test"));
