/** What `deno task attack` takes. */

import { parseArgs } from "node:util";

/** The options of one run. */
export interface AttackOptions {
  /** No less is attacked, but not for as long. */
  readonly short: boolean;
  /** Another checkout of the project whose server is attacked. */
  readonly checkout?: string;
  /** Flags for the server. */
  readonly flags: readonly string[];
}

/**
 * Reads the options; all other flags are the server's.
 *
 * @throws {RangeError} For one that would let others in on it.
 */
export function readOptions(args: readonly string[]): AttackOptions {
  const options = { short: { type: "boolean" }, checkout: { type: "string" } } as const;
  const { values, tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true });
  if ("hostname" in values) {
    throw new RangeError(
      "--hostname can't be set: attacks are for this machine alone; leave it out",
    );
  }
  const ours = tokens.flatMap((token) => {
    if (token.kind !== "option" || !(token.name in options)) return [];
    return token.value === undefined || token.inlineValue
      ? [token.index]
      : [token.index, token.index + 1];
  });
  return {
    short: values.short === true,
    checkout: typeof values.checkout === "string" ? values.checkout : undefined,
    flags: args.filter((_, index) => !ours.includes(index)),
  };
}
