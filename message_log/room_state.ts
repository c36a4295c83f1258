/** What a log keeps of a room besides its messages, as text. */

import type { RoomState } from "./message_log.ts";

/** Of a room that nobody moderates. */
export const USUAL: RoomState = { closed: false, muted: [] };

/** The state without the mutes that have ended. */
export function withoutEnded(state: RoomState, now: number): RoomState {
  const muted = state.muted.filter(({ until }) => until > now);
  return muted.length === state.muted.length ? state : { ...state, muted };
}

export function isUsual(state: RoomState): boolean {
  return !state.closed && state.muted.length === 0;
}

/** The state as JSON, null for the usual one. */
export function stateJson(state: RoomState): string | null {
  return isUsual(state) ? null : JSON.stringify(state);
}

export function parseState(json: string | null): RoomState {
  return json === null ? USUAL : { ...USUAL, ...JSON.parse(json) };
}
