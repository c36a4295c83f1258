import { hasRedis, RedisServer } from "../../tests/redis_server.ts";
import { testMessageLog } from "../conformance.ts";
import { openMessageStore } from "../open.ts";

testMessageLog({
  name: "RedisLog",
  async newStorage() {
    const redis = await RedisServer.start();
    return {
      open: (options) => openMessageStore(redis.url, options),
      [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
    };
  },
  ignore: !hasRedis,
  survives: true,
  isRemote: true,
});
