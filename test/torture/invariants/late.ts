import type { SentEvent } from "../events.ts";
import type { Reader } from "../reader.ts";
import { type Aftermath, Finding } from "./invariant.ts";

export interface LateEntry {
  readonly ref: string;
  readonly event: { readonly id: string };
  readonly watermark: string;
}

export async function readLate(reader: Reader, counters: readonly string[]): Promise<Map<string, LateEntry[]>> {
  const late = new Map<string, LateEntry[]>();
  for (const name of counters) late.set(name, await reader.list(`/v1/late?counter=${name}&`, "late"));
  return late;
}

/** An event is late once, only if it was accepted, and only if its bucket was closed. */
export async function lateIsLate({ models, late, ledger }: Aftermath): Promise<Finding[]> {
  const finding = new Finding("late ledger ⊆ accepted, once each, closed");
  for (const { counter } of models) {
    const seen = new Set<string>();
    for (const { event, watermark } of late.get(counter.name) ?? []) {
      finding.holds(!seen.has(event.id), () => `${counter.name}: ${event.id} is in the late ledger twice`);
      seen.add(event.id);
      const sent = ledger.accepted.get(event.id);
      finding.holds(sent !== undefined, () => `${counter.name}: the late event ${event.id} was never accepted`);
      if (!sent) continue;
      const closedAt = closing(sent, counter.windows[0]?.ms ?? 1, counter.latenessMs);
      finding.holds(
        Date.parse(watermark) >= closedAt,
        () => `${counter.name}: ${event.id} was not late at ${watermark}`,
      );
    }
  }
  return [finding];
}

/** When the watermark closes the event's finest bucket. */
function closing({ time }: SentEvent, ms: number, latenessMs: number): number {
  return time - (time % ms) + ms + latenessMs;
}

interface Counted {
  readonly count: number;
}

/** Accepted = counted + late, for every counter. With the exact buckets this says that no event is in both. */
export async function nothingIsMissing({ models, late, ledger, reader }: Aftermath): Promise<Finding[]> {
  const finding = new Finding("counted + late = accepted");
  for (const { counter, span } of models) {
    const matching = [...ledger.accepted.values()].filter(
      ({ type }) => counter.types === null || counter.types.includes(type),
    ).length;
    const value = span && (await reader.queryAll<Counted>([{ counter: counter.name, feed: "value", ...span }]))[0];
    finding.same(counter.name, (value?.count ?? 0) + (late.get(counter.name)?.length ?? 0), matching);
  }
  return [finding];
}
