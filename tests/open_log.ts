/** The main room's log in a store of its own. */

import type { MessageLog, MessageStore } from "../message_log/message_log.ts";
import { openMessageStore } from "../message_log/open.ts";
import type { SqliteStoreOptions } from "../message_log/sqlite_store.ts";

/** Opens a store for its main room alone; the log disposes of it. */
export async function openLog(url: string, options: SqliteStoreOptions): Promise<MessageLog> {
  return await openMainLog(await openMessageStore(url, options));
}

/** Opens the main room's log, which disposes of the store. */
export async function openMainLog(store: MessageStore): Promise<MessageLog> {
  return owning(await store.openLog(""), store);
}

/** A log that disposes of its store. */
export function owning(log: MessageLog, store: MessageStore): MessageLog {
  return changedLog(log, {
    async [Symbol.asyncDispose]() {
      await log[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  });
}

/** A log of which some is otherwise. */
export function changedLog(
  log: MessageLog,
  changes: Partial<Omit<MessageLog, "state">>,
): MessageLog {
  return {
    append: (post, refuse) => log.append(post, refuse),
    read: (range) => log.read(range),
    remove: (what) => log.remove(what),
    delete: () => log.delete(),
    get state() {
      return log.state;
    },
    update: (change) => log.update(change),
    addressOf: (by) => log.addressOf(by),
    subscribe: (onBatch) => log.subscribe(onBatch),
    elsewhere: log.elsewhere,
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
    ...changes,
  };
}

/** A store of which some is otherwise. */
export function changedStore(
  store: MessageStore,
  changes: Partial<MessageStore>,
): MessageStore {
  return {
    id: store.id,
    secret: store.secret,
    revoked: store.revoked,
    rooms: () => store.rooms(),
    probe: () => store.probe(),
    openLog: (room) => store.openLog(room),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    ...changes,
  };
}
