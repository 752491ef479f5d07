import { createHash } from "node:crypto";
import type { RedisClient } from "../src/redis/client.ts";
import type { Workload } from "./workload.ts";

/** Events sent in one go. */
const AT_ONCE = 1_000;
const WINDOWS_MS = [60_000, 3_600_000, 86_400_000];

/** The way everybody starts: one script call for every event, one big set of ids, the same numbers for the key alone. */
const SCRIPT = `
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end
for w = 0, 2 do
  redis.call('HINCRBY', KEYS[2 + w], ARGV[2], 1)
  redis.call('PFADD', KEYS[5 + w], ARGV[3])
  redis.call('ZINCRBY', KEYS[8 + w], 1, ARGV[2])
end
return 1
`;

/** Applies the first events of a workload so; answers how many. */
export async function applyNaively(client: RedisClient, workload: Workload, events: number): Promise<number> {
  const digest = createHash("sha1").update(SCRIPT).digest("hex");
  await client.script("LOAD", SCRIPT);
  const applied = Math.min(events, workload.events);
  for (let from = 0; from < applied; from += AT_ONCE) {
    const pipeline = client.pipeline();
    for (let event = from; event < Math.min(from + AT_ONCE, applied); event++) {
      const subject = workload.subject(event);
      const buckets = WINDOWS_MS.map((ms) => `${ms / 1_000}:${Math.floor(workload.time(event) / ms)}`);
      const keys = [
        "seen",
        ...buckets.map((bucket) => `count:${bucket}`),
        ...buckets.map((bucket) => `unique:${bucket}:${subject}`),
        ...buckets.map((bucket) => `top:${bucket}`),
      ];
      pipeline.evalsha(digest, keys.length, ...keys, workload.id(event), subject, workload.visitor(event));
    }
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
  }
  return applied;
}
