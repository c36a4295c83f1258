/** What the server as a whole answers: signing in, the list of rooms, how it is, and the page's files. */

import type { Config } from "../config.ts";
import type { MessageStore } from "../message_log/message_log.ts";
import { StoreProbe } from "../message_log/store_probe.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Rooms } from "../room.ts";
import { reasonOf, type Terminal } from "../terminal.ts";
import type { Guard } from "../visitor_guard/guard.ts";
import { sendHealth, sendLife } from "./health.ts";
import { refuseMetrics, sendMetrics } from "./metrics.ts";
import { sendRooms } from "./moderation.ts";
import { loadFiles } from "./page.ts";
import type { Route, Routes } from "./router.ts";
import { requireModerator, type SignIn } from "./session.ts";

/** What the routes work with. */
export interface ServerRoutesOptions {
  readonly rooms: Rooms;
  readonly store: Pick<MessageStore, "probe">;
  readonly signIn: SignIn;
  readonly guard: Guard;
  readonly config: Pick<Config, "title" | "messageLog" | "metricsToken">;
  readonly terminal: Terminal;
  readonly metrics?: Metrics;
}

/** The routes that no room has, by their paths. */
export async function routesOfServer(
  { rooms, store, signIn, guard, config, terminal, metrics }: ServerRoutesOptions,
): Promise<Routes> {
  const probe = new StoreProbe(store, {
    onFailure: (error) => terminal.report({ event: "probe_failed", reason: reasonOf(error) }),
  });
  const list: Route = (visit) => {
    requireModerator(visit);
    return sendRooms(rooms);
  };
  const routes = new Map<string, ReadonlyMap<string, Route>>([
    [
      "/session",
      new Map<string, Route>([
        ["GET", (visit) => signIn.show(visit)],
        ["POST", (visit) => signIn.post(visit)],
        ["DELETE", (visit) => signIn.leave(visit)],
      ]),
    ],
    ["/rooms", new Map([["GET", list]])],
    ["/livez", new Map([["GET", sendLife]])],
    ["/healthz", new Map([["GET", () => sendHealth({ ...config, rooms, probe })]])],
  ]);
  const showMetrics: Route = (visit) =>
    metrics ? sendMetrics(visit, { ...config, metrics, rooms, probe, guard }) : refuseMetrics();
  routes.set("/metrics", new Map([["GET", showMetrics]]));
  for (const [path, file] of await loadFiles(config.title)) {
    routes.set(path, new Map([["GET", ({ request }) => file.serve(request)]]));
  }
  return routes;
}
