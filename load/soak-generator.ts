import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { post } from "./post.ts";
import { SoakLoad, type SoakTotals } from "./soak-load.ts";

/** The sender of a soak, a process of its own: a steady rate of events of now, until it is told to stop. */

export interface SoakOrder {
  readonly url: string;
  /** Events per second. */
  readonly rate: number;
  readonly seed: number;
}
export type ToSoakGenerator = { readonly kind: "start"; readonly order: SoakOrder } | { readonly kind: "stop" };
export type FromSoakGenerator =
  | { readonly kind: "progress"; readonly sent: number; readonly retries: number }
  | { readonly kind: "done"; readonly totals: SoakTotals; readonly retries: number }
  | { readonly kind: "failed"; readonly reason: string };

const TICK_MS = 100;
const PROGRESS_MS = 1_000;
const REQUEST_EVENTS_MAX = 2_000;
/** Requests under way; a service that falls behind shows as a lower rate, not as a growing queue here. */
const IN_FLIGHT_MAX = 8;
const RETRY_MS = 250;
const TRIES_MAX = 100;

const report = (message: FromSoakGenerator) => process.send?.(message);
let stopped = false;
let sent = 0;
let retries = 0;

/** As a client should: the same ids until the answer says that they are queued. */
async function deliver(url: string, agent: Agent, body: Buffer, events: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await post(`${url}/v1/events`, agent, body);
      sent += events;
      return;
    } catch (error) {
      if (attempt === TRIES_MAX) throw error;
      retries++;
      await pause(RETRY_MS);
    }
  }
}

async function run({ url, rate, seed }: SoakOrder): Promise<void> {
  const load = new SoakLoad(seed);
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT_MAX });
  const inFlight = new Set<Promise<void>>();
  const began = performance.now();
  let made = 0;
  while (!stopped) {
    const due = Math.floor(((performance.now() - began) / 1_000) * rate) - made;
    const events = Math.min(due, REQUEST_EVENTS_MAX);
    if (events > 0) {
      made += events;
      const delivery = deliver(url, agent, load.next(events, Date.now()), events).finally(() => {
        inFlight.delete(delivery);
      });
      inFlight.add(delivery);
    }
    if (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight);
    if (due <= REQUEST_EVENTS_MAX) await pause(TICK_MS);
  }
  await Promise.all(inFlight);
  agent.destroy();
  report({ kind: "done", totals: load.totals, retries });
}

process.on("message", (message: ToSoakGenerator) => {
  if (message.kind === "stop") {
    stopped = true;
    return;
  }
  const progress = setInterval(() => report({ kind: "progress", sent, retries }), PROGRESS_MS);
  run(message.order)
    .catch((error: Error) => report({ kind: "failed", reason: error.message }))
    .finally(() => clearInterval(progress));
});
