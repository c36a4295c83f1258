/**
 * Content negotiation: `@std/http/negotiation` with its official types, over
 * the untyped copy of the same code on npm.
 *
 * @module
 */
import * as untyped from "deno-std/http/negotiation.js";

/** The media types a request accepts, best first, or the best of those given. */
export const accepts: {
  (request: Pick<Request, "headers">): string[];
  <T extends string = string>(
    request: Pick<Request, "headers">,
    ...types: T[]
  ): T | undefined;
} = untyped.accepts;
