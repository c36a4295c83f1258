/**
 * How readers and messages are spread over rooms: evenly, one room after another. Reader n is
 * in the room that message n goes to.
 */

/** The paths of this many rooms; if there is one, it is the main room. */
export function roomPaths(rooms: number): string[] {
  if (rooms === 1) return ["/chat"];
  return Array.from({ length: rooms }, (_, n) => `/room${n + 1}/chat`);
}

/** Whether a message goes to the room that a reader is in. */
export function isInRoom(reader: number, message: number, rooms: number): boolean {
  return reader % rooms === message % rooms;
}

/** How many readers there are in the room that a message goes to. */
export function readersOf(message: number, readers: number, rooms: number): number {
  return Math.ceil((readers - message % rooms) / rooms);
}
