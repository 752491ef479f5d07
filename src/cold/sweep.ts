import { holdingFields } from "../buckets/state.ts";
import { type Counter, compileCounter } from "../core/counter.ts";
import { forgetDeleted, raiseVersion, readDefinitions, readDeleted } from "../redis/commands/definitions.ts";
import { forgetSeam } from "../redis/commands/stage.ts";
import { admissionKey, admissionsKey, foldField, type PartitionKeys } from "../redis/keys.ts";
import type { LedgerArchive } from "./archive.ts";
import type { CompactDependencies } from "./compact.ts";
import { deleteBuckets } from "./forget.ts";

/** Entries of a late ledger looked at in one go. */
const LEDGER_PAGE = 1_000;

export interface SweepDependencies extends CompactDependencies {
  readonly archive: LedgerArchive;
}

/** Removes everything that deleted counters have left, in Redis and in cold storage. Answers how many were swept. */
export async function sweepDeleted(deps: SweepDependencies): Promise<number> {
  const { client, scripts, partitions } = deps;
  const deleted = await readDeleted(client);
  if (deleted.length === 0) return 0;
  // From here on no partition counts under definitions that still knew them, even if the one who deleted them died.
  const { version } = await readDefinitions(client);
  await Promise.all(partitions.map((partition) => raiseVersion(client, scripts, partition, version)));
  for (const { definition, generation } of deleted) {
    const counter = compileCounter(definition, generation);
    for (const partition of partitions) await sweepPartition(deps, partition, counter);
    await sweepAdmissions(deps, counter);
    await deps.store.deleteGeneration(generation);
    await deps.archive.deleteGeneration(partitions, generation);
    await forgetDeleted(client, generation);
  }
  return deleted.length;
}

async function sweepPartition(deps: CompactDependencies, partition: PartitionKeys, counter: Counter): Promise<void> {
  const { client } = deps;
  // First of all, so that a fold under way writes nothing behind the deleting.
  const folds = counter.windows.map((window) => foldField(counter, window));
  await client.hdel(partition.cold, ...folds);
  for (const window of counter.windows) {
    await deleteBuckets(deps, partition, counter, window, Number.MAX_SAFE_INTEGER);
  }
  await client.hdel(partition.cold, ...holdingFields(counter));
  await client.hdel(partition.clocks, String(counter.generation));
  await forgetSeam(client, partition, counter.generation);
  for (let after = "-"; ; ) {
    const page = await client.xrange(partition.late, after, "+", "COUNT", LEDGER_PAGE);
    const ids = page.filter(([, fields]) => generationOf(fields) === String(counter.generation)).map(([id]) => id);
    if (ids.length > 0) await client.xdel(partition.late, ...ids);
    if (page.length < LEDGER_PAGE) return;
    after = `(${page.at(-1)?.[0]}`;
  }
}

function generationOf(fields: readonly string[]): string | undefined {
  return fields[fields.indexOf("generation") + 1];
}

async function sweepAdmissions({ client }: CompactDependencies, counter: Counter): Promise<void> {
  const names = admissionsKey(counter);
  for (const start of await client.zrangebyscore(names, "-inf", "+inf")) {
    await client.unlink(admissionKey(counter, Number(start)));
    await client.zrem(names, start);
  }
}
