/**
 * Three instances on one Redis are one chat: writers and readers go from one to another while
 * instances and Redis, which answers nobody before the disk has it, are killed, frozen and started
 * again. Nothing may be lost, repeated or out of order at any of them, and who is live at an
 * instance stays so as long as it runs.
 */

import { assertEquals } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import { readHistory } from "../chat_client.ts";
import { freePort } from "../free_port.ts";
import { hasRedis, RedisServer } from "../redis_server.ts";
import type { Instance } from "./instance.ts";
import { readOptions } from "./options.ts";
import { countReopened, play, report, type Seen, summary } from "./play.ts";
import type { Random } from "./random.ts";
import { Run } from "./run.ts";
import { Server } from "./server.ts";
import { judge } from "./verdict.ts";

/** What is done at a stop. */
type Blow =
  | "kill an instance"
  | "end an instance"
  | "freeze an instance"
  | "kill Redis"
  | "freeze Redis"
  | "kill both";

const INSTANCES = 3;
const BLOWS: readonly Blow[] = [
  "kill an instance",
  "end an instance",
  "freeze an instance",
  "kill Redis",
  "freeze Redis",
  "kill both",
];
/** How long something stands still at most: longer than an instance waits for Redis. */
const MAX_FREEZE_MS = 3500;
/** How long something is away at most before it is started again. */
const MAX_AWAY_MS = 400;
/** More than any run writes. */
const EVERYTHING = 1_000_000;

const options = readOptions(Deno.args);
/** By default, one of each kind. */
const stops = Math.ceil(options.stops * 2 / 3);

if (!hasRedis) console.log("chaos: there is no redis-server here, so no chat of many instances");

for (const seed of options.seeds) {
  Deno.test(
    `three instances lose, repeat and reorder nothing while they and Redis are stopped ${stops} times`,
    { ignore: !hasRedis },
    async () => {
      console.log(`chaos: --seed ${seed}`);
      const ports = Array.from({ length: INSTANCES }, freePort);
      const run = new Run({
        name: "many instances",
        seed,
        ports,
        keep: EVERYTHING,
        remembersKeys: true,
      });
      const began = performance.now();
      await using redis = await RedisServer.start();
      await using stack = new AsyncDisposableStack();
      const servers: Server[] = [];
      for (const port of ports) {
        servers.push(stack.use(await Server.start(port, run.keep, redis.url)));
      }
      const scene = new Scene(run, redis, servers);
      const plot = {
        options,
        longMessages: 200,
        phase: [60, 250],
        stops,
        stop: (n: number) => scene.stop(n),
        giveUp: async () => {
          for (const server of servers) await server[Symbol.asyncDispose]();
        },
      } as const;
      const seen = await play(run, plot);
      for (const { output } of servers) countReopened(run, output);
      if (!run.isGivenUp) await judgeAll(run, seen);
      console.log(summary(run, plot, seen, performance.now() - began));
      assertEquals(report(run), []);
    },
  );
}

/** Judges each room by what every instance says of it. */
async function judgeAll(run: Run, seen: readonly Seen[]): Promise<void> {
  for (const room of run.rooms) {
    const transcripts = seen.filter((reader) => reader.room === room)
      .map(({ transcript }) => transcript);
    for (const instance of run.instances) {
      judge(room, await readHistory(room.urlAt(instance)), transcripts);
    }
  }
}

/** The instances and Redis, as they are stopped and go on. */
class Scene {
  readonly #run: Run;
  readonly #redis: RedisServer;
  readonly #servers: readonly Server[];

  constructor(run: Run, redis: RedisServer, servers: readonly Server[]) {
    this.#run = run;
    this.#redis = redis;
    this.#servers = servers;
  }

  async stop(n: number): Promise<void> {
    const run = this.#run;
    const random = run.random(`stop ${n}`);
    const blow = run.random("blows").shuffle(BLOWS)[n % BLOWS.length];
    const index = random.int(0, INSTANCES - 1);
    const instance = run.instances[index];
    const server = this.#servers[index];
    switch (blow) {
      case "kill an instance":
        return await this.#restart(instance, server, "SIGKILL", random);
      case "end an instance":
        return await this.#restart(instance, server, "SIGTERM", random);
      case "freeze an instance": {
        // When it wakes it takes Redis for the one that has slept.
        instance.beginOutage();
        server.freeze();
        await delay(random.int(100, MAX_FREEZE_MS));
        server.goOn();
        return await this.#awaitLog([instance]);
      }
      case "freeze Redis":
        return await this.#outage(async () => {
          this.#redis.stop();
          await delay(random.int(100, MAX_FREEZE_MS));
          this.#redis.goOn();
        });
      case "kill Redis":
        return await this.#outage(() => this.#restartRedis(random));
      case "kill both":
        return await this.#outage(async () => {
          await Promise.all([
            this.#restartRedis(random),
            this.#restart(instance, server, "SIGKILL", random),
          ]);
        });
    }
  }

  async #restart(instance: Instance, server: Server, signal: Deno.Signal, random: Random) {
    const { life } = instance;
    instance.life = undefined;
    instance.signal = signal;
    const { code, output } = await server.stop(signal);
    countReopened(this.#run, output);
    if (signal === "SIGTERM" && code !== 0) {
      this.#run.problem(`${signal} ended an instance with ${code}, not 0`, output);
    }
    const error = output.indexOf("Cannot");
    if (error >= 0) this.#run.problem("an instance printed an error", output.slice(error));
    await delay(random.int(0, MAX_AWAY_MS));
    await server.restart();
    instance.life = life! + 1;
  }

  async #restartRedis(random: Random): Promise<void> {
    await this.#redis.kill();
    await delay(random.int(0, MAX_AWAY_MS));
    await this.#redis.start();
  }

  /** Has Redis be away meanwhile, for all instances. */
  async #outage(task: () => Promise<void>): Promise<void> {
    const { instances } = this.#run;
    for (const instance of instances) instance.beginOutage();
    await task();
    await this.#awaitLog(instances);
  }

  /** Waits until instances can read the log again. */
  async #awaitLog(instances: readonly Instance[]): Promise<void> {
    await Promise.all(instances.map(async (instance) => {
      while (!this.#run.isGivenUp) {
        const headers = { accept: "application/json" };
        const response = await fetch(`${instance.url}/chat?since=none`, { headers });
        await response.body?.cancel();
        if (response.ok) break;
        await delay(10);
      }
      instance.endOutage();
    }));
  }
}
