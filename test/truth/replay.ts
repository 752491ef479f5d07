import { setTimeout as pause } from "node:timers/promises";

/** What became of the events of one or more requests, from `?wait=applied`. */
export interface Outcomes {
  accepted: number;
  applied: number;
  duplicates: number;
  late: number;
  dead: number;
  rejected: { readonly index: number; readonly id?: string; readonly code: string }[];
}

export function noOutcomes(): Outcomes {
  return { accepted: 0, applied: 0, duplicates: 0, late: 0, dead: 0, rejected: [] };
}

/** Retries of one request that is refused because of load, or not applied in the time that a request waits. */
const RETRIES_MAX = 30;

export function batchesOf(lines: readonly string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(lines.length / size) }, (_, i) => lines.slice(i * size, (i + 1) * size));
}

/** Posts one batch and answers what became of it; throws unless all of it was applied. */
export async function postBatch(baseUrl: string, lines: readonly string[]): Promise<Outcomes> {
  for (let retry = 0; ; retry++) {
    const response = await fetch(`${baseUrl}/v1/events?wait=applied`, {
      method: "POST",
      headers: { "content-type": "application/x-ndjson" },
      body: lines.join("\n"),
    });
    const text = await response.text();
    if (response.status === 200) return JSON.parse(text) as Outcomes;
    // 202: queued and not applied yet. The same ids again come back as duplicates, once they are.
    const isBusy = [202, 429, 503].includes(response.status);
    if (!isBusy || retry === RETRIES_MAX) throw new Error(`a batch was answered with ${response.status}: ${text}`);
    await pause(1_000 * Number(response.headers.get("retry-after") ?? 1));
  }
}

/** Posts the batches with so many requests in flight and adds their outcomes up. */
export async function postAll(baseUrl: string, batches: readonly string[][], inFlight = 1): Promise<Outcomes> {
  const total = noOutcomes();
  const waiting = batches.values();
  // The senders share one iterator, so each takes the next batch as soon as it is free.
  const sender = async () => {
    for (const batch of waiting) add(total, await postBatch(baseUrl, batch));
  };
  await Promise.all(Array.from({ length: inFlight }, sender));
  return total;
}

function add(total: Outcomes, { rejected, ...numbers }: Outcomes): void {
  total.rejected.push(...rejected);
  for (const [name, number] of Object.entries(numbers)) total[name as Exclude<keyof Outcomes, "rejected">] += number;
}

/** Numbers in [0, 1) that are the same in every run: mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
