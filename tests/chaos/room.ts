/** What is known of one room in a run: what was sent to it, what became of that, who is to stay away. */

import { type ChatMessage, compareIds, parseId } from "../../chat_message.ts";
import type { Instance } from "./instance.ts";
import type { Run } from "./run.ts";

/** A post as it was sent, and the response to it. */
export interface Sent {
  readonly nickname: string;
  readonly message: string;
  /** The stored message as JSON, once there was a response. */
  stored?: string;
}

/** One room of a run. */
export class Room {
  readonly run: Run;
  /** Empty for the main room. */
  readonly name: string;
  /** By key; a post is here before it is sent. */
  readonly sent = new Map<string, Sent>();
  /** The JSON that the first reader of a message received, by id. */
  readonly received = new Map<string, string>();
  /** How many of the posts have a response. */
  stored = 0;
  /** The logs that were replaced by an older copy. */
  readonly replacedLogs: (readonly ChatMessage[])[] = [];
  /** How many messages the copy of the log has. */
  #copied = 0;
  #recess: PromiseWithResolvers<void> | undefined;

  constructor(run: Run, name: string) {
    this.run = run;
    this.name = name;
  }

  /** The path of its stream, history and posts. */
  get path(): string {
    return `${this.#base}/chat`;
  }

  /** Its address at the first server, without the path. */
  get url(): string {
    return this.urlAt(this.run.instances[0]);
  }

  /** Its address at a server, without the path. */
  urlAt({ url }: Instance): string {
    return `${url}${this.#base}`;
  }

  /** Resolves when readers may come back, after all of them were to leave; undefined while they may stay. */
  get recess(): Promise<void> | undefined {
    return this.#recess?.promise;
  }

  beginRecess(): void {
    this.#recess = Promise.withResolvers();
  }

  endRecess(): void {
    this.#recess?.resolve();
    this.#recess = undefined;
  }

  /** Notes what is wrong in it. */
  problem(kind: string, detail: string): void {
    this.run.problem(kind, `${detail} (in /${this.name})`);
  }

  /** Takes note of a message that arrived: all readers must receive the same. */
  receive(reader: string, id: string, json: string): void {
    const first = this.received.get(id);
    if (first === undefined) this.received.set(id, json);
    else if (first !== json) {
      this.problem("readers received different messages", `${reader}: ${json}, another: ${first}`);
    }
    this.run.note("message");
  }

  /** The number of the log that the server has now. */
  get log(): number {
    return this.replacedLogs.length;
  }

  /** How many messages a log has at most. */
  maxLength(log: number): number {
    return this.replacedLogs[log]?.length ?? this.sent.size;
  }

  /** The log as the responses to the posts have it. */
  messages(): ChatMessage[] {
    return Array.from(this.sent.values(), ({ stored }) => stored).filter((json) => json)
      .map((json): ChatMessage => JSON.parse(json!)).sort((a, b) => compareIds(a.id, b.id));
  }

  /** Takes note that the log was copied. */
  copyLog(): void {
    this.#copied = this.stored;
  }

  /** Takes note that the copy was put in the place of the log. */
  restoreLog(): void {
    this.replacedLogs.push(this.messages());
    for (const [key, { stored }] of this.sent) {
      if (parseId(JSON.parse(stored!).id)!.seq > this.#copied) this.sent.delete(key);
    }
    this.stored = this.sent.size;
  }

  get #base(): string {
    return this.name && `/${this.name}`;
  }
}
