// @ts-check
/**
 * What a message is, and what can be said of one without a page: its place in the order, its links,
 * its author's colour, and whether it continues the one before.
 */

/** @typedef {{ id: string, nickname: string, message: string, time: string }} ChatMessage */

/** Messages of one person that follow each other this closely are one group. */
const GROUP_MS = 5 * 60_000;
/** No quotes and angle brackets, and nothing that would turn round how the address reads. */
const ADDRESS = /\bhttps?:\/\/[^\s<>"\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;
const CLOSING = new Map([[")", "("], ["]", "["], ["}", "{"]]);

/**
 * Orders ids, which are `<unix ms>-<sequence>`.
 *
 * @param {string} a
 * @param {string} b
 */
export function compareIds(a, b) {
  return parseInt(a) - parseInt(b) || sequenceOf(a) - sequenceOf(b);
}

/** @param {string} id */
function sequenceOf(id) {
  return Number(id.slice(id.indexOf("-") + 1));
}

/**
 * The text as it was, cut into plain parts and links. Only http and https ever become links.
 *
 * @param {string} text
 * @returns {{ text: string, href?: string }[]}
 */
export function splitLinks(text) {
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
 * Leaves what ends the sentence rather than the address: "(see https://deno.com/)."
 *
 * @param {string} address
 */
function withoutPunctuation(address) {
  let end = address.length;
  for (; end > 0; end--) {
    const last = address[end - 1];
    const opening = CLOSING.get(last);
    const open = opening && address.slice(0, end).split(opening).length;
    const closed = opening && address.slice(0, end).split(last).length;
    if (!(open && closed ? closed > open : ".,;:!?'*_~`…".includes(last))) break;
  }
  return address.slice(0, end);
}

/**
 * A hue in degrees, the same for a nickname everywhere and always.
 *
 * @param {string} nickname
 */
export function hueOf(nickname) {
  let hash = 0;
  for (const letter of nickname) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 1_000_003;
  // Near the golden angle: names that differ by a letter are far apart.
  return (hash * 137) % 360;
}

/**
 * Whether two messages were written on the same day where the reader is.
 *
 * @param {ChatMessage} a
 * @param {ChatMessage} b
 */
export function isSameDay(a, b) {
  return new Date(a.time).toDateString() === new Date(b.time).toDateString();
}

/**
 * Whether a message goes on with what the same person has just said.
 *
 * @param {ChatMessage} before
 * @param {ChatMessage} message
 */
export function continues(before, message) {
  return before.nickname === message.nickname && isSameDay(before, message) &&
    Date.parse(message.time) - Date.parse(before.time) < GROUP_MS;
}
