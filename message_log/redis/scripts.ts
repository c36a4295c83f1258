/** The scripts that Redis runs: each is one step that nothing comes between. */

import ANNOUNCE from "./announce.lua" with { type: "text" };
import BEAT from "./beat.lua" with { type: "text" };
import BEGIN from "./begin.lua" with { type: "text" };
import COMMON from "./common.lua" with { type: "text" };
import ERASE from "./erase.lua" with { type: "text" };
import EXPIRE from "./expire.lua" with { type: "text" };
import PROBE from "./probe.lua" with { type: "text" };
import READ from "./read.lua" with { type: "text" };
import REVOKE from "./revoke.lua" with { type: "text" };
import ROOMS from "./rooms.lua" with { type: "text" };
import WRITE from "./write.lua" with { type: "text" };

/** A script, and the name that Redis knows it by once it has run. */
export interface Script {
  readonly text: string;
  readonly sha1: string;
}

const ALLOWED = " flags=allow-oom";

/** Where Redis is full, the header refuses a script as a whole, but those that read or are allowed to write. */
async function script(body: string, flags = ""): Promise<Script> {
  const text = `#!lua${flags}\n${COMMON}\n${body}`;
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return { text, sha1: new Uint8Array(digest).toHex() };
}

/** By what they do. */
export const SCRIPTS = {
  announce: await script(ANNOUNCE, ALLOWED),
  beat: await script(BEAT, ALLOWED),
  begin: await script(BEGIN, ALLOWED),
  erase: await script(ERASE, ALLOWED),
  expire: await script(EXPIRE, ALLOWED),
  probe: await script(PROBE),
  read: await script(READ, " flags=no-writes"),
  revoke: await script(REVOKE, ALLOWED),
  rooms: await script(ROOMS, " flags=no-writes"),
  write: await script(WRITE),
  /** The same without posts. */
  moderate: await script(WRITE, ALLOWED),
};
