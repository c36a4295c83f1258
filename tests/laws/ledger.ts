/**
 * What the log has acknowledged, as the test remembers it, and the run of it that
 * one client has seen. Both assert: laws 1, 2, 4 and 9 are in here.
 */

import { assert, assertEquals } from "@std/assert";
import { compareIds, parseId, type Post } from "../../chat_message.ts";
import type { Appended, Batch, LogEntry, Start } from "../../message_log/message_log.ts";

interface Entry extends LogEntry {
  /** Undefined for a removal. */
  readonly post?: Pick<Post, "nickname" | "message">;
  /** The number of the oldest entry that was kept when it was written. */
  readonly oldest: number;
  key?: string;
}

/** An entry that only another instance has heard of so far. */
const UNHEARD = { id: "", json: "", post: { nickname: "", message: "" } };

/** What is in a log at one time. */
export interface LedgerState {
  readonly last: number;
  readonly oldest: number;
  readonly erased: ReadonlySet<number>;
  readonly removed: ReadonlyMap<number, number>;
}

/** Everything in the log, in order; the entry with sequence number n is the nth. */
export class Ledger {
  readonly #keep: number;
  /** The cursor before the first message. */
  readonly #birth: string;
  readonly #messages: Entry[] = [];
  /** The number of the oldest entry that is kept. */
  #oldest = 1;
  #erased = new Set<number>();
  /** Which messages have been removed, and the how many-eth removal that was. */
  #removed = new Map<number, number>();
  /** How many removals there have been. */
  removals = 0;
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

  /**
   * Takes a batch in, from any instance: law 1. Where some are `missed` before its entries, those have been
   * written all the same.
   */
  add(batch: readonly LogEntry[], { missed = false } = {}): void {
    for (const entry of batch) {
      const { seq } = parseId(entry.id)!;
      if (missed) this.#skipTo(seq);
      if (seq <= this.last) this.#hearAgain(seq, entry);
      else this.#append(entry);
    }
    this.#giveUp();
  }

