// @ts-check
/// <reference lib="dom" />
/** The shared worker: all tabs of a browser have one stream, so that it never runs out of them. */

import { SharedStream } from "./shared_stream.js";

const stream = new SharedStream();
addEventListener("connect", (event) => {
  stream.connect(/** @type {MessageEvent} */ (event).ports[0]);
});
