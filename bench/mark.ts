/**
 * Finds the benchmark's messages in the bytes that readers receive. This runs
 * for every copy of every message, in a process that must not become the
 * bottleneck: it decodes no text and parses no frames.
 *
 * A message's text begins with a mark: `@`, then its number and the microsecond
 * at which it was sent, zero-padded. Nothing else in a frame contains an `@`.
 */

const AT = "@".charCodeAt(0);
const NUMBER_DIGITS = 7;
const TIME_DIGITS = 10;

/** Length of a mark in bytes; no message's text is shorter. */
export const MARK_LENGTH = 1 + NUMBER_DIGITS + TIME_DIGITS;

/** The clock that marks are made with, in microseconds. */
export function microsNow(): number {
  return Math.round(performance.now() * 1000);
}

/** The mark of message `number`, sent at `micros`. */
export function mark(number: number, micros: number): string {
  return "@" + String(number).padStart(NUMBER_DIGITS, "0") +
    String(micros).padStart(TIME_DIGITS, "0");
}

/** The number of the message with this text. */
export function markedNumber(text: string): number {
  return Number(text.slice(1, 1 + NUMBER_DIGITS));
}

/** How a copy counts for its reader; one that arrives out of turn is ignored. */
export type Arrival = "delivered" | "duplicate" | "ignored";

/** Counts copies of messages as they arrive at many readers. */
export abstract class MarkCounter {
  #delivered = 0;
  #duplicates = 0;
  #lastMicros = 0;
  /** The last distance from the end of a mark to the next; most frames are equally long. */
  #gap = 0;

  /** Copies delivered, without duplicates. */
  get delivered(): number {
    return this.#delivered;
  }

  /** Copies of messages that the reader already had. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** When the last copy was delivered. */
  get lastMicros(): number {
    return this.#lastMicros;
  }

  /**
   * Counts the marks in the first `length` bytes of a reader's buffer. A mark cut
   * off at the end is moved to the start of the buffer. Returns how many bytes of
   * it there are; the next chunk goes after them.
   */
  count(reader: number, buffer: Uint8Array, length: number, micros: number): number {
    let at = find(buffer, 0, length);
    while (at < length) {
      const end = at + MARK_LENGTH;
      if (end > length) {
        buffer.copyWithin(0, at, length);
        return length - at;
      }
      this.#count(reader, buffer, at + 1, micros);
      const next = end + this.#gap;
      if (next < length && buffer[next] === AT) {
        at = next;
      } else {
        at = find(buffer, end, length);
        if (at < length) this.#gap = at - end;
      }
    }
    return 0;
  }

  /** Classifies a copy that arrived `tookMicros` after it was posted. */
  protected abstract arrived(reader: number, message: number, tookMicros: number): Arrival;

  #count(reader: number, buffer: Uint8Array, at: number, micros: number): void {
    const message = readDigits(buffer, at, NUMBER_DIGITS);
    const sentMicros = readDigits(buffer, at + NUMBER_DIGITS, TIME_DIGITS);
    const arrival = this.arrived(reader, message, micros - sentMicros);
    if (arrival === "delivered") {
      this.#delivered++;
      this.#lastMicros = micros;
    } else if (arrival === "duplicate") {
      this.#duplicates++;
    }
  }
}

/** The index of the next `@`, or `length`. */
function find(buffer: Uint8Array, from: number, length: number): number {
  let at = from;
  while (at < length && buffer[at] !== AT) at++;
  return at;
}

function readDigits(buffer: Uint8Array, at: number, count: number): number {
  let number = 0;
  for (let i = at; i < at + count; i++) number = number * 10 + buffer[i] - 48;
  return number;
}
