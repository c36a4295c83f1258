/** What every room answers: its page, its messages, its moderation, its address to give away. */

import type { Config } from "../config.ts";
import { LogUnavailableError, type MessageLog } from "../message_log/message_log.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { MAIN_ROOM, type Rooms, type RoomUse } from "../room.ts";
import type { Guard } from "../visitor_guard/guard.ts";
import { refusalOf } from "../visitor_guard/mute.ts";
import { checkOrigin } from "../visitor_guard/origin.ts";
import type { Sessions } from "../visitor_guard/session.ts";
import type { Visitors } from "../visitor_guard/visitor.ts";
import { isEventSource, isNavigation, wantsJson } from "./accept.ts";
import { sendHistory } from "./history.ts";
import { sendInvitation } from "./invitation.ts";
import { moderate, sendState } from "./moderation.ts";
import { type RoomPages, titleOf } from "./page.ts";
import { sendPlainPage } from "./plain_page.ts";
import { postMessage } from "./post.ts";
import { checkRoom } from "./room_path.ts";
import type { Route, Routes } from "./router.ts";
import { requireModerator } from "./session.ts";
import { openStream, sendAway } from "./stream.ts";
import type { Visit } from "./visit.ts";

/** What the routes work with. */
export interface RoomRoutesOptions {
  readonly rooms: Rooms;
  readonly guard: Guard;
  readonly visitors: Visitors;
  readonly sessions: Sessions;
  readonly pages: RoomPages;
  /** By which others reach the server, the best first. */
  readonly hosts: readonly string[];
  readonly config: Pick<Config, "title" | "rooms" | "allowOrigin">;
  readonly metrics?: Pick<Metrics, "appended">;
}

/** The routes of every room, by what follows its name in the path. */
export function routesInRooms(
  { rooms, guard, visitors, sessions, pages, hosts, config, metrics }: RoomRoutesOptions,
): Routes {
  const { title, allowOrigin } = config;

  const greet = async (response: Response, { request, isSecure }: Visit) => {
    const cookie = await visitors.greet(request, isSecure);
    if (cookie) response.headers.append("set-cookie", cookie);
    return response;
  };

  const page: Route = async (visit, name) =>
    await greet(await (await pages.get(name, visit.role)).serve(visit.request), visit);
  const read: Route = async (visit, name) => {
    const { request, address } = visit;
    if (isNavigation(request)) {
      using _slot = guard.enterHistory(address);
      using use = await rooms.enter(name);
      const options = { log: use.room.log, title: titleOf(name, title), base: name && "../" };
      const response = await sendPlainPage(visit, options);
      // In a room the cookie would be for that room's addresses alone.
      return name === MAIN_ROOM ? await greet(response, visit) : response;
    }
    checkOrigin(request, allowOrigin);
    using use = await enterUnlessAway(rooms, name, request);
    if (use === undefined) return sendAway();
    return wantsJson(request)
      ? await sendHistory(visit, use.room, guard.enterHistory(address))
      : openStream(visit, use.room, { guard, sessions });
  };
  const post: Route = async (visit, name) => {
    const { request, address } = visit;
    checkOrigin(request, allowOrigin);
    using _entry = await guard.enterPost(address);
    using use = await rooms.enter(name);
    const { log } = use.room;
    const visitor = await visitors.identify(request, address, name);
    const isModerator = visit.role === "moderator";
    return await postMessage(request, {
      room: name,
      log: metrics ? timed(log, metrics) : log,
      author: {
        by: visitor.mark,
        address: visitor.address,
        ...(isModerator && { moderator: true }),
      },
      refuse: (state, now) => isModerator ? undefined : refusalOf(state, visitor, now),
      onBody: (bytes) => guard.chargePost(address, bytes),
    });
  };

  const moderation: Route = async (visit, name) => {
    requireModerator(visit);
    using use = await rooms.enter(name);
    return sendState(use.room.log);
  };
  const act: Route = async (visit, name) => {
    const { request, address } = visit;
    checkOrigin(request, allowOrigin);
    requireModerator(visit);
    using _slot = guard.enterBody(address);
    using use = await rooms.enter(name);
    return await moderate(request, { room: name, log: use.room.log });
  };
  const invite: Route = (visit, name) => sendInvitation(visit, name, hosts);
  /** A route of the rooms that may be. */
  const allowed = (route: Route): Route => (visit, name) => {
    checkRoom(name, config.rooms);
    return route(visit, name);
  };

  return new Map([
    ["/", new Map([["GET", allowed(page)]])],
    ["/chat", new Map([["GET", allowed(read)], ["POST", allowed(post)]])],
    ["/invite.svg", new Map([["GET", allowed(invite)]])],
    ["/moderation", new Map([["GET", allowed(moderation)], ["POST", allowed(act)]])],
  ]);
}

/** A log of which it is counted how long it takes to store a message, or not to. */
function timed(
  log: MessageLog,
  metrics: Pick<Metrics, "appended">,
): Pick<MessageLog, "append"> {
  return {
    async append(post, refuse) {
      const began = performance.now();
      const count = () => metrics.appended(performance.now() - began);
      try {
        const appended = await log.append(post, refuse);
        if (!appended.repeated) count();
        return appended;
      } catch (error) {
        if (error instanceof LogUnavailableError) count();
        throw error;
      }
    },
  };
}

/** Lets a reader into a room; undefined for an EventSource if its log can't be opened now. */
async function enterUnlessAway(
  rooms: Rooms,
  name: string,
  request: Request,
): Promise<RoomUse | undefined> {
  try {
    return await rooms.enter(name);
  } catch (error) {
    if (!(error instanceof LogUnavailableError) || !isEventSource(request)) throw error;
  }
}
