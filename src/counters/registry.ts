import type { Counter, CounterDefinition } from "../core/counter.ts";
import { lockedDifferences } from "../core/counter-parse.ts";
import { COUNTERS_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import type { RedisClient } from "../redis/client.ts";
import { raiseVersion, readDefinitions, writeDefinition } from "../redis/commands/definitions.ts";
import { stageGeneration, unstageGeneration } from "../redis/commands/stage.ts";
import { DEFINITIONS_CHANNEL, type PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { Definitions } from "./definitions.ts";

/** How often a process looks for a newer version by itself, ms; announcements usually come first. */
const POLL_MS = 1_000;

export interface RegistryDependencies {
  readonly client: RedisClient;
  readonly subscriber: RedisClient;
  readonly scripts: Scripts;
  readonly partitions: readonly PartitionKeys[];
  readonly onError: (error: unknown) => void;
}

const changedMeanwhile = (name: string) =>
  new Problem("counter_conflict", `the counter "${name}" was changed or deleted meanwhile`);
const beingRebuilt = (name: string) => new Problem("counter_conflict", `the counter "${name}" is being rebuilt`);

/** The process's copy of the counter definitions, kept fresh, and the way to change them for everybody. */
export class CounterRegistry {
  readonly #deps: RegistryDependencies;
  readonly #timer: NodeJS.Timeout;
  #current: Definitions;
  #refreshing: Promise<Definitions> | null = null;

  private constructor(deps: RegistryDependencies, current: Definitions) {
    this.#deps = deps;
    this.#current = current;
    this.#timer = setInterval(() => this.refresh().catch(deps.onError), POLL_MS);
    this.#timer.unref();
  }

  static async open(deps: RegistryDependencies): Promise<CounterRegistry> {
    const registry = new CounterRegistry(deps, new Definitions(await readDefinitions(deps.client)));
    deps.subscriber.on("message", (channel: string) => {
      if (channel === DEFINITIONS_CHANNEL) registry.refresh().catch(deps.onError);
    });
    await deps.subscriber.subscribe(DEFINITIONS_CHANNEL);
    return registry;
  }

  get current(): Definitions {
    return this.#current;
  }

  /** Fetches the definitions; concurrent callers share one read, made after the first of them asked. */
  refresh(): Promise<Definitions> {
    this.#refreshing ??= this.#fetch().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #fetch(): Promise<Definitions> {
    const stored = await readDefinitions(this.#deps.client);
    if (stored.version > this.#current.version) this.#current = new Definitions(stored);
    return this.#current;
  }

  /** Makes a counter or changes it where that is allowed; a definition that means the same changes nothing. */
  async put(definition: CounterDefinition): Promise<"created" | "updated"> {
    return this.#change(async (current) => {
      const existing = current.find(definition.name);
      if (!existing && current.counters.length >= COUNTERS_MAX) {
        throw new Problem(
          "counter_conflict",
          `there are ${COUNTERS_MAX} counters already, which is the most there can be`,
        );
      }
      const locked = existing ? lockedDifferences(existing.definition, definition) : [];
      if (locked.length > 0) {
        const detail = `${locked.join(", ")} cannot change while the counter exists; delete it first`;
        throw new Problem("counter_conflict", detail, { fields: locked });
      }
      const outcome = await this.#write(current, definition.name, definition, existing?.generation ?? null);
      return outcome && (existing ? "updated" : "created");
    });
  }

  /** Deletes a counter; one made anew under its name starts empty. */
  async remove(name: string): Promise<void> {
    await this.#change(async (current) => {
      const { generation } = current.get(name);
      const staged = current.staged.find((one) => one.name === name);
      if (staged) {
        await this.giveUpStaged(staged);
        return false; // which has changed the definitions
      }
      return (await this.#write(current, name, null, generation)) && "removed";
    });
  }

  /** Tries a change against the newest definitions until nobody else's came between. */
  async #change<T>(attempt: (current: Definitions) => Promise<T | false>): Promise<T> {
    for (;;) {
      const result = await attempt(await this.#fetch());
      if (result) return result;
    }
  }

  /**
   * Stores a change and puts it in force: once every partition's version is raised, no event is counted under the
   * older definitions any more. `false` when somebody else changed the definitions first.
   */
  async #write(current: Definitions, name: string, definition: CounterDefinition | null, generation: number | null) {
    const { client, scripts } = this.#deps;
    const outcome = await writeDefinition(client, scripts, current.version, name, definition, generation);
    if (outcome.kind === "conflict") return false;
    await this.#enforce(outcome.version);
    return true;
  }

  async #enforce(version: number): Promise<void> {
    const { client, scripts, partitions } = this.#deps;
    await Promise.all(partitions.map((partition) => raiseVersion(client, scripts, partition, version)));
    await client.publish(DEFINITIONS_CHANNEL, String(version));
    await this.#fetch(); // not refresh(): a read that is under way may be older than the write
  }

  /** Stages a new generation of a counter, which counts in each partition from its seam on. */
  async stage(live: Counter): Promise<Counter> {
    const generation = await this.#change(async (current) => {
      const { client, scripts } = this.#deps;
      if (current.get(live.name).generation !== live.generation) throw changedMeanwhile(live.name);
      if (current.staged.some(({ name }) => name === live.name)) throw beingRebuilt(live.name);
      const outcome = await stageGeneration(client, scripts, current.version, live.name, live.generation);
      if (outcome.kind === "conflict") return false;
      await this.#enforce(outcome.version);
      return outcome.generation;
    });
    return this.#staged(live.name, generation);
  }

  #staged(name: string, generation: number): Counter {
    const staged = this.#current.staged.find((one) => one.generation === generation);
    if (!staged) throw changedMeanwhile(name);
    return staged;
  }

  /** Puts a staged generation in the place of the one that lives. */
  async promote({ name, generation }: Counter, live: Counter): Promise<void> {
    const { client, scripts } = this.#deps;
    const outcome = await unstageGeneration(client, scripts, name, generation, live.generation);
    if (outcome.kind === "conflict") throw changedMeanwhile(name);
    await this.#enforce(outcome.version);
  }

  /** Gives a staged generation up, if it still is one; what it has counted is swept. */
  async giveUpStaged({ name, generation }: Counter): Promise<void> {
    const { client, scripts } = this.#deps;
    const outcome = await unstageGeneration(client, scripts, name, generation, null);
    if (outcome.kind === "ok") await this.#enforce(outcome.version);
    else await this.#fetch();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
