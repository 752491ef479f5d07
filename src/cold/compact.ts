import { marksOf } from "../buckets/parts.ts";
import { type Holding, readCounterState } from "../buckets/state.ts";
import { type Counter, widestOf } from "../core/counter.ts";
import { parseDuration } from "../core/duration.ts";
import { bucketStart, type Window } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { advanceMark, type Marks } from "../redis/commands/marks.ts";
import { admissionKey, admissionsKey, type PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import type { ColdStore } from "./store.ts";

export interface CompactDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly partitions: readonly PartitionKeys[];
  readonly store: ColdStore;
}

/**
 * Lets buckets past their `coldKeep` go, finest windows first, and only where every wider bucket over them is exported:
 * readers then take the wider ones. Also lets go what only the widest window needs, see `forgetAdmissions`.
 */
export async function compact(deps: CompactDependencies, counter: Counter): Promise<void> {
  const { time, holdings } = await readCounterState(deps.client, deps.partitions, counter);
  // A partition without a clock would still take any event.
  if (!time || time.closed === Number.NEGATIVE_INFINITY) return;
  const marks = counter.windows.map((window) => slowestMarks(counter, holdings, window));
  for (const [w, window] of counter.windows.entries()) {
    const keep = counter.definition.coldKeep?.[window.label];
    if (keep === undefined) continue;
    // Aligned to the next wider window, whose buckets take over from there.
    const unit = counter.windows[w + 1] ?? window;
    const past = time.watermark - (parseDuration(keep) as number);
    const covered = marks.slice(w + 1).map(({ exported }) => exported);
    const gone = bucketStart(Math.max(0, Math.min(past, (marks[w] as Marks).hot, ...covered)), unit.ms);
    await letGo(deps, counter, window, gone);
  }
  await forgetAdmissions(deps, counter, (marks.at(-1) as Marks).hot);
}

/** The marks that every partition has reached. */
function slowestMarks(counter: Counter, holdings: readonly Holding[], window: Window): Marks {
  const all = holdings.map((holding) => marksOf(counter, holding, { window }));
  const least = (name: keyof Marks) => Math.min(...all.map((marks) => marks[name]));
  return { exported: least("exported"), hot: least("hot"), gone: least("gone") };
}

/** Readers are told first: whoever has begun to read rows that go looks at the mark again afterwards. */
async function letGo(deps: CompactDependencies, counter: Counter, window: Window, gone: number): Promise<void> {
  if (gone <= 0) return;
  const { client, scripts, partitions, store } = deps;
  await Promise.all(
    partitions.map((partition) => advanceMark(client, scripts, partition, [counter, window], "gone", gone)),
  );
  await store.dropBefore(counter.generation, window.ms, gone);
}

/** Sets of admitted keys that are kept this long after their bucket has left Redis, seconds, when they are full. */
const FULL_KEPT_SECONDS = 30 * 86_400;

/**
 * Drops the sets of keys admitted to buckets that have left Redis in every partition. Only readmitted events can still
 * ask for them; while a set has room, asking anew gives the same answers. A full one would not, so it stays for a while.
 */
async function forgetAdmissions({ client }: CompactDependencies, counter: Counter, hot: number): Promise<void> {
  const names = admissionsKey(counter);
  for (const start of await client.zrangebyscore(names, "-inf", hot - widestOf(counter).ms)) {
    const set = admissionKey(counter, Number(start));
    if ((await client.scard(set)) >= counter.keysMax) await client.expire(set, FULL_KEPT_SECONDS, "NX");
    else await client.unlink(set);
    await client.zrem(names, start);
  }
}
