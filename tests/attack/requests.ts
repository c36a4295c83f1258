/** Requests that were made to cost more than they should, as they go over the wire. */

import { basic } from "../chat_client.ts";

const HOST = "127.0.0.1";
/** As much as a body may have. */
const BODY_BYTES = 64 * 1024;
const PART = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n';
/** Marks that normalisation has to sort, at their worst. */
const MARKS = ["\u0345", "\u0300", "\u0316", "\u0334"];

/** A whole request. */
export function request(
  start: string,
  { body = "", headers = {} }: { body?: string; headers?: Readonly<Record<string, string>> } = {},
): string {
  const length = new TextEncoder().encode(body).length;
  const all = { host: HOST, ...headers, ...body && { "content-length": String(length) } };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${start} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

/** A post of a form, as it is. */
export function formPost(body: string, headers: Readonly<Record<string, string>> = {}): string {
  const type = "application/x-www-form-urlencoded";
  return request("POST /chat", { body, headers: { "content-type": type, ...headers } });
}

/** An ordinary message. */
export const MESSAGE: string = formPost("nickname=eve&message=hi");

/** 64 KB of marks over one letter. */
export const MARKED_MESSAGE: string = formPost(
  `message=a${MARKS.map((mark) => mark.repeat(8000)).join("")}`,
);

/** 64 KB of parts without anything in them. */
export const EMPTY_PARTS: string = request("POST /chat", {
  headers: { "content-type": "multipart/form-data; boundary=x" },
  body: `${PART.repeat((BODY_BYTES - 7) / PART.length)}--x--\r\n`,
});

/** A list of ETags that takes long to split. */
export const SPACED_ETAGS: string = request("GET /", {
  headers: { "if-none-match": `${" ".repeat(30_000)}x${" ".repeat(29_000)}x` },
});

/** The longest address that Deno lets through. */
export const LONG_ADDRESS: string = request(`GET /${"a/".repeat(30_000)}`);

/** A post under a name that is not ours. */
export const STRANGE_HOST: string = formPost("message=hi", {
  host: "evil.example:4567",
  origin: "http://evil.example:4567",
});

/** A try to get in with a password that is wrong. */
export const WRONG_PASSWORD: string = formPost("message=hi", {
  ...basic("wrong-password"),
});

/** Reads a response as far as its status; `closed` if there is none. */
export async function readStatus(connection: Deno.TcpConn): Promise<string> {
  const bytes = new Uint8Array(1000);
  const length = await connection.read(bytes);
  return length === null ? "closed" : new TextDecoder().decode(bytes.subarray(9, 12));
}
