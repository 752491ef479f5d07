import type { RedisClient } from "../../src/redis/client.ts";

/** The same client, with something that happens before the command with this number is sent, from 1. */
export function beforeCommand(client: RedisClient, number: number, happens: () => Promise<void>): RedisClient {
  let commands = 0;
  const then = async (send: () => unknown) => {
    if (++commands === number) await happens();
    return send();
  };
  return new Proxy(client, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      if (name !== "pipeline") return (...args: unknown[]) => then(() => value.apply(target, args));
      return (list: unknown[][]) => ({ exec: () => then(() => target.pipeline(list).exec()) });
    },
  });
}
