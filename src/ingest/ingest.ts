import { monotonicFactory } from "ulid";
import { isBeyondSums } from "../core/counter.ts";
import { type Event, isObject, Rejection, type RejectionCode, validateEvent } from "../core/event.ts";
import { identify } from "../core/identity.ts";
import { EVENT_BYTES_MAX } from "../core/limits.ts";
import { type IdentifiedEvent, isTooLarge } from "../core/packed.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { Metrics } from "../metrics.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Candidate } from "./decode.ts";
import type { Gate } from "./gate.ts";
import type { Outcome, Outcomes } from "./outcomes.ts";
import { type Producer, shareOut } from "./producer.ts";

export interface IngestDependencies {
  readonly registry: CounterRegistry;
  readonly partitions: readonly PartitionKeys[];
  readonly producer: Producer;
  readonly outcomes: Outcomes;
  readonly gate: Gate;
  /** Keys the fingerprints of events. */
  readonly secret: string;
  readonly metrics: Metrics;
  readonly now: () => number;
}

/** One event that was not accepted. */
export interface RejectedEvent {
  readonly index: number;
  readonly id?: string;
  readonly code: RejectionCode;
  readonly detail: string;
}

/** An event ready for its partition's stream. */
export interface AcceptedEvent extends IdentifiedEvent {
  readonly partition: PartitionKeys;
}

/** Validates events one by one and queues what is good. */
export class Ingest {
  readonly #deps: IngestDependencies;
  readonly #makeId = monotonicFactory();

  constructor(deps: IngestDependencies) {
    this.#deps = deps;
  }

  validate(candidates: readonly Candidate[]): { accepted: AcceptedEvent[]; rejected: RejectedEvent[] } {
    const accepted: AcceptedEvent[] = [];
    const rejected: RejectedEvent[] = [];
    const now = this.#deps.now();
    for (let index = 0; index < candidates.length; index++) {
      const candidate = candidates[index] as Candidate;
      const result = candidate instanceof Rejection ? candidate : this.#accept(candidate.value, now);
      if (!(result instanceof Rejection)) {
        accepted.push(result);
        continue;
      }
      const { code, detail } = result;
      const id = "value" in candidate && isObject(candidate.value) ? candidate.value.id : undefined;
      rejected.push({ index, ...(typeof id === "string" && { id }), code, detail });
      this.#deps.metrics.rejected.inc({ code });
    }
    return { accepted, rejected };
  }

  #accept(value: unknown, now: number): AcceptedEvent | Rejection {
    const event = validateEvent(value, now, () => this.#makeId(now));
    if (event instanceof Rejection) return event;
    const sumFault = this.#sumFault(event);
    if (sumFault) return sumFault;
    const { secret, partitions } = this.#deps;
    const identity = identify(secret, event.source, event.id);
    const partition = partitions[identity.spread % partitions.length] as PartitionKeys;
    if (isTooLarge(event, identity)) {
      return new Rejection("too_large", `the event must be at most ${EVENT_BYTES_MAX} bytes`);
    }
    return { partition, event, identity };
  }

  #sumFault(event: Event): Rejection | null {
    for (const counter of this.#deps.registry.current.forType(event.type)) {
      if (!isBeyondSums(counter, event)) continue;
      const detail = `${counter.definition.sum}: must be at most 9,000,000,000 either side of zero, since counter "${counter.name}" sums it`;
      return new Rejection("invalid_data", detail);
    }
    return null;
  }

  /**
   * Queues the events; with `waitMs`, also waits until they are applied. `null`: queued, and not (known to be) applied
   * within that time. Throws a Problem `overloaded` when nothing was queued because too much waits, `unavailable` when
   * the outcome of the writing is unknown.
   */
  async enqueue(accepted: readonly AcceptedEvent[], waitMs: number | null): Promise<Outcome | null> {
    const { producer, outcomes, gate, metrics } = this.#deps;
    if (gate.reason !== null) metrics.ingestRefused.inc();
    gate.pass();
    const shares = shareOut(byPartition(accepted));
    const expected = shares.map(() => (waitMs === null ? null : outcomes.expect(waitMs)));
    try {
      await producer.enqueue(
        shares,
        expected.map((one) => one?.replyTo ?? null),
      );
    } catch (error) {
      metrics.unavailable.inc();
      throw error;
    }
    metrics.accepted.inc(accepted.length);
    if (waitMs === null) return null;
    return addUp(await Promise.all(expected.map((one) => one?.outcome ?? null)));
  }
}

function byPartition(accepted: readonly AcceptedEvent[]): Map<PartitionKeys, AcceptedEvent[]> {
  const groups = new Map<PartitionKeys, AcceptedEvent[]>();
  for (const event of accepted) {
    const group = groups.get(event.partition);
    if (group) group.push(event);
    else groups.set(event.partition, [event]);
  }
  return groups;
}

function addUp(outcomes: readonly (Outcome | null)[]): Outcome | null {
  const sum = { applied: 0, duplicates: 0, late: 0, dead: 0 };
  for (const outcome of outcomes) {
    if (!outcome) return null;
    for (const name of ["applied", "duplicates", "late", "dead"] as const) sum[name] += outcome[name];
  }
  return sum;
}
