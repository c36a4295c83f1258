/**
 * What a message is, and what can be said of one without a page: its order, its links, its author's
 * colour, and whether it continues the one before.
 */

/** @import { ChatMessage } from "./client.js" */

/** Colours for names in the style sheet. */
const HUES = 8;
/** Messages of one person this close together are one group. */
const GROUP_MS = 5 * 60_000;

/**
 * Of other than ASCII an address has letters, digits and their marks, and in its path what joins words
 * (L’Équipe, Michelson–Morley, ジョン・レノン). Other signs and bidirectional controls end it.
 */
const ADDRESS =
  /\bhttps?:\/\/(?:[!#-.0-;=?-~]|[\p{L}\p{M}\p{N}])+(?:\/(?:[!#-;=?-~]|[\p{L}\p{M}\p{N}]|[·’‐‑–・\u200c\u200d])*)?/giu;
/** What belongs to the sentence at the end of an address. */
const TRAILING = ".,;:!?'*_~`·’‐‑–・\u200c\u200d";
/** @type {Record<string, string>} */
const OPENING = { ")": "(", "]": "[", "}": "{" };

/** Orders ids, which are `<unix ms>-<sequence>`. */
export function compareIds(/** @type {string} */ a, /** @type {string} */ b) {
  const [[msA, sequenceA], [msB, sequenceB]] = [a, b].map((id) => id.split("-").map(Number));
  return msA - msB || sequenceA - sequenceB;
}

/** The text as it was, cut into plain parts and links. */
export function splitLinks(/** @type {string} */ text) {
  const parts = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    const address = withoutPunctuation(match);
    if (!URL.canParse(address)) continue;
    if (index > end) parts.push({ text: text.slice(end, index) });
    parts.push({ text: address, href: new URL(address).href });
    end = index + address.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/**
 * Leaves what ends the sentence, as in "(see https://deno.com/)." Brackets are counted once: a text may
 * consist of them.
 */
function withoutPunctuation(/** @type {string} */ address) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const sign of "()[]{}") counts[sign] = address.split(sign).length;
  let end = address.length;
  for (; end > 0; end--) {
    const last = address[end - 1];
    const opening = OPENING[last];
    const isTrailing = opening ? counts[last] > counts[opening] : `${TRAILING}([{`.includes(last);
    if (!isTrailing) break;
    counts[last]--;
  }
  return address.slice(0, end);
}

/** Which of the colours for names a sender has in a room, always. */
export function hueOf(/** @type {{ nickname: string, by?: string }} */ { nickname, by = "" }) {
  let hash = 0;
  for (const letter of nickname + by) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 1_000_003;
  return hash % HUES;
}

/** Whether two messages were written on the same day where the reader is. */
export function isSameDay(/** @type {ChatMessage} */ a, /** @type {ChatMessage} */ b) {
  return new Date(a.time).toDateString() === new Date(b.time).toDateString();
}

/**
 * Whether a person goes on. Those of one name are told apart by the mark of the sender; without one, those
 * without a name may be different people.
 */
export function continues(/** @type {ChatMessage} */ before, /** @type {ChatMessage} */ message) {
  const isSameSender = before.by && message.by
    ? before.by === message.by
    : before.nickname !== "anonymous";
  return before.nickname === message.nickname && isSameSender &&
    before.moderator === message.moderator &&
    isSameDay(before, message) &&
    Date.parse(message.time) - Date.parse(before.time) < GROUP_MS;
}
