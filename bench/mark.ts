/**
 * Finds the benchmark's messages in the bytes that readers receive. This runs
 * for every copy of every message, in the process that must not be the limit:
 * no text is decoded and no frame parsed.
 *
 * A message's text begins with a mark: `@`, its number and the microsecond it
 * was sent at, both in fixed width. Nothing else in a frame has an `@`.
 */

const AT = "@".charCodeAt(0);
const NUMBER_DIGITS = 7;
const TIME_DIGITS = 10;

/** Bytes of a mark: what the shortest text of a message takes. */
export const MARK_LENGTH = 1 + NUMBER_DIGITS + TIME_DIGITS;

/** The mark of message `number`, sent at `micros`. */
export function mark(number: number, micros: number): string {
  return "@" + String(number).padStart(NUMBER_DIGITS, "0") +
    String(micros).padStart(TIME_DIGITS, "0");
}

/** The number of the message whose text this is. */
export function markedNumber(text: string): number {
  return Number(text.slice(1, 1 + NUMBER_DIGITS));
}

/** What a copy that arrived is to its reader; one that is ignored is none of its business yet. */
export type Arrival = "delivered" | "duplicate" | "ignored";

/** Counts the copies of messages that arrive at many readers. */
export abstract class MarkCounter {
  #delivered = 0;
  #duplicates = 0;
  #lastMicros = 0;
  /** Bytes from the end of a mark to the next, as seen last: frames are mostly of one length. */
  #gap = 0;

  /** Copies that arrived, repeats not counted. */
  get delivered(): number {
    return this.#delivered;
  }

  /** Copies of a message the reader already had. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** When the last copy was delivered. */
  get lastMicros(): number {
    return this.#lastMicros;
  }

  /**
   * Counts the marks in the first `length` bytes of a reader's buffer. A mark
   * that breaks off at the end is moved to the buffer's start: the number of its
   * bytes is returned, and the next chunk belongs behind them.
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

  /** Takes note of a copy, which took so long from its post. */
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

/** The place of the next `@`, or `length`. */
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
