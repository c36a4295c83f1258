/**
 * The chat's client, for pages, workers, Deno and Node: one file without imports, which the chat's own
 * page uses too. It follows a room without a hole or a repeat, through every loss of the connection, and
 * sends each message once. docs/clients.md says how to use it, docs/protocol.md what it speaks.
 */

/**
 * @typedef {{
 *   id: string,
 *   nickname: string,
 *   message: string,
 *   time: string,
 *   timestamp?: string,
 *   by?: string,
 *   moderator?: true,
 * }} ChatMessage
 */
/** `removes`: the id of a message, or `all` for those before. @typedef {{ id: string, removes: string }} Removal */

/**
 * `polling`: asks for the history. `signed-out`: most likely waits in vain until somebody signs in.
 * `cursor`: the last id it has seen.
 *
 * @typedef {{
 *   type: "status",
 *   status: "connecting" | "live" | "waiting" | "polling" | "signed-out",
 *   online?: number,
 *   retryMs?: number,
 *   cursor?: string,
 * }} Status
 *
 * @typedef {Status
 *   | { type: "entry", entry: ChatMessage | Removal }
 *   | { type: "gap", missed: number | null }
 * } StreamEvent
 */

/**
 * What each event has as its `detail`. `missed`: how many messages are lost before those that follow,
 * null if unknown. `online`: the number of readers. `problem`: what the last try has met with.
 *
 * @typedef {{
 *   message: ChatMessage,
 *   removed: Removal,
 *   gap: { missed: number | null },
 *   online: number,
 *   state: { state: ChatState, retryMs?: number, problem?: RequestError },
 * }} ChatEvents
 */
/** `closed`: nobody follows yet, or no more. @typedef {Status["status"] | "closed"} ChatState */
/**
 * What a loop gets.
 *
 * @typedef {{
 *   [Type in "message" | "removed" | "gap"]: CustomEvent<ChatEvents[Type]> & { readonly type: Type }
 * }["message" | "removed" | "gap"]} ChatEvent
 */
/** @template Detail @typedef {(event: CustomEvent<Detail>) => void} Listener */

/** Those of a stream that it knows. */
const EVENTS = ["message", "removed", "gap", "ping", "online"];
/** The heartbeat of a server that has not said otherwise. */
const HEARTBEAT_MS = 15_000;
/** The first delay is half of this to all of it, as the server asks of its readers. */
const FIRST_DELAY_MS = 4000;
const FIRST_POST_DELAY_MS = 2000;
const MAX_DELAY_MS = 30_000;
const MAX_RETRY_AFTER_MS = 60 * 60_000;
/** A wrong password would use up what an address may try. */
const WRONG_PASSWORD_MS = 5 * 60_000;
const SILENT_HEARTBEATS = 2.5;
const MAX_SILENT_HEARTBEATS = 10;
/** A stream begins at once; one that is silent for this long is held back. */
const MAX_START_MS = 10_000;
const POLL_MS = 5000;
const TRY_STREAM_MS = 60_000;
/** Messages in a page of history. */
export const PAGE_SIZE = 50;
/** After this the chat may or may not have received a request. */
const SILENCE_MS = 15_000;
/** Browsers refuse to send more than 64 KiB while the page goes. */
const MAX_KEEPALIVE_BYTES = 60_000;
/** @type {Record<number, "removed" | "signed-out">} */
const REASONS = { 401: "signed-out", 410: "removed" };

/**
 * A room.
 *
 * - **Following** begins with the first listener or loop and pauses when neither is left. Whoever takes
 *   messages next goes on at the cursor.
 * - **Exactness.** All that is said in the room comes, in order and once; a `gap` comes first where
 *   that is impossible.
 * - **Pace.** No more is read before the loop has asked for its next event, for listeners either. What
 *   waits meanwhile is in the server's log.
 * - **Sending** goes on, one message at a time and in order, until the chat has each or refuses it.
 *
 * @example
 * ```js ignore
 * const chat = new Chat("http://localhost:4567/biology", { nickname: "ann" });
 * await chat.send("hi");
 * for await (const { type, detail } of chat) {
 *   if (type === "message") console.log(`${detail.nickname}: ${detail.message}`);
 * }
 * ```
 */
