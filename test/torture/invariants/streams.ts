import { GROUP } from "../../../src/redis/keys.ts";
import { type Aftermath, Finding } from "./invariant.ts";

/** Nothing waits, nothing is pending, and every entry that was ever added was applied. */
export async function streamsAreDone({ redis, partitions, ledger, side }: Aftermath): Promise<Finding[]> {
  const [drained, accounts] = [new Finding("nothing waiting, nothing pending"), new Finding("entries added = applied")];
  let addedToAll = 0;
  for (const { partition, stream, state } of partitions) {
    const info = (await redis.xinfo("STREAM", stream)) as unknown[];
    const field = (name: string) => info[info.indexOf(name) + 1];
    const [pending] = (await redis.xpending(stream, GROUP)) as [number];
    const applied = Number(await redis.hget(state, "applied"));
    drained.same(`partition ${partition}: waiting`, field("length"), 0);
    drained.same(`partition ${partition}: pending`, pending, 0);
    accounts.same(`partition ${partition}: added − applied`, Number(field("entries-added")) - applied, 0);
    addedToAll += Number(field("entries-added"));
  }
  const most = ledger.entriesMost + side.entriesMost;
  accounts.holds(addedToAll <= most, () => `${addedToAll} entries were added, although at most ${most} were sent`);
  return [drained, accounts];
}
