import { randomUUID } from "node:crypto";
import { unpack } from "msgpackr/unpack";
import { type Command, pipelined } from "../buckets/pipeline.ts";
import { type Holding, readCounterState } from "../buckets/state.ts";
import type { Counter } from "../core/counter.ts";
import { bucketStart } from "../core/window.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { Marks } from "../redis/commands/marks.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import { type ExportDependencies, withoutCache } from "./export.ts";
import type { CellRow } from "./store.ts";

/** Corrections read at once, and the rows after which a transaction ends; one batch of the stream makes one correction. */
const CORRECTIONS_AT_ONCE = 100;
const ROWS_AT_ONCE = 10_000;
const MICRO = 1_000_000n;
const MEMBERS_AT_ONCE = 4_000;
const SCRATCH_SECONDS = 60;

/**
 * One line of a correction as lua/apply.lua packs it: what to add to the cell of one owner in one finest bucket, and in
 * the buckets around it. Numbers are texts.
 */
type PackedRow = [
  generation: string,
  start: string,
  owner: string,
  count: string,
  units: string,
  micros: string,
  members: string[],
];

export interface CorrectionDependencies extends ExportDependencies {
  readonly registry: CounterRegistry;
}

/**
 * Writes the corrections of a partition to cold storage as rows of their own and takes them off the list. A number is
 * never used twice, so rows that are there already were written by a run that died before it came to that. Answers how
 * many rows were written.
 */
export async function exportCorrections(deps: CorrectionDependencies, partition: PartitionKeys): Promise<number> {
  let written = 0;
  for (;;) {
    const entries = await deps.client.xrangeBuffer(partition.corrections, "-", "+", "COUNT", CORRECTIONS_AT_ONCE);
    if (entries.length === 0) return written;
    let [ids, rows]: [string[], CellRow[]] = [[], []];
    const flush = async () => {
      const { differing } = rows.length > 0 ? await deps.store.insertCells(rows) : { differing: [] };
      if (differing.length > 0) deps.onDiffering(differing);
      await deps.client.xdel(partition.corrections, ...ids);
      written += rows.length;
      [ids, rows] = [[], []];
    };
    for (const [id, fields] of entries) {
      ids.push(id.toString());
      rows.push(...(await rowsOfCorrection(deps, partition, fields)));
      if (rows.length >= ROWS_AT_ONCE) await flush();
    }
    if (ids.length > 0) await flush();
  }
}

interface Gathered {
  readonly row: Omit<CellRow, "sketch">;
  readonly members: string[];
}

async function rowsOfCorrection(
  deps: CorrectionDependencies,
  partition: PartitionKeys,
  fields: readonly Buffer[],
): Promise<CellRow[]> {
  const [, number, , packed] = fields as [Buffer, Buffer, Buffer, Buffer];
  const gathered = new Map<string, Gathered>();
  const targets = new Map<string, Target | null>();
  for (const line of unpack(packed) as PackedRow[]) {
    const [generation] = line;
    let target = targets.get(generation);
    if (target === undefined) {
      target = await targetOf(deps, partition, Number(generation));
      targets.set(generation, target);
    }
    // A counter that was deleted meanwhile has nothing left to correct.
    if (target) gather(partition.partition, target, Number(number), line, gathered);
  }
  const all = [...gathered.values()];
  const sketches = await sketchesOf(
    deps,
    partition,
    all.map(({ members }) => members),
  );
  return all.map(({ row }, i) => ({ ...row, sketch: sketches[i] ?? null }));
}

interface Target {
  readonly counter: Counter;
  /** Of its windows, finest first. */
  readonly marks: readonly Marks[];
}

async function targetOf(
  { registry, client }: CorrectionDependencies,
  partition: PartitionKeys,
  generation: number,
): Promise<Target | null> {
  const find = () => registry.current.counters.find((counter) => counter.generation === generation);
  if (!find()) await registry.refresh();
  const counter = find();
  if (!counter) return null;
  const { holdings } = await readCounterState(client, [partition], counter);
  return { counter, marks: (holdings[0] as Holding).marks };
}

/** Adds a line to the rows of every window that cold storage still holds at that time. */
function gather(
  partition: number,
  { counter, marks }: Target,
  correction: number,
  [, startText, owner, count, units, micros, members]: PackedRow,
  gathered: Map<string, Gathered>,
): void {
  for (const [w, { ms }] of counter.windows.entries()) {
    const start = bucketStart(Number(startText), ms);
    if (start < (marks[w] as Marks).gone) continue;
    const name = `${counter.generation} ${ms} ${start} ${owner}`;
    const before = gathered.get(name);
    gathered.set(name, {
      row: {
        generation: counter.generation,
        windowMs: ms,
        start,
        owner: Buffer.from(owner),
        partition,
        correction,
        count: (before?.row.count ?? 0n) + BigInt(count),
        micro: (before?.row.micro ?? 0n) + BigInt(units) * MICRO + BigInt(micros),
      },
      members: [...(before?.members ?? []), ...members],
    });
  }
}

/**
 * The HyperLogLogs of some lists of members, made by Redis itself; `null` for an empty list. A correction has thousands
 * of them, so they are made in one go and not one after the other.
 */
async function sketchesOf(
  { client }: CorrectionDependencies,
  partition: PartitionKeys,
  lists: readonly (readonly string[])[],
): Promise<(Buffer | null)[]> {
  const commands: Command[] = [];
  /** Of each list, where its sketch is among the replies. */
  const places = lists.map((members) => {
    if (members.length === 0) return null;
    const scratch = partition.scratch(randomUUID());
    for (let at = 0; at < members.length; at += MEMBERS_AT_ONCE) {
      commands.push(["pfadd", scratch, ...members.slice(at, at + MEMBERS_AT_ONCE)]);
    }
    commands.push(["expire", scratch, SCRATCH_SECONDS], ["getBuffer", scratch], ["unlink", scratch]);
    return commands.length - 2;
  });
  const replies = await pipelined(client, commands);
  return places.map((place) => (place === null ? null : withoutCache(replies[place] as Buffer)));
}
