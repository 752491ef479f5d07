import type { Redis } from "ioredis";
import type { PartitionKeys } from "../../../src/redis/keys.ts";
import type { TestPostgres } from "../../support/postgres.ts";
import type { Alarms } from "../alarms.ts";
import type { Conductor } from "../conductor.ts";
import type { Fleet } from "../fleet.ts";
import type { Ledger } from "../ledger.ts";
import type { CounterModel } from "../model.ts";
import type { Reader } from "../reader.ts";
import type { SideTraffic } from "../side-traffic.ts";
import type { Viewers } from "../viewers.ts";
import type { LateEntry } from "./late.ts";

/** A run after all faults have healed and everything that waited is applied. */
export interface Aftermath {
  readonly ledger: Ledger;
  readonly side: SideTraffic;
  readonly fleet: Fleet;
  readonly conductor: Conductor;
  readonly violations: readonly string[];
  readonly reader: Reader;
  /** For what no answer tells: the streams themselves, and reference sketches. */
  readonly redis: Redis;
  /** `null` where there was none. */
  readonly database: TestPostgres | null;
  readonly partitions: readonly PartitionKeys[];
  readonly models: readonly CounterModel[];
  /** `null` where nothing goes on beside the events, and rules where no process evaluates them. */
  readonly alarms: Alarms | null;
  readonly viewers: Viewers | null;
  readonly late: ReadonlyMap<string, readonly LateEntry[]>;
  /** Waits until everything is applied again. */
  readonly drained: () => Promise<void>;
}

/** What was compared for one invariant. */
export class Finding {
  readonly name: string;
  compared = 0;
  readonly differences: string[] = [];

  constructor(name: string) {
    this.name = name;
  }

  same(what: string, found: unknown, expected: unknown): void {
    const [is, should] = [JSON.stringify(found), JSON.stringify(expected)];
    this.holds(is === should, () => `${what}: expected ${should}, found ${is}`);
  }

  holds(condition: boolean, difference: () => string): void {
    this.compared++;
    if (!condition) this.differences.push(difference());
  }
}

export type Invariant = (aftermath: Aftermath) => Promise<Finding[]>;
