import type { ApiKey } from "../core/api-key.ts";
import { Connections, type RedisTarget } from "../redis/client.ts";
import { Scripts } from "../redis/scripts.ts";
import { KeyRing } from "./key-ring.ts";

/** Runs `use` with the keys of a deployment, without a service: how the first key of one gets there. */
export async function withKeysOf<Result>(
  target: RedisTarget,
  configured: readonly ApiKey[],
  use: (keys: KeyRing) => Promise<Result>,
): Promise<Result> {
  // What is wrong with a connection fails the command that needs it.
  const onError = () => {};
  const connections = new Connections(target, onError);
  try {
    const [client, subscriber] = await Promise.all([connections.open("prompt"), connections.open("subscriber")]);
    const redis = { client, subscriber, scripts: new Scripts() };
    const keys = await KeyRing.open({ ...redis, configured, mayBeOpen: false, now: Date.now, onError });
    return await use(keys).finally(() => keys.close());
  } finally {
    connections.closeAll();
  }
}
