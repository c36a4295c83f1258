/**
 * IP addresses: as numbers, in ranges, and whose a request is that a proxy has passed on.
 */

/** An address as bytes: 4 of IPv4, 16 of IPv6. */
type Address = readonly number[];

/** ::ffff:0:0/96, IPv4 in the form of IPv6 (RFC 4291, section 2.5.5.2). */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/** The longest address with its port takes less. */
const MAX_ENTRY_LENGTH = 60;
/** One visitor has at least this much of IPv6. */
const IPV6_KEY_BYTES = 8;

/**
 * What an address is counted under: IPv4 as it is, also where it comes as IPv6, and of IPv6 the
 * network, its first 64 bits. Anything else is a key of its own.
 */
export function addressKey(text: string): string {
  const address = parseAddress(text);
  if (!address) return text;
  if (address.length === 4) return address.join(".");
  return address.slice(0, IPV6_KEY_BYTES).map((byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

/** Addresses with the same first bits, as `10.0.0.0/8`; or one address. */
export class AddressRange {
  readonly #address: Address;
  readonly #bits: number;

  private constructor(address: Address, bits: number) {
    this.#address = address;
    this.#bits = bits;
  }

  /** The range that a text names in CIDR notation (RFC 4632, RFC 4291); undefined if it names none. */
  static parse(text: string): AddressRange | undefined {
    const [, name, bits] = /^([^/]+?)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
    const address = parseAddress(name ?? "");
    if (!address) return undefined;
    const max = address.length * 8;
    const isMapped = max === 32 && name.includes(":");
    const count = bits === undefined ? max : Number(bits) - (isMapped ? 96 : 0);
    return count >= 0 && count <= max ? new AddressRange(address, count) : undefined;
  }

  has(text: string): boolean {
    const address = parseAddress(text);
    if (address?.length !== this.#address.length) return false;
    return address.every((byte, index) => {
      const bits = Math.min(Math.max(this.#bits - index * 8, 0), 8);
      const mask = 0xff00 >> bits & 0xff;
      return (byte & mask) === (this.#address[index] & mask);
    });
  }
}

/** Where a machine reaches itself. */
const LOOPBACK = ["127.0.0.0/8", "::1"].map((text) => AddressRange.parse(text)!);
/** What proxies add to the requests that they pass on. */
const PASSED_ON = /^(?:forwarded|via|x-real-ip|x-forwarded-.+)$/;

/**
 * Who a request is from: the last address in `X-Forwarded-For` that is not a trusted proxy's, if the
 * one that sent it is. What stands before that anybody may have written.
 *
 * @param peer The address at the other end of the connection.
 * @param forwarded The header, all its lines joined by commas; null if there is none.
 */
export function visitorAddress(
  peer: string,
  forwarded: string | null,
  trusted: readonly AddressRange[],
): string {
  const isTrusted = (address: string) => trusted.some((range) => range.has(address));
  let visitor = peer;
  for (const entry of (forwarded ?? "").split(",").toReversed()) {
    if (!isTrusted(visitor)) break;
    const address = toPlainAddress(entry.trim());
    if (!parseAddress(address)) break;
    visitor = address;
  }
  return visitor;
}

/** Whether a request comes from this machine itself, and no proxy says that it has passed it on. */
export function isFromHere({ headers }: Request, peer: string): boolean {
  return LOOPBACK.some((range) => range.has(peer)) &&
    !Array.from(headers.keys()).some((name) => PASSED_ON.test(name));
}

/** An address without port, brackets and zone. With a port, IPv6 is in brackets. */
function toPlainAddress(entry: string): string {
  if (entry.length > MAX_ENTRY_LENGTH) return "";
  const [, bracketed, plain] = /^(?:\[([^\]]+)\](?::\d+)?|([^:]+)(?::\d+)?)$/.exec(entry) ?? [];
  const [address] = (bracketed ?? plain ?? entry).split("%", 1);
  return address;
}

/** The bytes of an address, IPv4 also where it is in the form of IPv6; undefined for anything else. */
function parseAddress(text: string): Address | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const bytes = text.split(".").map(Number);
    return bytes.every((byte) => byte < 256) ? bytes : undefined;
  }
  const [withoutZone] = text.split("%", 1);
  // One form of the many that there are: hexadecimal, without zeros in front.
  const host = /^[\da-f:.]*:[\da-f:.]*$/i.test(withoutZone)
    ? URL.parse(`http://[${withoutZone}]`)?.hostname
    : undefined;
  if (!host) return undefined;
  const [head, tail] = host.slice(1, -1).split("::").map(toBytes);
  const bytes = tail
    ? [...head, ...new Array(16 - head.length - tail.length).fill(0), ...tail]
    : head;
  return MAPPED.every((byte, index) => bytes[index] === byte) ? bytes.slice(MAPPED.length) : bytes;
}

/** The bytes of groups of IPv6. */
function toBytes(groups: string): number[] {
  if (groups === "") return [];
  return groups.split(":").flatMap((group) => {
    const value = parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
