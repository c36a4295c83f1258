/** A store whose logs take a moment to open and to close, as they would on another machine. */

import type { MessageLog, MessageStore } from "../message_log/message_log.ts";

/** What takes a moment. */
export type Change = "open" | "close";

/** The store, of which every log is opened and closed once `moment` resolves. */
export function slowly(
  store: MessageStore,
  moment: (change: Change, room: string) => Promise<void>,
): MessageStore {
  return {
    id: store.id,
    secret: store.secret,
    revoked: store.revoked,
    rooms: () => store.rooms(),
    async openLog(room) {
      await moment("open", room);
      return slowToClose(await store.openLog(room), () => moment("close", room));
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

function slowToClose(log: MessageLog, moment: () => Promise<void>): MessageLog {
  return {
    append: (post) => log.append(post),
    read: (range) => log.read(range),
    remove: (what) => log.remove(what),
    get state() {
      return log.state;
    },
    update: (change) => log.update(change),
    addressOf: (by) => log.addressOf(by),
    subscribe: (onBatch) => log.subscribe(onBatch),
    async [Symbol.asyncDispose]() {
      await moment();
      await log[Symbol.asyncDispose]();
    },
  };
}
