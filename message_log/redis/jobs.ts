/** What waits for a log's next script: see write.lua. */

import type { Post } from "../../chat_message.ts";
import {
  type Appended,
  isSameText,
  KeyConflictError,
  type Refuse,
  RemovedError,
  RoomLimitError,
  type RoomState,
} from "../message_log.ts";
import { withoutEnded } from "../room_state.ts";
import { toEntry, toJson } from "./entries.ts";
import type { RawEntry } from "./tail.ts";

/** What the jobs of a turn go by, and what they make of it. */
export interface Turn {
  readonly now: number;
  state: RoomState;
}

/** Something that waits to be written. */
export interface Job {
  /** How many entries it may append. */
  readonly maxEntries: number;
  /** What the script is to do, if anything; called again where the state turns out to be another. */
  encode(turn: Turn): readonly string[];
  /** Takes what the script has answered; resolves its promise. */
  settle(result: unknown): void;
  fail(error: unknown): void;
}

/** A post that waits to be appended. */
export class PostJob implements Job {
  readonly maxEntries = 1;
  #refusal: Error | undefined;

  constructor(
    readonly post: Post,
    readonly refuse: Refuse | undefined,
    readonly resolve: (appended: Appended) => void,
    readonly fail: (error: unknown) => void,
  ) {}

  encode({ state, now }: Turn): readonly string[] {
    const { key = "", nickname, message, by = "", address = "", moderator } = this.post;
    this.#refusal = this.refuse?.(withoutEnded(state, now), now);
    const kind = this.#refusal ? "refused" : "post";
    return [kind, key, nickname, message, by, address, moderator ? "1" : ""];
  }

  /** What has become of it, as the script says. */
  toResult(result: unknown): Appended | Error {
    if (typeof result !== "string") {
      const entry = toEntry(result as RawEntry);
      return isSameText(entry, this.post)
        ? { entry, repeated: true }
        : new KeyConflictError("The key belongs to another message");
    }
    if (result === "refused") return this.#refusal!;
    if (result === "removed") {
      return new RemovedError("The message with this key has been removed");
    }
    if (result === "full") return new RoomLimitError("As many rooms as may be have messages");
    return { entry: { id: result, json: toJson(result, this.post) }, repeated: false };
  }

  settle(result: unknown): void {
    if (result instanceof Error) this.fail(result);
    else this.resolve(result as Appended);
  }
}

/** A change of the state that waits to be made. */
export class UpdateJob implements Job {
  readonly maxEntries = 0;
  #result: { readonly state: RoomState } | { readonly error: unknown } | undefined;

  constructor(
    readonly change: (state: RoomState) => RoomState,
    readonly resolve: (state: RoomState) => void,
    readonly fail: (error: unknown) => void,
  ) {}

  encode(turn: Turn): readonly string[] {
    try {
      const state = this.change(withoutEnded(turn.state, turn.now));
      this.#result = { state };
      turn.state = state;
    } catch (error) {
      this.#result = { error };
    }
    return [];
  }

  settle(): void {
    const result = this.#result!;
    if ("error" in result) this.fail(result.error);
    else this.resolve(result.state);
  }
}
