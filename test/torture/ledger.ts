import { identify } from "../../src/core/identity.ts";
import type { SentEvent } from "./events.ts";
import type { Batch } from "./generator.ts";

/** Everything the generator knows of what it sent, and of what it was answered. */
export class Ledger {
  /** Events by id that were answered as accepted. */
  readonly accepted = new Map<string, SentEvent>();
  /** How many attempts carried an id, answered or not. */
  readonly #attempts = new Map<string, number>();
  readonly counts = {
    requests: 0,
    attempts: 0,
    events: 0,
    duplicates: 0,
    resends: 0,
    bad: 0,
    answered503: 0,
    unknown: 0,
    answered: 0,
    waited: 0,
  };
  /** Answers that the ledger did not expect. */
  readonly surprises: string[] = [];
  /** Stream entries that the attempts can have made at most, one for each partition of a request. */
  entriesMost = 0;
  comparedRejections = 0;
  comparedOutcomes = 0;
  readonly #secret: string;
  readonly #partitions: number;

  constructor(secret: string, partitions: number) {
    this.#secret = secret;
    this.#partitions = partitions;
  }

  /** A request is about to be sent, perhaps again. */
  attempt(batch: Batch): void {
    this.counts.attempts++;
    this.entriesMost += new Set(batch.events.map(({ id }) => this.#partitionOf(id))).size;
    for (const id of new Set(batch.events.map((event) => event.id))) {
      this.#attempts.set(id, (this.#attempts.get(id) ?? 0) + 1);
    }
  }

  /** The final answer to a request. */
  answered(batch: Batch, status: number, body: unknown): void {
    this.counts.answered++;
    for (const event of batch.events) this.accepted.set(event.id, event);
    const { accepted, rejected, ...outcome } = body as Record<string, unknown>;
    this.#expect("accepted", batch, accepted ?? 0, batch.events.length);
    const codes = (rejected as { index: number; code: string }[]).map(({ index, code }) => [index, code]);
    this.#expect("rejected", batch, codes, batch.bad);
    this.comparedRejections += batch.bad.length + 1;
    if (status === 200) this.#checkOutcome(batch, outcome as Record<string, number>);
  }

  /** An answer with `?wait=applied`: of what was sent this once, only copies within the request are duplicates. */
  #checkOutcome(batch: Batch, { applied = 0, duplicates = 0, late = 0, dead = 0 }: Record<string, number>): void {
    this.counts.waited++;
    this.comparedOutcomes++;
    this.#expect("outcomes together", batch, applied + duplicates + late + dead, batch.events.length);
    this.#expect("dead", batch, dead, 0);
    const isFresh = batch.events.every(({ id }) => this.#attempts.get(id) === 1);
    if (isFresh) this.#expect("duplicates", batch, duplicates, batch.copies);
  }

  #expect(what: string, batch: Batch, found: unknown, expected: unknown): void {
    const [is, should] = [JSON.stringify(found), JSON.stringify(expected)];
    if (is !== should) this.surprises.push(`request ${batch.number}: ${what}: expected ${should}, found ${is}`);
  }

  #partitionOf(id: string): number {
    return identify(this.#secret, "", id).spread % this.#partitions;
  }
}
