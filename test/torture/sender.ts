import { setTimeout as delay } from "node:timers/promises";
import type { Batch, Generator } from "./generator.ts";
import type { Ledger } from "./ledger.ts";
import type { Member } from "./member.ts";

/** Requests under way at the same time. */
const LANES = 6;
/** Between two tries of a request, ms. */
const RETRY_MS = 200;
/** A request that is refused for this long is given up, and the run has failed, ms. */
const PATIENCE_MS = 180_000;

export interface Sending {
  readonly generator: Generator;
  readonly ledger: Ledger;
  readonly ingest: readonly Member[];
  /** Events to send at least, copies and bad ones included. */
  readonly events: number;
  /** Events a second at most. */
  readonly rate: number;
  /** How long an answer may take before the outcome counts as unknown, ms. */
  readonly timeoutMs: number;
}

/** Sends everything; each request again and again, with the same ids, until it is answered for good. */
export async function sendAll(sending: Sending): Promise<void> {
  const start = performance.now();
  let sent = 0;
  const lane = async (first: number) => {
    for (let turn = first; sent < sending.events; turn++) {
      const batch = sending.generator.next();
      sent += batch.events.length + batch.bad.length;
      note(sending.ledger, batch);
      const dueIn = start + (sent / sending.rate) * 1_000 - performance.now();
      if (dueIn > 0) await delay(dueIn);
      await deliver(sending, batch, turn);
    }
  };
  await Promise.all(Array.from({ length: LANES }, (_, first) => lane(first)));
}

function note({ counts }: Ledger, batch: Batch): void {
  counts.requests++;
  counts.events += batch.events.length + batch.bad.length;
  counts.duplicates += batch.copies;
  counts.resends += batch.resends;
  counts.bad += batch.bad.length;
}

async function deliver({ ledger, ingest, timeoutMs }: Sending, batch: Batch, turn: number): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (let attempt = turn; performance.now() < giveUpAt; attempt++) {
    const url = ingest[attempt % ingest.length]?.url;
    if (url) {
      ledger.attempt(batch);
      const answer = await post(url, batch, timeoutMs);
      if (answer && answer.status !== 503) return finish(ledger, batch, answer);
      ledger.counts[answer ? "answered503" : "unknown"]++;
    }
    await delay(RETRY_MS);
  }
  ledger.surprises.push(`request ${batch.number} was never answered for good`);
}

function finish(ledger: Ledger, batch: Batch, { status, body }: Answer): void {
  const isFinal = status === 200 || status === 202 || (status === 400 && batch.events.length === 0);
  if (isFinal) ledger.answered(batch, status, body);
  else ledger.surprises.push(`request ${batch.number} was answered ${status} ${JSON.stringify(body).slice(0, 300)}`);
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** `null`: no answer, so the outcome is unknown. */
async function post(url: string, batch: Batch, timeoutMs: number): Promise<Answer | null> {
  try {
    const response = await fetch(`${url}/v1/events${batch.waits ? "?wait=applied" : ""}`, {
      method: "POST",
      headers: { "content-type": batch.mediaType },
      body: batch.body,
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: response.status, body: await response.json() };
  } catch {
    return null;
  }
}
