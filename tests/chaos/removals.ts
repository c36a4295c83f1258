/**
 * A moderator removes messages while the server is killed and started again, writers repeat their
 * posts until they have a response, and others read all there is: what was removed never comes back.
 */

import { setTimeout as delay } from "node:timers/promises";
import { basic, readTexts } from "../chat_client.ts";
import { isBroken, type Run } from "./run.ts";
import type { Server } from "./server.ts";

/** The password that the server is to be started with. */
export const MODERATOR_PASSWORD = "battery staple";

const HEADERS = basic(MODERATOR_PASSWORD);
/** How many messages are sent with each removal. */
const POSTS = 5;
/** At once. */
const MAX_POSTS = 50;
/** How long the file may take to be overwritten after the last start. */
const ERASURE_MS = 20_000;

/** A message that had a response. */
interface Stored {
  readonly room: string;
  readonly key: string;
  readonly text: string;
  readonly id: string;
  readonly by: string;
}

/** Who writes, removes and reads, and what they know of it. */
export class Removals {
  readonly #run: Run;
  /** Those that nobody has asked to be removed, by their text. */
  readonly #stored = new Map<string, Stored>();
  /** The texts of which it was answered that they are removed. */
  readonly #removed = new Set<string>();
  /** Removed messages, as they were posted. */
  readonly #repeatable: Stored[] = [];
  #posts = 0;
  /** How many removals of many messages have begun, and how many have not ended. */
  #sweeps = 0;
  #sweeping = 0;

  constructor(run: Run) {
    this.#run = run;
  }

  /** How many messages were removed. */
  get count(): number {
    return this.#removed.size;
  }

