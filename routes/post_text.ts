/**
 * What becomes of the text in a post. Every function is pure and takes time in
 * proportion to the text, and what has been normalised once stays as it is.
 */

/** Marks on one letter: as many as stream-safe text has (UAX #15, section 13). No language needs more. */
const MAX_MARKS = 30;
const CONTROLS = /[^\P{Cc}\t\n\r]/gu;
const MARKS = new RegExp(`(\\p{M}{1,${MAX_MARKS}})\\p{M}*`, "gu");

/**
 * Only characters that show nothing. Unicode's own list of those to be ignored
 * lacks some that fonts leave empty: the blank of Braille, of hieroglyphs and of
 * notes, fillers, signs around annotations and objects, two joining marks.
 */
const BLANK =
  /^[\s\p{Default_Ignorable_Code_Point}\u2800\ufff9-\ufffc\u{11d45}\u{11d97}\u{13430}-\u{13442}\u{16fe4}\u{1d159}]*$/u;

/** A message: well-formed, in normalisation form C, without controls other than tabs and LF, trimmed. */
export function normaliseMessage(text: string): string {
  return normalise(text).trim();
}

/** A nickname: as a message, on one line. */
export function normaliseNickname(text: string): string {
  return normalise(text).replace(/\s+/gu, " ").trim();
}

/** Whether nothing of a text would be seen. */
export function isBlank(text: string): boolean {
  return BLANK.test(text);
}

function normalise(text: string): string {
  const clean = text.toWellFormed()
    // Before all else, so that none can separate a letter from its marks.
    .replace(CONTROLS, "")
    .replace(/\r\n?/g, "\n");
  // Sorting the marks of one letter takes quadratic time, and normalising can add to them.
  return limitMarks(limitMarks(clean).normalize("NFC"));
}

function limitMarks(text: string): string {
  return text.replace(MARKS, "$1");
}