  #skipTo(seq: number): void {
    while (this.last < seq - 1) this.#messages.push({ ...UNHEARD, oldest: this.#oldest });
  }

  #hearAgain(seq: number, { id, json }: LogEntry): void {
    const message = this.#messages[seq - 1];
    if (message.id === "") {
      const { nickname, message: text } = JSON.parse(json);
      Object.assign(message, { id, json, post: { nickname, message: text } });
    } else assertEquals({ id, json }, { id: message.id, json: message.json });
  }

  #append({ id, json, removes }: LogEntry): void {
    const before = this.#messages.findLast(({ id }) => id !== "")?.id ?? this.#birth;
    assert(compareIds(before, id) < 0, `the id ${id} comes after ${before}`);
    assertEquals(parseId(id)!.seq, this.last + 1, "sequence numbers count the messages");
    assert(parseId(id)!.ms >= parseId(before)!.ms, `${id} steps back from ${before}`);
    assert(!this.lost.includes(id), `the id ${id} was another message's`);
    if (removes === undefined) {
      const { nickname, message, ...rest } = JSON.parse(json);
      assertEquals(rest.id, id);
      const post = { nickname, message };
      this.#messages.push({ id, json, oldest: this.#oldest, post });
    } else {
      assertEquals(JSON.parse(json), { id, removes });
      this.#messages.push({ id, json, removes, oldest: this.#oldest });
      this.#remove(removes);
    }
  }

  /** Gives up the oldest until there are no more messages than are kept. */
  #giveUp(): void {
    if (this.last - this.#oldest < this.#keep) return;
    let count = 0;
    for (let seq = this.last; seq >= this.#oldest; seq--) {
      if (!this.#isDead(seq) && ++count > this.#keep) this.#oldest = seq + 1;
    }
  }

  #remove(removes: string): void {
    this.removals++;
    if (removes !== "all") {
      const seq = this.find(removes);
      assert(
        seq !== undefined && this.#messages[seq - 1].post,
        `${removes} is removed, no message`,
      );
      assert(!this.#removed.has(seq), `${removes} is removed again`);
      this.#removed.set(seq, this.removals);
      return;
    }
    for (let seq = 1; seq < this.last; seq++) {
      if (!this.#removed.has(seq)) this.#removed.set(seq, this.removals);
    }
    this.#oldest = this.last;
  }

  /** Whether an entry does not count as one that is kept. What is missing from the file does. */
  #isDead(seq: number): boolean {
    const isNone = this.#removed.has(seq) || this.isRemoval(seq);
    return isNone && !this.#erased.has(seq);
  }

  isRemoval(seq: number): boolean {
    return this.#messages[seq - 1].removes !== undefined;
  }

  /** The how many-eth removal it was that removed an entry; undefined for none. */
  removalOf(seq: number): number | undefined {
    return this.#removed.get(seq);
  }

  /**
   * The number of the first of the last messages; one past the last if there is none. Where nothing has
   * been removed, what is missing from the file counts too.
   */
  nthLast(count: number): number {
    const kept: number[] = [];
    for (let seq = this.#oldest; seq <= this.last; seq++) if (!this.#isDead(seq)) kept.push(seq);
    const isWhole = kept.length === this.last - this.#oldest + 1;
    const found = isWhole ? kept : kept.filter((seq) => !this.#erased.has(seq));
    return (count > 0 ? found.slice(-count)[0] : undefined) ?? this.last + 1;
  }

  /** Checks the answer to a post: law 4. */
  answer(post: Post, { entry, repeated }: Appended): void {
    // A log that is being closed answers without emitting, and one whose entries are soon given up may.
    if (parseId(entry.id)!.seq <= this.last + 1) this.add([entry]);
    const seq = this.find(entry.id);
    assert(seq !== undefined, `the answer has the unknown id ${entry.id}`);
    const message = this.#messages[seq - 1];
    assert(entry.json === message.json, `${entry.id} is not what the log emitted`);
    const { nickname, message: text } = message.post!;
    assert(nickname === post.nickname && text === post.message, `${entry.id} is another post`);
    if (repeated) return assertEquals(message.key, post.key, "a repeat of another key's message");
    assertEquals(message.key, undefined, "two posts became one message");
    if (post.key === undefined) return;
    const earlier = this.#messages.findLastIndex(({ key }) => key === post.key) + 1;
    const isKnown = earlier >= message.oldest && !this.#erased.has(earlier);
    assert(earlier === 0 || !isKnown, `the key of ${this.idOf(earlier)} was taken again`);
    message.key = post.key;
  }

  /** Checks that a key was refused for a reason; `removals` had been made when it was sent: laws 4 and 9. */
  refuse({ key, message }: Post, isRemoved: boolean, removals: number): void {
    const index = this.#messages.findLastIndex((other) => other.key === key);
    assert(index >= 0, `the key ${key} was refused, which is new`);
    const { post } = this.#messages[index];
    const removal = this.#removed.get(index + 1);
    if (isRemoved) assert(removal !== undefined, `the key ${key} is of no removed message`);
    else {
      assert((removal ?? Infinity) > removals, `the key ${key} is of a removed message`);
      assert(post!.message !== message, `the key ${key} was refused to its own message`);
    }
  }

  /** Rows are missing from the file when it is opened again: they count as messages, whatever they were. */
  erase(from: number, to: number): void {
    for (let seq = from; seq <= to; seq++) this.#erased.add(seq);
    this.#giveUp();
  }

  /** An older copy of the file was put back: what came after it is lost. */
  cutTo({ last, oldest, erased, removed }: LedgerState): void {
    this.lost.push(...this.#messages.splice(last).map(({ id }) => id));
    this.#oldest = oldest;
    this.#erased = new Set(erased);
    this.#removed = new Map(removed);
  }

  get state(): LedgerState {
    return {
      last: this.last,
      oldest: this.#oldest,
      erased: new Set(this.#erased),
      removed: new Map(this.#removed),
    };
  }

  /** The number of the removal of everything, if it is kept and there has been no more than so many. */
  clearBefore(removals: number): number {
    const removal = this.#messages.findLastIndex(({ removes }) => removes === "all") + 1;
    const nth = this.#removed.get(removal - 1) ?? 0;
    return removal >= this.#oldest && nth <= removals && !this.#erased.has(removal) ? removal : 0;
  }

  /** Whether an entry is neither trimmed, removed nor erased. */
  isKept(seq: number): boolean {
    return seq >= this.#oldest && !this.#erased.has(seq) && !this.#removed.has(seq);
  }

  /** The first kept entry in a span; undefined if none of it is. */
  firstKept(from: number, to: number, withRemovals: boolean): number | undefined {
    for (let seq = Math.max(from, this.#oldest); seq <= to; seq++) {
      if (this.isKept(seq) && (withRemovals || !this.isRemoval(seq))) return seq;
    }
  }

  /** Whether an entry is missing before so many messages of a history that goes on. */
  isHoleWithin(from: number, count: number): boolean {
    for (let seq = from, left = count; seq <= this.last && left > 0; seq++) {
      if (this.#erased.has(seq) || seq < this.#oldest) return true;
      if (!this.isRemoval(seq) && !this.#removed.has(seq)) left--;
    }
    return false;
  }

  /** How many entries of a span are passed over without being missing. */
  countSilent(from: number, to: number, withRemovals: boolean): number {
    let count = 0;
    for (let seq = from; seq <= to; seq++) {
      if (this.#removed.has(seq) || (!withRemovals && this.isRemoval(seq))) count++;
    }
    return count;
  }
}

/** What one instance is told of a log, from when it opens it: law 1. */
export class Follower {
  readonly #ledger: Ledger;
  /** The number of the last entry that it has been told. */
  last: number;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.last = ledger.last;
  }

  /** Entries follow one another, but for as many as are said to be missing. */
  hear({ entries, missed }: Batch): void {
    let skipped = 0;
    for (const entry of entries) {
      const { seq } = parseId(entry.id)!;
      // What was removed as a whole is missing to nobody.
      if (entry.removes !== "all") skipped += seq - this.last - 1;
      this.last = seq;
    }
    this.#ledger.add(entries, { missed: true });
    if (entries.length > 0) assertEquals(missed, skipped, `missing before number ${this.last}`);
  }
}

/** The run of the log that one client sees, from where it begins: law 2. */
export class Run {
  readonly #ledger: Ledger;
  /** Whether it is given removals, too. */
  readonly #withRemovals: boolean;
  /** How many removals there had been when it began. */
  readonly #removals: number;
  /** The sequence number of the last message that it has seen, or began after. */
  #at: number;
  /** Where it begins there may be less than was asked for. */
  #isFresh = false;
  /** Its cursor is unknown to the log, and it has not been told yet. */
  #isUnknown = false;
  #missed = 0;

  constructor(ledger: Ledger, start: Start, { withRemovals = true } = {}) {
    this.#ledger = ledger;
    this.#withRemovals = withRemovals;
    this.#removals = ledger.removals;
    const seq = "latest" in start
      ? ledger.nthLast(start.latest) - 1
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
    const removal = this.#ledger.removalOf(seq) ?? Infinity;
    assert(removal > this.#removals, `got ${id}, which had been removed`);
    this.#moveTo(seq, seq - 1);
  }

  /** Whether something has been removed since it began. */
  get isOutdated(): boolean {
    return this.#ledger.removals > this.#removals;
  }

  /** A cursor without a message: nothing is before it. */
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
    const skipped = end - this.#at;
    const silent = this.#ledger.countSilent(this.#at + 1, end, this.#withRemovals);
    const min = this.#isFresh ? 0 : skipped - silent;
    // What was removed as a whole is missing to nobody.
    const from = Math.max(this.#at, this.#ledger.clearBefore(this.#removals) - 1);
    assert(
      min <= this.#missed && this.#missed <= Math.max(end - from, 0),
      `${problem}, told that ${this.#missed} are missing, of which ${silent} have been removed`,
    );
    const kept = this.#ledger.firstKept(this.#at + 1, end, this.#withRemovals);
    assertEquals(kept, undefined, `${problem}, but ${kept} is kept`);
    this.#at = seq;
    this.#missed = 0;
    this.#isFresh = false;
  }
}
