/**
 * How a body is handed to Deno so that a connection costs little: in small pieces,
 * one a turn of the event loop. Deno gathers what it is given at once in a buffer that
 * the connection keeps for as long as it is open, some 150 KB of it for a client
 * that takes nothing; pieces that come in turns are written one by one.
 */

/** The size of a piece, in bytes. */
export const PIECE_BYTES = 8 * 1024;

let turn: Promise<void> | undefined;

/** The next turn of the event loop; the same promise for all that wait for it. */
export function nextTurn(): Promise<void> {
  return turn ??= new Promise((resolve) =>
    setImmediate(() => {
      turn = undefined;
      resolve();
    })
  );
}