  /** Posts so many messages to all rooms. */
  async write(count: number): Promise<void> {
    for (let n = 0; n < count; n += MAX_POSTS) {
      await Promise.all(
        Array.from({ length: Math.min(MAX_POSTS, count - n) }, () => this.#write()),
      );
    }
  }

  /** Removes, again and again, until the run finishes. */
  async moderate(): Promise<void> {
    const random = this.#run.random("moderator");
    while (!this.#run.isFinishing) {
      await this.write(POSTS);
      const stored = [...this.#stored.values()];
      if (stored.length === 0) continue;
      const picked = random.pick(stored);
      const chance = random.next();
      if (chance < 0.05) {
        await this.#remove(picked.room, { action: "clear" }, ({ room }) => room === picked.room);
      } else if (chance < 0.1) {
        const isTheirs = ({ room, by }: Stored) => room === picked.room && by === picked.by;
        await this.#remove(picked.room, { action: "remove", by: picked.by }, isTheirs);
      } else {
        const isPicked = ({ text }: Stored) => text === picked.text;
        await this.#remove(picked.room, { action: "remove", id: picked.id }, isPicked);
      }
      if (this.#repeatable.length > 0) await this.#repeat(random.pick(this.#repeatable));
    }
  }

  /** Reads all there is, again and again, until the run finishes. */
  async read(name: string): Promise<void> {
    const random = this.#run.random(name);
    while (!this.#run.isFinishing) {
      const room = random.pick(this.#run.rooms);
      const gone = new Set(this.#removed);
      try {
        const text = random.chance(0.5)
          ? JSON.stringify(await readTexts(room.url))
          : await readReplay(room.url);
        for (const removed of textsIn(text).intersection(gone)) {
          room.problem("a reader got what was removed", `${name} got ${removed}`);
        }
      } catch (error) {
        if (!isBroken(error) && !(error instanceof SyntaxError)) throw error;
      }
      await delay(random.int(0, 20));
    }
  }

  /** Checks what is left once nobody does anything any more, in the file before anybody reads. */
  async judge(server: Server): Promise<void> {
    const deadline = performance.now() + ERASURE_MS;
    let left = this.#removed;
    while (left.size > 0 && performance.now() < deadline) {
      await delay(100);
      left = textsIn(await server.readFiles()).intersection(this.#removed);
    }
    for (const text of left) this.#run.problem("the file has what was removed", text);
    const found = new Set<string>();
    for (const room of this.#run.rooms) {
      for (const text of textsIn((await readTexts(room.url)).join())) found.add(text);
    }
    const kept = new Set(this.#stored.keys());
    for (const text of kept.difference(found)) {
      this.#run.problem("a message is gone that nobody has removed", text);
    }
    for (const text of found.intersection(this.#removed)) {
      this.#run.problem("a message is there that was removed", text);
    }
  }

  /** Posts a message of its own until there is a response. */
  async #write(): Promise<void> {
    const key = `key-${this.#posts++}`;
    const text = `text-${this.#posts}-of-the-run.`;
    const random = this.#run.random(text);
    const room = random.pick(this.#run.rooms);
    const padding = "x".repeat(random.chance(0.1) ? 3000 : random.int(0, 200));
    const body = new URLSearchParams({ message: `${padding} ${text}`, key });
    const sweeps = this.#sweeping > 0 ? undefined : this.#sweeps;
    const response = await this.#ask(`${room.url}/chat`, { method: "POST", body });
    if (!response) return;
    const { status, answer } = response;
    if (status === 410) {
      // The room was cleared before there was a response.
      this.#removed.add(text);
    } else if (status === 201 || status === 200) {
      // One that came amid the removal of many may be among them.
      if (sweeps === this.#sweeps) {
        this.#stored.set(text, { room: room.url, key, text, id: answer.id!, by: answer.by! });
      }
    } else room.problem("a post was refused", `${text} got ${status}`);
  }

  /** Sends a removed message again, as a page does that has not heard of its removal. */
  async #repeat({ room, key, text }: Stored): Promise<void> {
    const body = new URLSearchParams({ message: text, key });
    const response = await this.#ask(`${room}/chat`, { method: "POST", body });
    if (response && response.status !== 410) {
      this.#run.problem("a repeat of a removed message is not gone", `${text}: ${response.status}`);
    }
  }

  /** Removes what is there now, until there is a response. */
  async #remove(
    room: string,
    fields: Record<string, string>,
    isMeant: (stored: Stored) => boolean,
  ): Promise<void> {
    const meant = [...this.#stored.values()].filter(isMeant);
    for (const { text } of meant) this.#stored.delete(text);
    const isSweep = fields.id === undefined;
    if (isSweep) {
      this.#sweeps++;
      this.#sweeping++;
    }
    const body = new URLSearchParams(fields);
    const response = await this.#ask(`${room}/moderation`, {
      method: "POST",
      body,
      headers: HEADERS,
    });
    if (isSweep) this.#sweeping--;
    if (!response) return;
    // 404: one that was interrupted has removed them.
    if (response.status !== 200 && response.status !== 404) {
      this.#run.problem(
        "a removal was refused",
        `${JSON.stringify(fields)} got ${response.status}`,
      );
    }
    for (const { text } of meant) this.#removed.add(text);
    this.#repeatable.push(...meant);
    this.#run.note("response");
  }

  /** Asks until there is a response of a server that is not about to stop; undefined once all is given up. */
  async #ask(url: string, init: RequestInit) {
    while (!this.#run.isGivenUp) {
      try {
        const response = await fetch(url, init);
        const answer: { id?: string; by?: string } = await response.json();
        if (response.status !== 503) return { status: response.status, answer };
      } catch (error) {
        if (!isBroken(error)) throw error;
      }
      await delay(10);
    }
  }
}

/** The stream up to the end of its replay. */
async function readReplay(url: string): Promise<string> {
  const response = await fetch(`${url}/chat?since=all`);
  let text = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (text.includes("event: online")) break;
  }
  return text;
}

function textsIn(text: string): Set<string> {
  return new Set(Array.from(text.matchAll(/text-\d+-of-the-run\./g), ([found]) => found));
}
