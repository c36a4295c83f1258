/** A store whose logs take a moment to open and to close, as they would on another machine. */

import type { MessageStore } from "../message_log/message_log.ts";
import { changedLog, changedStore } from "./open_log.ts";

/** What takes a moment. */
export type Change = "open" | "close";

/** The store, of which every log is opened and closed once `moment` resolves. */
export function slowly(
  store: MessageStore,
  moment: (change: Change, room: string) => Promise<void>,
): MessageStore {
  return changedStore(store, {
    async openLog(room) {
      await moment("open", room);
      const log = await store.openLog(room);
      return changedLog(log, {
        async [Symbol.asyncDispose]() {
          await moment("close", room);
          await log[Symbol.asyncDispose]();
        },
      });
    },
  });
}
