/** Attacks by those who pass themselves off as somebody, or as somewhere, else. */

import { basic } from "../chat_client.ts";
import { sendRaw } from "../raw_stream.ts";
import { ATTACKER, flood, statuses } from "./floods.ts";
import type { Attack, Outcome } from "./outcome.ts";
import * as requests from "./requests.ts";
import { askedIn, play } from "./scene.ts";
import { Target } from "./target.ts";

const PASSWORD = "the-right-password";
const MODERATOR_PASSWORD = "the-moderators-password";
const SECONDS = { full: 5, short: 2 };
/** Tries that an address has at once, and each second. */
const TRIES = { burst: 100, perSecond: 1 / 6 };

/** Attacks on passwords, names and marks, in the order in which they are played. */
export const INTRUDERS: readonly Attack[] = [
  {
    name: "wrong passwords from 50 connections, the honest behind the same address",
    asked: `401 for at most ${TRIES.burst} and 10 a minute, then 429; the right one elsewhere; ` +
      askedIn({}),
    play: (options) => {
      const headers: Record<string, string> = {};
      const seconds = SECONDS[options.short ? "short" : "full"];
      return play({
        seconds,
        env: { CHAT_PASSWORD: PASSWORD },
        honest: { address: ATTACKER, headers },
        prepare: async ({ url }) => {
          const body = new URLSearchParams({ password: PASSWORD });
          const response = await fetch(`${url}/session`, { method: "POST", body });
          headers.cookie = response.headers.get("set-cookie")?.split(";", 1)[0] ?? "";
        },
        attack: (target) => tryPasswords(target, seconds),
      }, options);
    },
  },
  {
    name: "requests to names that anybody can have",
    asked: "421, or 400 for what is no name",
    play: async (options) => {
      await using target = await Target.start(options);
      return await askElsewhere(target);
    },
  },
  {
    name: "somebody who wants to look like a moderator",
    asked: "no message is marked as a moderator's",
    play: async (options) => {
      const env = { CHAT_MODERATOR_PASSWORD: MODERATOR_PASSWORD };
      await using target = await Target.start(options, env);
      return await pretend(target);
    },
  },
];

async function tryPasswords(target: Target, seconds: number): Promise<Outcome> {
  const request = requests.WRONG_PASSWORD;
  const counts = await flood(target, { connections: 50, addresses: [ATTACKER], request, seconds });
  const headers = { ...basic(PASSWORD), accept: "application/json" };
  const right = await fetch(`${target.url}/chat`, { headers });
  await right.body?.cancel();
  const { 401: wrong, 429: tooMany, ...others } = counts;
  return {
    happened: `answered ${statuses(counts)}; the right one elsewhere ${right.status}`,
    isReached: wrong <= TRIES.burst + Math.ceil(TRIES.perSecond * seconds) && tooMany > 0 &&
      Object.keys(others).length === 0 && right.ok,
  };
}

async function askElsewhere({ port }: Target): Promise<Outcome> {
  const name = "evil.example:4567";
  const hosts = [name, "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", ""];
  const counts: Record<string, number> = {};
  for (const host of hosts) {
    const headers = { host, origin: `http://${host}` };
    for (const start of ["GET /", "GET /chat", "GET /session"]) {
      count(counts, await statusOf(port, requests.request(start, { headers })));
    }
    count(counts, await statusOf(port, requests.formPost("message=hi", headers)));
  }
  for (
    const host of ["127.0.0.1/chat?since=all#", "127.0.0.1\\", "a b", "evil.example#.localhost"]
  ) {
    count(counts, await statusOf(port, requests.request("GET /", { headers: { host } })));
  }
  return {
    happened: `answered ${statuses(counts)}`,
    isReached: Object.keys(counts).every((status) => status === "421" || status === "400"),
  };
}

/** Posts with everything that might make a moderator. */
async function pretend({ url }: Target): Promise<Outcome> {
  const fields = { nickname: "Moderator", message: "hi", moderator: "true", role: "moderator" };
  const forged = `${btoa("moderator").slice(0, 8)}.${"A".repeat(43)}`;
  const cookies = ["chat-session", "__Host-chat-session", "chat-moderator", "chat"]
    .map((name) => `${name}=moderator.${forged}`).join("; ");
  const tries: [body: BodyInit, headers: Record<string, string>][] = [
    [new URLSearchParams(fields), {}],
    [JSON.stringify({ ...fields, moderator: true }), { "content-type": "application/json" }],
    [new URLSearchParams(fields), { cookie: cookies }],
    [new URLSearchParams(fields), { authorization: `Bearer ${MODERATOR_PASSWORD}` }],
    [new URLSearchParams(fields), { "x-moderator": "true", "x-forwarded-user": "moderator" }],
  ];
  const counts: Record<string, number> = {};
  let marked = 0;
  for (const [body, headers] of tries) {
    const response = await fetch(`${url}/chat`, { method: "POST", body, headers });
    count(counts, String(response.status));
    if ("moderator" in await response.json()) marked++;
  }
  const { status, body } = await fetch(`${url}/moderation`, { headers: { cookie: cookies } });
  await body?.cancel();
  return {
    happened: `answered ${statuses(counts)}, ${marked} of them marked; /moderation ${status}`,
    isReached: marked === 0 && status !== 200,
  };
}

async function statusOf(port: number, text: string): Promise<string> {
  using connection = await sendRaw(port, text);
  return await requests.readStatus(connection);
}

function count(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}
