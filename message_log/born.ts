/** Where a room begins. */

/**
 * The milliseconds of a room's first cursor, `<born>-0`, which is its own: it is before the beginning of
 * the chat by a time that depends on the name.
 */
export function bornOf(room: string, chatBorn: number): number {
  return chatBorn - hashOf(room);
}

/** A number of 32 bits for a text (FNV-1a). */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
