import type { CounterDefinition } from "../core/counter.ts";
import { lockedDifferences } from "../core/counter-parse.ts";
import { COUNTERS_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import type { RedisClient } from "../redis/client.ts";
import { raiseVersion, readDefinitions, writeDefinition } from "../redis/commands/definitions.ts";
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
    const { client, scripts, partitions } = this.#deps;
    const outcome = await writeDefinition(client, scripts, current.version, name, definition, generation);
    if (outcome.kind === "conflict") return false;
    await Promise.all(partitions.map((partition) => raiseVersion(client, scripts, partition, outcome.version)));
    await client.publish(DEFINITIONS_CHANNEL, String(outcome.version));
    await this.#fetch(); // not refresh(): a read that is under way may be older than the write
    return true;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
