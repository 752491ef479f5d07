import { foldPassed } from "../../src/buckets/fold.ts";
import type { Event } from "../../src/core/event.ts";
import { dropFamilies } from "../../src/redis/commands/drop.ts";
import type { PartitionKeys } from "../../src/redis/keys.ts";
import { type ReceivedEntry, readNew, readPending } from "../../src/stream/entries.ts";
import type { PartitionOwner } from "../../src/stream/owner.ts";
import { beforeCommand } from "../support/before-command.ts";
import { findDifferences } from "../support/compare.ts";
import type { Harness } from "../support/harness.ts";
import { ModelPartition } from "../support/model.ts";

/** One step of a history. `partition` is taken modulo the number of partitions. */
export type Step =
  | { readonly do: "send"; readonly events: readonly Event[] }
  /** The owner reads entries into its hand, behind what it already holds. */
  | { readonly do: "read"; readonly partition: number; readonly count: number }
  /** The owner applies what it holds. */
  | { readonly do: "apply"; readonly partition: number }
  /** The owner applied it, the reply was lost, and what is pending is read again. */
  | { readonly do: "redeliver"; readonly partition: number }
  /** The owner dies with what it holds; a successor takes over, under another token or (frozen, not dead) the same. */
  | { readonly do: "die"; readonly partition: number; readonly sameToken: boolean }
  /** A frozen owner from before wakes up and applies what it held. */
  | { readonly do: "wake"; readonly partition: number }
  /** Stream time passes by more than a horizon: every dedupe set is dropped. */
  /**
   * What the clocks have passed is folded. Before the command that is number `at`, the owner applies what it holds, or the
   * folding process dies; 0: neither.
   */
  | { readonly do: "fold"; readonly partition: number; readonly at: number; readonly meanwhile: "apply" | "die" }
  | { readonly do: "outlive the horizon" }
  | { readonly do: "flush scripts" };

interface Life {
  readonly owner: PartitionOwner;
  hand: ReceivedEntry[];
}

/** Plays a history on the real parts and on the model, then says how they differ. */
export async function playHistory(harness: Harness, steps: readonly Step[]): Promise<string[]> {
  const player = new Player(harness);
  await player.begin();
  for (const step of steps) await player.play(step);
  await player.settle();
  return player.differences();
}

class Player {
  readonly #harness: Harness;
  readonly #models: ModelPartition[];
  readonly #lives: Life[] = [];
  readonly #frozen: Life[][];
  /** Entries whose events the model has counted. */
  readonly #counted = new Set<string>();
  #token = 0;

  constructor(harness: Harness) {
    this.#harness = harness;
    this.#models = harness.partitions.map(() => new ModelPartition(harness.registry.current.counters));
    this.#frozen = harness.partitions.map(() => []);
  }