export class Chat extends EventTarget {
  #url;
  #nickname;
  /** @type {Record<string, string>} */
  #headers = {};
  #connection;
  #cursor;
  /** @type {ChatState} */
  #state = "closed";
  /** @type {{ type: string, listener: unknown, capture: boolean, once: boolean }[]} */
  #listeners = [];
  /** @type {WritableStreamDefaultWriter<ChatEvent>=} */
  #loop;
  /** Whether something came after the cursor while nobody took it. */
  #isBehind = false;
  /** @type {Promise<unknown>} */
  #lastPost = Promise.resolve();
  #closing = new AbortController();
  #sendNow = () => {};

  /**
   * @param {string | URL} [url] The room's page; relative to where this file came from, and by default
   * the main room there.
   * @param {{ nickname?: string, since?: string, password?: string }} [options] `since`: the cursor to
   * go on at, or `all` for everything that is kept or `none` for nothing before now; by default it
   * begins with the last 50 messages. `password`: the chat's or a moderator's.
   * @throws {TypeError} For what is no address of a room, or no cursor.
   */
  constructor(url = ".", { nickname = "", since, password } = {}) {
    super();
    const { protocol, origin, pathname } = new URL(url, import.meta.url);
    if (!/^https?:$/.test(protocol)) {
      throw new TypeError(`The room's address must begin with http or https, received "${url}"`);
    }
    if (since !== undefined && !/^(\d+-\d+|all|none)$/.test(since)) {
      throw new TypeError(`The option "since" must be a cursor, all or none, received "${since}"`);
    }
    this.#url = origin + toChat(pathname);
    this.#nickname = nickname;
    this.#cursor = since;
    if (password) this.#headers.authorization = `Basic ${toBase64(`:${password}`)}`;
    this.#connection = new Connection(
      this.#url,
      HEARTBEAT_MS,
      (event) => this.#receive(event),
      this.#headers,
    );
  }

  /** The last id that was handed on, for the option `since` of another run. */
  get cursor() {
    return this.#cursor;
  }

  get state() {
    return this.#state;
  }

  /**
   * @override
   * @template {keyof ChatEvents} Type
   * @param {Type} type
   * @param {Listener<ChatEvents[Type]> | { handleEvent: Listener<ChatEvents[Type]> } | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
    const { capture = false, once = false, signal } = toOptions(options);
    if (!listener || signal?.aborted || this.#find(type, listener, capture)) return;
    this.#listeners.push({ type, listener, capture, once });
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener, options));
    this.#follow();
  }

  /**
   * @override
   * @template {keyof ChatEvents} Type
   * @param {Type} type
   * @param {Listener<ChatEvents[Type]> | { handleEvent: Listener<ChatEvents[Type]> } | null} listener
   * @param {boolean | EventListenerOptions} [options]
   */
  removeEventListener(type, listener, options) {
    super.removeEventListener(type, /** @type {EventListener} */ (listener), options);
    const removed = this.#find(type, listener, toOptions(options).capture ?? false);
    if (removed) this.#drop([removed]);
  }

  /**
   * Messages, removals and gaps, in one loop at a time. Where the chat itself refuses, as for a wrong
   * password or a room that may not be, the loop fails. With listeners for them, it begins with what
   * comes now.
   *
   * @returns {AsyncGenerator<ChatEvent, void, undefined>}
   * @throws {RequestError}
   */
  async *[Symbol.asyncIterator]() {
    if (this.#closing.signal.aborted) return;
    if (this.#loop) throw new TypeError("A chat has one loop at a time: leave it, or make another");
    // It holds one event, until that is asked for.
    /** @type {TransformStream<ChatEvent, ChatEvent>} */
    const { readable, writable } = new TransformStream();
    const reader = readable.getReader();
    this.#loop = writable.getWriter();
    this.#follow();
    try {
      for (;;) {
        const { value } = await reader.read();
        if (!value || this.#closing.signal.aborted) return;
        if ("id" in value.detail) this.#cursor = value.detail.id;
        yield value;
      }
    } finally {
      this.#loop = undefined;
      reader.cancel().catch(() => {});
      // What it has not taken, listeners have.
      if (this.#isTaken) this.#cursor = this.#connection.status.cursor;
      this.#rest();
    }
  }

  /**
   * Sends a message; resolves with what the chat has stored.
   *
   * @param {string} message
   * @param {{ nickname?: string, key?: string }} [options] `key`: repeated, with the same message, it
   * is stored once; by default a random one.
   * @returns {Promise<ChatMessage>}
   * @throws {RequestError} If the chat refuses it, or a moderator has removed it since.
   */
  send(message, { nickname = this.#nickname, key = makeKey() } = {}) {
    const sent = this.#lastPost.then(() => this.#send({ key, nickname, message }));
    this.#lastPost = sent.catch(() => {});
    return sent;
  }

  /**
   * Ends the loop and lets the program end. A message without an answer by then fails with an
   * AbortError, and may have been stored.
   */
  close() {
    this.#closing.abort();
    this.#sendNow();
    this.#loop?.close().catch(() => {});
    this.#pause();
  }

  async #send(/** @type {{ key: string, nickname: string, message: string }} */ post) {
    for (let tries = 0;; tries++) {
      this.#closing.signal.throwIfAborted();
      try {
        return await postMessage(this.#url, post, this.#headers, this.#closing.signal);
      } catch (error) {
        const { isFinal, retryAfterMs } = /** @type {RequestError} */ (error);
        if (isFinal) throw error;
        this.#closing.signal.throwIfAborted();
        await new Promise((resolve) => {
          const timer = setTimeout(resolve, postDelay(tries, retryAfterMs));
          this.#sendNow = () => {
            if (retryAfterMs !== undefined && !this.#closing.signal.aborted) return;
            clearTimeout(timer);
            resolve(undefined);
          };
        });
      }
    }
  }

  #find(
    /** @type {string} */ type,
    /** @type {unknown} */ listener,
    /** @type {boolean} */ capture,
  ) {
    return this.#listeners.find((each) =>
      each.type === type && each.listener === listener && each.capture === capture
    );
  }

  #drop(/** @type {unknown[]} */ listeners) {
    this.#listeners = this.#listeners.filter((each) => !listeners.includes(each));
    this.#rest();
  }

  /** Whether somebody takes messages. */
  get #isTaken() {
    return this.#loop !== undefined ||
      this.#listeners.some(({ type }) => type !== "state" && type !== "online");
  }

  #follow() {
    if (this.#closing.signal.aborted) return;
    const isNew = this.#isBehind && this.#isTaken;
    // A loop asks again for what was refused.
    if (isNew || (this.#loop && this.#connection.problem?.isFinal)) this.#connection.stop();
    else if (this.#state !== "closed") return;
    this.#isBehind &&= !this.#isTaken;
    this.#connection.start(this.#cursor);
  }

  /** Pauses if nobody is left. */
  #rest() {
    if (!this.#loop && this.#listeners.length === 0) this.#pause();
    else if (!this.#isTaken) this.#isBehind = true;
  }

  #pause() {
    this.#connection.stop();
    this.#setState("closed");
  }

  #receive(/** @type {StreamEvent} */ event) {
    if (event.type === "gap") return this.#handOn("gap", { missed: event.missed });
    if (event.type === "entry") {
      const { entry } = event;
      return "removes" in entry ? this.#handOn("removed", entry) : this.#handOn("message", entry);
    }
    const { status, online, retryMs, cursor } = event;
    const { problem } = this.#connection;
    if (status === "live" || status === "polling") {
      // All before it has been handed on.
      this.#moveTo(cursor);
      this.#sendNow();
    }
    this.#setState(status, { retryMs, problem });
    if (online !== undefined) this.#dispatch("online", online);
    if (problem?.isFinal) this.#loop?.abort(problem);
  }

  #moveTo(/** @type {string | undefined} */ cursor) {
    if (this.#isTaken) this.#cursor = cursor;
    else this.#isBehind = true;
  }

  /**
   * Resolves when the loop has it.
   *
   * @template {ChatEvent["type"]} Type
   * @param {Type} type
   * @param {ChatEvents[Type]} detail
   */
  #handOn(type, detail) {
    if (!this.#loop) this.#moveTo("id" in detail ? detail.id : this.#cursor);
    const event = /** @type {ChatEvent} */ (/** @type {unknown} */ (this.#dispatch(type, detail)));
    // Of a loop that is left, it fails.
    return this.#loop?.write(event).catch(() => {});
  }

  #setState(
    /** @type {ChatState} */ state,
    /** @type {{ retryMs?: number, problem?: RequestError }} */ more = {},
  ) {
    if (state === this.#state && !more.retryMs) return;
    this.#state = state;
    this.#dispatch("state", { state, ...more });
  }

  /**
   * @template {keyof ChatEvents} Type
   * @param {Type} type
   * @param {ChatEvents[Type]} detail
   */
  #dispatch(type, detail) {
    const event = new CustomEvent(type, { detail });
    const once = this.#listeners.filter((each) => each.once && each.type === type);
    this.dispatchEvent(event);
    if (once.length > 0) this.#drop(once);
    return event;
  }
}

/**
 * Starts to count milliseconds. One clock stands still while some computers sleep, the other can be
 * set back: the greater is right, or at worst too long.
 */
export function startStopwatch() {
  const monotonic = performance.now();
  const wall = Date.now();
  return () => Math.max(performance.now() - monotonic, Date.now() - wall);
}

/**
 * Follows a room. After every loss it resumes at its cursor, with growing, randomised delays; silence
 * is a loss. While something on the way holds the stream back, it asks for the history instead.
 */
export class Connection {
  #chat;
  #heartbeatMs;
  #emit;
  #headers;
  /** @type {Status} */
  #status = { type: "status", status: "waiting" };
  #statusAge = startStopwatch();
  /** The stream that is open. @type {AbortController=} */
  #stream;
  /** @type {string=} */
  #cursor;
  /** @type {RequestError=} */
  #problem;
  /** The server's own delay; one of a minute lets no further reader in. */
  #retryMs = 0;
  #failures = 0;
  /** How often the stream failed where the history did not. */
  #heldBack = 0;
  #silence = startStopwatch();
  #silentHeartbeats = SILENT_HEARTBEATS;
  /** Events that wait to be taken: nothing is read meanwhile. */
  #waiting = 0;
  #sinceTrial = startStopwatch();
  #mayStream = true;
  #cancelWait = () => {};
  /** @type {ReturnType<typeof setTimeout>=} */
  #watch;

  /**
   * @param {string} chat The address of the room's messages.
   * @param {number} heartbeatMs
   * @param {(event: StreamEvent) => void | Promise<unknown>} emit Nothing is read until it resolves.
   * @param {Record<string, string>} headers Go with each request.
   */
  constructor(chat, heartbeatMs, emit, headers = {}) {
    this.#chat = chat;
    this.#heartbeatMs = heartbeatMs;
    this.#emit = emit;
    this.#headers = headers;
  }

  /** @returns {Status} */
  get status() {
    const { retryMs } = this.#status;
    const left = retryMs && Math.max(0, retryMs - this.#statusAge());
    return { ...this.#status, retryMs: left, cursor: this.#cursor };
  }

  /** What the last try has met with. */
  get problem() {
    return this.#problem;
  }

  /**
   * Starts after a cursor, or with the latest messages. If already started, a tab has become
   * visible: no delay goes on, and one missed heartbeat is a loss.
   */
  start(/** @type {string=} */ cursor) {
    if (this.#watch) {
      if (!this.#stream || this.#silence() > 1.2 * this.#heartbeatMs) this.#open();
      return;
    }
    this.#cursor = cursor;
    this.#failures = this.#heldBack = this.#retryMs = 0;
    // Not a timeout: those stand still while a computer sleeps.
    this.#watch = setInterval(() => this.#check(), Math.min(this.#heartbeatMs / 4, 2000));
    this.#open();
  }

  stop() {
    this.#close();
    clearInterval(this.#watch);
    this.#watch = this.#problem = undefined;
    this.#status = { type: "status", status: "waiting" };
  }

  /** While it may not, it asks for the history. */
  set mayStream(/** @type {boolean} */ mayStream) {
    if (mayStream === this.#mayStream) return;
    this.#mayStream = mayStream;
    if (this.#watch) this.#open();
  }

  /** The network has changed: whatever was open may be dead. */
  reconnect() {
    if (this.#watch && this.#status.status !== "connecting") this.#open();
  }

  async #open() {
    this.#close();
    this.#problem = undefined;
    if (!this.#mayStream) return this.#poll();
    this.#silence = startStopwatch();
    const stream = new AbortController();
    this.#stream = stream;
    const { signal } = stream;
    const { status } = this.#status;
    if (status !== "polling" && status !== "signed-out") this.#setStatus("connecting");
    // Whoever heard of it may have stopped it.
    if (signal.aborted) return;
    try {
      await this.#read(signal);
      if (!signal.aborted) this.#lose();
    } catch (error) {
      // TypeError: no connection. SyntaxError: half an event. After the cursor it comes again.
      if (!signal.aborted) this.#lose(error);
    } finally {
      stream.abort();
    }
  }

  async #read(/** @type {AbortSignal} */ signal) {
    const query = this.#cursor ? `?since=${this.#cursor}` : "";
    const headers = this.#headers;
    const { body } = await ask(this.#chat + query, { headers, signal }, "text/event-stream");
    const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader();
    const parser = new EventParser();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done || signal.aborted) return;
        this.#silence = startStopwatch();
        for (const { name, data, id } of parser.push(value)) {
          if (!EVENTS.includes(name)) continue;
          const detail = JSON.parse(data);
          // Also of a block with no data, with the next event.
          this.#cursor = id || this.#cursor;
          await this.#receive(name, detail);
          if (signal.aborted) return;
        }
      }
    } finally {
      this.#retryMs = parser.retryMs ?? this.#retryMs;
      // Of one that is broken off already, it fails.
      reader.cancel().catch(() => {});
    }
  }

  #receive(/** @type {string} */ name, /** @type {any} */ detail) {
    if (name === "message" || name === "removed") {
      return this.#handOn({ type: "entry", entry: detail });
    }
    if (name === "gap") return this.#handOn({ type: "gap", missed: detail.missed });
    if (name === "ping") {
      this.#silentHeartbeats = SILENT_HEARTBEATS;
      if (detail.heartbeat > 0) this.#heartbeatMs = detail.heartbeat * 1000;
    } else {
      this.#failures = this.#heldBack = 0;
      this.#problem = undefined;
      this.#setStatus("live", { online: detail });
    }
  }

  async #handOn(/** @type {StreamEvent} */ event) {
    const taken = this.#emit(event);
    if (!taken) return;
    this.#waiting++;
    await taken;
    this.#waiting--;
    this.#silence = startStopwatch();
  }

  #check() {
    if (!this.#stream || this.#waiting > 0) return;
    const isLive = this.#status.status === "live";
    const maxMs = this.#silentHeartbeats * this.#heartbeatMs;
    if (this.#silence() < (isLive ? maxMs : Math.min(maxMs, MAX_START_MS))) return;
    // A restarted server may have longer heartbeats, which a ping will tell.
    if (isLive) {
      this.#silentHeartbeats = Math.min(2 * this.#silentHeartbeats, MAX_SILENT_HEARTBEATS);
    } else this.#heldBack++;
    this.#lose();
  }

  #lose(/** @type {unknown} */ error = undefined) {
    this.#close();
    this.#problem = error instanceof RequestError ? error : undefined;
    // Not at once, if it was live: nor do the other readers of a server that went away.
    if (this.#status.status === "live") this.#wait("waiting");
    // What the chat itself says of the stream holds for the history too.
    else if (this.#problem?.message) this.#waitOut(this.#problem);
    else this.#poll();
  }

  /** The stream does not come; the history may. */
  async #poll() {
    const aborter = new AbortController();
    const { signal } = aborter;
    this.#cancelWait = () => aborter.abort();
    try {
      // Where nothing before now is wanted, the latest say where now is.
      const isNone = this.#cursor === "none";
      const query = { ...!isNone && this.#cursor && { since: this.#cursor }, removed: "" };
      const { missed, entries } = await openHistory(this.#chat, query, this.#headers, signal);
      if (!isNone && missed !== 0) await this.#handOn({ type: "gap", missed });
      // What comes after nothing is all there will be.
      let cursor = query.since ?? "all";
      for await (const entry of entries) {
        if (signal.aborted) return;
        cursor = entry.id;
        if (isNone) continue;
        this.#cursor = cursor;
        this.#failures = 0;
        await this.#handOn({ type: "entry", entry });
      }
      if (signal.aborted) return;
      this.#cursor = cursor;
    } catch (error) {
      if (!signal.aborted) this.#waitOut(/** @type {RequestError} */ (error));
      return;
    }
    this.#problem = undefined;
    if (this.#status.status !== "polling" && this.#mayStream) {
      // The server may only have been starting.
      if (this.#heldBack++ === 0 && !this.#isHeldOff) return this.#wait("waiting");
      this.#sinceTrial = startStopwatch();
    }
    this.#failures = 0;
    const isTrial = this.#sinceTrial() > Math.max(TRY_STREAM_MS, this.#retryMs);
    if (isTrial) this.#sinceTrial = startStopwatch();
    this.#after(POLL_MS * (1 - Math.random() / 5), () => isTrial ? this.#open() : this.#poll());
    this.#setStatus("polling");
  }

  #waitOut(/** @type {RequestError} */ problem) {
    this.#problem = problem;
    const { reason, isFinal, retryAfterMs } = problem;
    const isSignedOut = reason === "signed-out";
    const isWrongPassword = isFinal && isSignedOut && this.#headers.authorization;
    this.#wait(
      isSignedOut ? "signed-out" : "waiting",
      isWrongPassword ? randomDelay(WRONG_PASSWORD_MS) : serverDelay(retryAfterMs ?? 0),
    );
  }

  get #isHeldOff() {
    return this.#retryMs > MAX_DELAY_MS;
  }

  #wait(/** @type {"waiting" | "signed-out"} */ status, minMs = 0) {
    const ownMs = randomDelay(Math.min(FIRST_DELAY_MS * 2 ** this.#failures++, MAX_DELAY_MS));
    const retryMs = Math.max(ownMs, minMs, this.#isHeldOff ? 0 : this.#retryMs);
    this.#after(retryMs, () => this.#isHeldOff ? this.#poll() : this.#open());
    this.#setStatus(status, { retryMs });
  }

  #after(/** @type {number} */ ms, /** @type {() => void} */ act) {
    const timer = setTimeout(act, ms);
    this.#cancelWait = () => clearTimeout(timer);
  }

  #close() {
    this.#cancelWait();
    this.#stream?.abort();
    this.#stream = undefined;
  }

  #setStatus(/** @type {Status["status"]} */ status, more = {}) {
    this.#status = { type: "status", status, ...more };
    this.#statusAge = startStopwatch();
    this.#emit(this.status);
  }
}

/** Reads an event stream in whatever pieces it comes (HTML, section 9.2.6). */
export class EventParser {
  #decoder = new TextDecoder();
  /** Of a line that has not ended. */
  #text = "";
  #endsInCr = false;
  #name = "";
  /** @type {string[]} */
  #data = [];
  #id = "";
  /** What the stream says last of when to come back. @type {number=} */
  retryMs;

  /** The events that end in a piece. `id` is the last there was, of this event or before. */
  *push(/** @type {Uint8Array} */ bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    // The rest of a line's end.
    if (this.#endsInCr && text.startsWith("\n")) text = text.slice(1);
    if (text !== "") this.#endsInCr = text.endsWith("\r");
    const lines = (this.#text + text).split(/\r\n?|\n/);
    this.#text = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") {
        this.#take(line);
        continue;
      }
      const [name, data] = [this.#name || "message", this.#data];
      this.#name = "";
      this.#data = [];
      if (data.length > 0) yield { name, data: data.join("\n"), id: this.#id };
    }
  }

  #take(/** @type {string} */ line) {
    const [, name, value = ""] = /^([^:]*)(?:: ?([^]*))?$/.exec(line) ?? [];
    if (name === "event") this.#name = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }
}

/** How long to wait after a post that has failed; `tries`: how often it had failed before. */
export function postDelay(
  /** @type {number} */ tries,
  /** @type {number | undefined} */ retryAfterMs,
) {
  return retryAfterMs === undefined
    ? randomDelay(Math.min(FIRST_POST_DELAY_MS * 2 ** tries, MAX_DELAY_MS))
    : serverDelay(retryAfterMs);
}

/** Lest all come back at the same moment. */
function randomDelay(/** @type {number} */ maxMs) {
  return maxMs * (1 + Math.random()) / 2;
}

function serverDelay(/** @type {number} */ retryAfterMs) {
  return Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) + 1000 * Math.random();
}

/** What all tries of a message have in common, and no other message has. */
export function makeKey() {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

/** A request that has failed. Its message says why, empty if that may pass and is not the chat's. */
export class RequestError extends Error {
  /**
   * @param {"refused" | "removed" | "signed-out" | "unavailable"} reason `removed`: it was there.
   * `signed-out`: one has to sign in. `unavailable`: it may pass.
   * @param {{ detail?: string, field?: string, retryAfterMs?: number }} more
   */
  constructor(reason, { detail = "", field, retryAfterMs } = {}) {
    super(detail);
    this.name = "RequestError";
    this.reason = reason;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
  }

  /** The same request will be refused again. */
  get isFinal() {
    return this.reason !== "unavailable" && this.message !== "";
  }
}

/**
 * The latest messages, those since or those before a message; oldest first. `missed` is how many
 * before them are lost, null if unknown; `cursor` is where the next begin. For `since` the chat sends
 * all; only the first `max` are read. Only among all of them it says what is removed.
 *
 * @param {string} chat The address of the room's messages.
 * @param {{ since?: string, before?: string, max?: number }} range
 * @param {Record<string, string>} headers
 * @throws {RequestError}
 */
export async function fetchMessages(chat, { since, before, max = Infinity } = {}, headers = {}) {
  const { missed, entries: read } = await openHistory(chat, {
    ...since && { since },
    ...before && { before },
    ...!before && max === Infinity && { removed: "" },
  }, headers);
  const entries = [];
  for await (const entry of read) if (entries.push(entry) === max) break;
  return {
    messages: entries.filter(isMessage),
    removals: entries.filter(isRemoval),
    missed,
    // What comes after nothing is all there will be.
    cursor: entries.at(-1)?.id ?? since ?? "all",
  };
}

/** The entries come as they are taken; nothing is read ahead. @throws {RequestError} */
async function openHistory(
  /** @type {string} */ chat,
  /** @type {Record<string, string>} */ query,
  /** @type {Record<string, string>} */ headers,
  /** @type {AbortSignal | undefined} */ signal = undefined,
) {
  const url = `${chat}?${new URLSearchParams(query)}`;
  const { headers: answered, pieces } = await open(url, { headers, signal });
  const gap = answered.get("chat-gap") ?? "0";
  return { missed: gap === "unknown" ? null : Number(gap), entries: readEntries(pieces) };
}

/** Each is a line of an array. */
async function* readEntries(/** @type {AsyncIterable<string>} */ pieces) {
  let rest = "";
  for await (const piece of pieces) {
    rest += piece;
    const end = rest.lastIndexOf(",\n");
    if (end < 0) continue;
    yield* parseEntries(`${rest.slice(0, end)}]`);
    rest = `[${rest.slice(end + 2)}`;
  }
  yield* parseEntries(rest);
}

/** @returns {(ChatMessage | Removal)[]} */
function parseEntries(/** @type {string} */ text) {
  const entries = parse(text);
  const isEntry = (/** @type {unknown} */ each) => isMessage(each) || isRemoval(each);
  if (!Array.isArray(entries) || !entries.every(isEntry)) throw new RequestError("unavailable");
  return entries;
}

/** Posts a message, even while the page goes; returns it as the chat has it. @throws {RequestError} */
export async function postMessage(
  /** @type {string} */ chat,
  /** @type {{ key: string, nickname: string, message: string }} */ { key, nickname, message },
  /** @type {Record<string, string>} */ headers = {},
  /** @type {AbortSignal | undefined} */ signal = undefined,
) {
  const body = new URLSearchParams({ nickname, message, key });
  const keepalive = `${body}`.length <= MAX_KEEPALIVE_BYTES;
  const sent = parse(
    await request(chat, { method: "POST", body, headers, keepalive, signal }),
  );
  if (!isMessage(sent)) throw new RequestError("unavailable");
  return sent;
}

/** The text of an answer in JSON. @throws {RequestError} */
export async function request(
  /** @type {string} */ url,
  /** @type {RequestInit} */ init,
) {
  let text = "";
  for await (const piece of (await open(url, init)).pieces) text += piece;
  return text;
}

/** An answer in JSON, in pieces as they are taken. @throws {RequestError} */
async function open(/** @type {string} */ url, /** @type {RequestInit} */ init) {
  const aborter = new AbortController();
  const { signal } = aborter;
  const abort = () => aborter.abort();
  if (init.signal?.aborted) abort();
  init.signal?.addEventListener("abort", abort, { signal });
  /** @template Result @param {Promise<Result>} next */
  const hear = async (next) => {
    const timer = setTimeout(abort, SILENCE_MS);
    try {
      return await next;
    } catch (error) {
      abort();
      // TypeError: no connection. AbortError: silence. SyntaxError: half a refusal.
      throw error instanceof RequestError ? error : new RequestError("unavailable");
    } finally {
      clearTimeout(timer);
    }
  };
  const { headers, body } = await hear(ask(url, { ...init, signal }, "application/json"));
  const pieces = async function* () {
    const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader();
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await hear(reader.read());
        if (done) return;
        yield decoder.decode(value, { stream: true });
      }
    } finally {
      // Of one that is broken off already, it fails.
      reader.cancel().catch(() => {});
      abort();
    }
  };
  return { headers, pieces: pieces() };
}

/**
 * A response of that type. The chat's answers are told from those of a proxy that can't reach it, or of a
 * page to sign in at.
 */
async function ask(
  /** @type {string} */ url,
  /** @type {RequestInit} */ init,
  /** @type {string} */ wanted,
) {
  const response = await fetch(url, {
    ...init,
    headers: { ...init.headers, accept: wanted },
    cache: "no-store",
    redirect: "manual",
  });
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("application/problem+json")) throw refusal(response, await response.json());
  if (response.ok && type.startsWith(wanted)) return response;
  // Of one that was redirected, it is closed.
  response.body?.cancel().catch(() => {});
  throw foreign(response);
}

function parse(/** @type {string} */ text) {
  try {
    return JSON.parse(text);
  } catch {
    // SyntaxError: half an answer.
  }
}

function refusal(
  /** @type {Response} */ { status, headers },
  /** @type {{ detail?: string, field?: string }} */ { detail, field },
) {
  const mayPass = status >= 500 || status === 408 || status === 429;
  const reason = mayPass ? "unavailable" : REASONS[status] ?? "refused";
  return new RequestError(reason, { detail, field, retryAfterMs: retryAfter(headers) });
}

function foreign(/** @type {Response} */ { status, ok, type, headers }) {
  const location = headers.get("location");
  if (location && (status === 301 || status === 308)) {
    return new RequestError("refused", { detail: `The chat has moved to ${location}` });
  }
  if (status === 413 || status === 414) {
    return new RequestError("refused", {
      detail: "The message is too long for a server on the way to the chat.",
    });
  }
  const isRedirected = status >= 300 && status < 400;
  const isSignIn = ok || isRedirected || type === "opaqueredirect" ||
    [401, 403, 407, 511].includes(status);
  const reason = isSignIn ? "signed-out" : "unavailable";
  return new RequestError(reason, { retryAfterMs: retryAfter(headers) });
}

/** In seconds; a date would be by another clock. */
function retryAfter(/** @type {Headers} */ headers) {
  const ms = Number(headers.get("retry-after")) * 1000;
  return ms > 0 ? ms : undefined;
}

/** @type {(value: any) => value is ChatMessage} */
export function isMessage(value) {
  return isId(value?.id) &&
    [value.nickname, value.message, value.time].every((each) => typeof each === "string");
}

/** @type {(value: any) => value is Removal} */
function isRemoval(value) {
  return isId(value?.id) && (value.removes === "all" || isId(value.removes));
}

/** @type {(value: any) => value is string} */
function isId(value) {
  return /^\d+-\d+$/.test(value);
}

function toBase64(/** @type {string} */ text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/**
 * The path of a room's messages, from that of its page or their own. A name has one spelling; what ends in
 * a slash may be a path that a proxy has put the chat under.
 */
function toChat(/** @type {string} */ pathname) {
  const page = pathname.replace(/(\/chat)?\/?$/, "");
  if (/\/(chat)?$/.test(pathname)) return `${page}/chat`;
  const start = page.lastIndexOf("/") + 1;
  const name = decodeURIComponent(page.slice(start)).normalize().toLowerCase().normalize();
  return `${page.slice(0, start)}${encodeURIComponent(name)}/chat`;
}

function toOptions(/** @type {boolean | AddEventListenerOptions | undefined} */ options) {
  return typeof options === "object" ? options : { capture: options };
}
