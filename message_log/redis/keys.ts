/** The names of all that is kept in Redis. The braces put them in one slot of a cluster. */

export const KEYS = {
  /** Hash: when the chat began, its secret, the version of this layout. */
  chat: "{chat}",
  /** Sorted set: the rooms with messages (1) and those with a state only (0), but the main room. */
  rooms: "{chat}:rooms",
  /** Stream: rooms whose state has changed, sessions that have ended. */
  changes: "{chat}:changes",
  /** Sorted set: the sessions that have ended before their time, by when that would have been. */
  revoked: "{chat}:revoked",
  /** Hash: what each instance says of itself, and until when. */
  instances: "{chat}:instances",
  /** Stream: what is written to see whether that is possible. */
  probe: "{chat}:probe",
};

/** Those of a room. */
export interface RoomKeys {
  /** Stream: the entries, by their ids. */
  readonly log: string;
  /** Hash: the ids of posts, by their keys. */
  readonly keys: string;
  /** Hash: the id of a mark's last message and the address that it came from. */
  readonly marks: string;
  /** Sorted set by sequence number: the messages that have been removed, each with mark and key. */
  readonly removed: string;
  /** The same for those that were removed all at once. */
  readonly cleared: string;
  /** Stream: the log as it is being written anew. */
  readonly copy: string;
  /** Hash: what there is besides messages. */
  readonly room: string;
}

export function roomKeys(room: string): RoomKeys {
  const key = (kind: string) => `{chat}:${kind}:${room}`;
  return {
    log: key("log"),
    keys: key("keys"),
    marks: key("marks"),
    removed: key("removed"),
    cleared: key("cleared"),
    copy: key("copy"),
    room: key("room"),
  };
}

/** The stream that wakes an instance which waits for entries. */
export function wakeKey(instance: string): string {
  return `{chat}:wake:${instance}`;
}
