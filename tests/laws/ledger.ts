/**
 * What the log has acknowledged, as the test remembers it, and the run of it that
 * one client has seen. Both assert: laws 1, 2 and 4 are in here.
 */

import { assert, assertEquals } from "@std/assert";
import { compareIds, parseId, type Post } from "../../chat_message.ts";
import type { Appended, LogEntry, Start } from "../../message_log/message_log.ts";

interface Message extends LogEntry {
  readonly post: Pick<Post, "nickname" | "message">;
  /** The number of the last message that was in the log before its batch. */
  readonly batchStart: number;
  key?: string;
}

/** Everything in the log, in order; the message with sequence number n is the nth. */
export class Ledger {
  readonly #keep: number;
  /** The cursor before the first message. */
  readonly #birth: string;
  readonly #messages: Message[] = [];
  readonly #erased = new Set<number>();
  /** Ids that were acknowledged before an older copy of the file was put back. */
  readonly lost: string[] = [];

  constructor(keep: number, birth: string) {
    this.#keep = keep;
    this.#birth = birth;
  }

  /** The sequence number of the newest message. */
  get last(): number {
    return this.#messages.length;
  }

  idOf(seq: number): string {
    return seq === 0 ? this.#birth : this.#messages[seq - 1].id;
  }

  jsonOf(seq: number): string {
    return this.#messages[seq - 1].json;
  }

  /** The sequence number of an id that the log has given; undefined for any other. */
  find(id: string): number | undefined {
    const seq = parseId(id)?.seq ?? Infinity;
    return seq <= this.last && this.idOf(seq) === id ? seq : undefined;
  }

  /** Takes a batch in: law 1. */
  add(batch: readonly LogEntry[], batchStart = this.last): void {
    for (const { id, json } of batch) {
      const before = this.idOf(this.last);
      assert(compareIds(before, id) < 0, `the id ${id} comes after ${before}`);
      assertEquals(parseId(id)!.seq, this.last + 1, "sequence numbers count the messages");
      assert(parseId(id)!.ms >= parseId(before)!.ms, `${id} steps back from ${before}`);
      assert(!this.lost.includes(id), `the id ${id} was another message's`);
      const { nickname, message, ...rest } = JSON.parse(json);
      assertEquals(rest.id, id);
      this.#messages.push({ id, json, batchStart, post: { nickname, message } });
    }
  }

  /** Checks the answer to a post: law 4. */
  answer(post: Post, { entry, repeated }: Appended): void {
    // A log that is being closed answers without emitting.
    const start = this.#messages.at(-1)?.batchStart;
    if (parseId(entry.id)!.seq === this.last + 1) this.add([entry], start);
    const seq = this.find(entry.id);
    assert(seq !== undefined, `the answer has the unknown id ${entry.id}`);
    const message = this.#messages[seq - 1];
    assert(entry.json === message.json, `${entry.id} is not what the log emitted`);
    const { nickname, message: text } = message.post;
    assert(nickname === post.nickname && text === post.message, `${entry.id} is another post`);
    if (repeated) return assertEquals(message.key, post.key, "a repeat of another key's message");
    assertEquals(message.key, undefined, "two posts became one message");
    if (post.key === undefined) return;
    const earlier = this.#messages.findLastIndex(({ key }) => key === post.key) + 1;
    const isKnown = earlier > message.batchStart - this.#keep && !this.#erased.has(earlier);
    assert(earlier === 0 || !isKnown, `the key of ${this.idOf(earlier)} was taken again`);
    message.key = post.key;
  }

  /** Checks that a key was refused for a reason: law 4. */
  refuse({ key, message }: Post): void {
    const other = this.#messages.find((other) =>
      other.key === key && other.post.message !== message
    );
    assert(other, `the key ${key} was refused although no other message has it`);
  }

  erase(from: number, to: number): void {
    for (let seq = from; seq <= to; seq++) this.#erased.add(seq);
  }

  /** An older copy of the file was put back: what came after it is lost. */
  cutTo(last: number, erased: Iterable<number>): void {
    this.lost.push(...this.#messages.splice(last).map(({ id }) => id));
    this.#erased.clear();
    for (const seq of erased) this.#erased.add(seq);
  }

  get erased(): ReadonlySet<number> {
    return this.#erased;
  }

  /** Whether a message is neither trimmed nor erased. */
  isKept(seq: number): boolean {
    return seq > this.last - this.#keep && !this.#erased.has(seq);
  }

  /** The first kept message in a span; undefined if none of it is. */
  firstKept(from: number, to: number): number | undefined {
    for (let seq = Math.max(from, this.last - this.#keep + 1); seq <= to; seq++) {
      if (this.isKept(seq)) return seq;
    }
  }
}

/** The run of the log that one client sees, from where it begins: law 2. */
export class Run {
  readonly #ledger: Ledger;
  /** The sequence number of the last message that it has seen, or began after. */
  #at: number;
  /** Where it begins there may be less than was asked for. */
  #isFresh = false;
  /** Its cursor is unknown to the log, and it has not been told yet. */
  #isUnknown = false;
  #missed = 0;

  constructor(ledger: Ledger, start: Start) {
    this.#ledger = ledger;
    const seq = "latest" in start
      ? ledger.last - start.latest
      : start.since === undefined
      ? 0
      : ledger.find(start.since);
    this.#isFresh = "latest" in start || start.since === undefined;
    this.#isUnknown = seq === undefined;
    this.#at = Math.max(seq ?? 0, 0);
  }

  get at(): number {
    return this.#at;
  }

  gap(missed: number | null): void {
    if (this.#isUnknown) {
      assertEquals(missed, null, "a number of messages missed since an unknown cursor");
      this.#isUnknown = false;
      this.#isFresh = true;
      return;
    }
    assert(missed !== null, `told that the cursor ${this.#ledger.idOf(this.#at)} is unknown`);
    assert(missed > 0 && this.#missed === 0, `told that ${missed} are missing`);
    this.#missed = missed;
  }

  message(id: string, json: string): void {
    const seq = this.#ledger.find(id);
    assert(seq !== undefined, `got ${id}, which is not in the log`);
    assert(json === this.#ledger.jsonOf(seq), `${id} is not what the log has`);
    this.#moveTo(seq, seq - 1);
  }

  /** A cursor without a message: the log ends there. */
  cursor(id: string): void {
    const seq = this.#ledger.find(id);
    assert(seq !== undefined, `got the cursor ${id}, which is not in the log`);
    assert(seq >= this.#at, `got the cursor ${id} after number ${this.#at}`);
    this.#moveTo(seq, seq);
  }

  /** What lies between the last message and the next must be gone, and the client told. */
  #moveTo(seq: number, end: number): void {
    const problem = `number ${seq} came after number ${this.#at}`;
    assert(!this.#isUnknown, `${problem}, without a gap for an unknown cursor`);
    assert(seq > this.#at || end === seq, problem);
    if (this.#isFresh) {
      assert(this.#missed <= end - this.#at, `${problem}, missing ${this.#missed}`);
    } else {assertEquals(
        end - this.#at,
        this.#missed,
        `${problem}: missing, and told to be missing`,
      );}
    const kept = this.#ledger.firstKept(this.#at + 1, end);
    assertEquals(kept, undefined, `${problem}, but ${kept} is kept`);
    this.#at = seq;
    this.#missed = 0;
    this.#isFresh = false;
  }
}