  async begin(): Promise<void> {
    for (const p of this.#harness.partitions.keys()) this.#lives[p] = await this.#newLife(p, false);
  }

  async play(step: Step): Promise<void> {
    if (step.do === "send") return this.#harness.send(step.events);
    if (step.do === "flush scripts") return void (await this.#harness.client.script("FLUSH"));
    if (step.do === "outlive the horizon") return this.#dropAllFamilies();
    const p = step.partition % this.#harness.partitions.length;
    const life = this.#lives[p] as Life;
    const keys = this.#harness.partitions[p] as Harness["partitions"][number];
    if (step.do === "read") {
      if ((await this.#harness.client.xlen(keys.stream)) === 0) return;
      life.hand.push(...(await readNew(this.#harness.client, keys, step.count, 1)));
    } else if (step.do === "apply") {
      const hand = life.hand;
      life.hand = [];
      await this.#apply(p, life, hand);
    } else if (step.do === "redeliver") {
      const hand = life.hand;
      await this.#apply(p, life, hand);
      life.hand = [];
      await this.#apply(p, life, hand);
    } else if (step.do === "fold") {
      await this.#fold(p, step.at, step.meanwhile);
    } else if (step.do === "die") {
      this.#frozen[p]?.push(life);
      this.#lives[p] = await this.#newLife(p, step.sameToken);
    } else {
      const zombie = this.#frozen[p]?.pop();
      if (zombie) await this.#applyAsZombie(zombie);
    }
  }

  async #fold(p: number, at: number, meanwhile: "apply" | "die"): Promise<void> {
    const { client, scripts, registry, partitions } = this.#harness;
    const interrupted = beforeCommand(client, at, async () => {
      if (meanwhile === "die") throw new FoldDied();
      await this.play({ do: "apply", partition: p });
    });
    for (const counter of registry.current.counters) {
      await foldPassed({ client: interrupted, scripts }, partitions[p] as PartitionKeys, counter).catch((error) => {
        if (!(error instanceof FoldDied)) throw error;
      });
    }
  }

  /** Everything that was sent gets applied. */
  async settle(): Promise<void> {
    for (const [p, keys] of this.#harness.partitions.entries()) {
      await this.play({ do: "apply", partition: p });
      for (;;) {
        const entries = await readNew(this.#harness.client, keys, 100, 1);
        if (entries.length === 0) break;
        await this.#apply(p, this.#lives[p] as Life, entries);
      }
      for (const zombie of this.#frozen[p] ?? []) await this.#applyAsZombie(zombie);
    }
  }

  async differences(): Promise<string[]> {
    const differences = await findDifferences(this.#harness, this.#models);
    for (const [p, { stream, state, late }] of this.#harness.partitions.entries()) {
      const { client } = this.#harness;
      const [waiting, applied, ledger] = await Promise.all([
        client.xlen(stream),
        client.hget(state, "applied"),
        client.xlen(late),
      ]);
      const model = this.#models[p] as ModelPartition;
      if (waiting !== 0) differences.push(`partition ${p}: ${waiting} entries still wait`);
      if (Number(applied ?? 0) + waiting !== (await entriesAdded(this.#harness, stream))) {
        differences.push(`partition ${p}: entries added and applied have parted`);
      }
      if (ledger !== model.late.length) {
        differences.push(`partition ${p}: ${ledger} late instead of ${model.late.length}`);
      }
    }
    return differences;
  }

  async #dropAllFamilies(): Promise<void> {
    const { client, scripts, partitions } = this.#harness;
    for (const keys of partitions) {
      await dropFamilies(client, scripts, keys, (await client.get(keys.lease)) as string, Number.MAX_SAFE_INTEGER);
    }
  }

  async #newLife(p: number, sameToken: boolean): Promise<Life> {
    if (!sameToken) this.#token++;
    const keys = this.#harness.partitions[p] as Harness["partitions"][number];
    const life: Life = { owner: await this.#harness.own(keys, `token ${this.#token}`), hand: [] };
    const pending = await readPending(this.#harness.client, keys, 1_000);
    await this.#apply(p, life, pending);
    return life;
  }

  async #apply(p: number, { owner }: Life, entries: readonly ReceivedEntry[]): Promise<void> {
    if (entries.length === 0) return;
    await owner.apply(entries);
    const fresh = entries.filter(({ id }) => !this.#counted.has(`${p} ${id}`));
    for (const { id } of fresh) this.#counted.add(`${p} ${id}`);
    this.#models[p]?.applyBatch(
      fresh.map(({ arrival, events }) => ({
        arrival,
        events: events.flatMap((item) => ("fault" in item ? [] : [item])),
      })),
    );
  }

  /** Whatever it tries must change nothing, so the model is not told. */
  async #applyAsZombie(zombie: Life): Promise<void> {
    if (zombie.hand.length > 0) await zombie.owner.apply(zombie.hand).catch(expectLeaseLost);
    zombie.hand = [];
  }
}

class FoldDied extends Error {}

function expectLeaseLost(error: unknown): void {
  if (!(error instanceof Error && error.name === "LeaseLost")) throw error;
}

async function entriesAdded(harness: Harness, stream: string): Promise<number> {
  const info = (await harness.client.xinfo("STREAM", stream)) as (string | number)[];
  return Number(info[info.indexOf("entries-added") + 1]);
}
