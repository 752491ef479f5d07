import type { World } from "./faults.ts";
import type { Member } from "./member.ts";
import { until } from "./wait.ts";

/** How long the service may take to notice, and then to drain, ms: other faults may be under way. */
const NOTICE_MS = 20_000;
const DRAIN_MS = 40_000;

/** A memory twice full: events must be refused, and what waits must be applied all the same. */
export async function fillMemory({ redis, fleet, streams, violations }: World): Promise<void> {
  const used = Number(/used_memory:(\d+)/.exec(await redis.client.info("memory"))?.[1]);
  await redis.client.config("SET", "maxmemory", Math.floor(used / 2));
  try {
    if (!(await until(() => refuses(fleet.withRole("api")), NOTICE_MS))) {
      violations.push("memory full: events were not refused as overloaded");
    }
    const isDrained = async () => (await Promise.all(streams.map((s) => redis.client.xlen(s)))).every((n) => n === 0);
    if (!(await until(isDrained, DRAIN_MS))) violations.push("memory full: what waited was not applied");
  } finally {
    await redis.client.config("SET", "maxmemory", 0);
  }
}

/** Readmitting something that does not exist asks the gate, and does nothing else. */
async function refuses(members: readonly Member[]): Promise<boolean> {
  const answers = await Promise.all(
    members.map(async ({ url }) => {
      if (!url) return false;
      const response = await fetch(`${url}/v1/late/readmit`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ refs: ["0-1-1"] }),
      }).catch(() => null);
      const body = (await response?.json().catch(() => null)) as { code?: string } | null;
      return response?.status === 503 && body?.code === "overloaded";
    }),
  );
  return answers.every((answer) => answer);
}
