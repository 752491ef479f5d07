import { setTimeout as pause } from "node:timers/promises";
import { demand, requestOf, Wire } from "./wire.ts";
import { makeWorkload, type Workload, type WorkloadOptions } from "./workload.ts";

/**
 * The sender, a process of its own: prepares all requests, says so, and sends them when told to. Its CPU time between
 * `go` and `done` is that of sending alone.
 */

export interface Preparation {
  readonly workload: WorkloadOptions;
  readonly url: string;
  /** Events in a request; one is sent by itself, more as an array. */
  readonly batch: number;
  /** Requests in flight. */
  readonly connections: number;
  /** At most so many; absent: as fast as they are answered. */
  readonly eventsPerSecond?: number;
}

export type ToGenerator = { readonly kind: "prepare"; readonly preparation: Preparation } | { readonly kind: "go" };

export type FromGenerator =
  | { readonly kind: "prepared"; readonly requests: number; readonly bytes: number }
  /** Times are epoch milliseconds with fractions, comparable between processes of one machine. */
  | { readonly kind: "done"; readonly startedAt: number; readonly endedAt: number }
  | { readonly kind: "failed"; readonly reason: string };

const clock = () => performance.timeOrigin + performance.now();
const report = (message: FromGenerator) => process.send?.(message);

function prepareBodies(workload: Workload, batch: number): string[] {
  const bodies: string[] = [];
  for (let from = 0; from < workload.events; from += batch) {
    const size = Math.min(batch, workload.events - from);
    const texts = Array.from({ length: size }, (_, i) => workload.text(from + i));
    bodies.push(batch === 1 ? texts.join() : `[${texts.join(",")}]`);
  }
  return bodies;
}

async function send(preparation: Preparation, requests: readonly Buffer[]): Promise<FromGenerator> {
  const { url, connections, batch, eventsPerSecond = Number.POSITIVE_INFINITY } = preparation;
  const startedAt = clock();
  const wires = Array.from({ length: connections }, () => new Wire(url));
  let next = 0;
  const sendInTurn = async (wire: Wire) => {
    while (next < requests.length) {
      const request = next++;
      const early = startedAt + (request * batch * 1_000) / eventsPerSecond - clock();
      if (early > 0) await pause(early);
      await demand(wire, requests[request] as Buffer, 202);
    }
  };
  try {
    await Promise.all(wires.map(sendInTurn));
    return { kind: "done", startedAt, endedAt: clock() };
  } catch (error) {
    return { kind: "failed", reason: (error as Error).message };
  } finally {
    for (const wire of wires) wire.close();
  }
}

let prepared: { preparation: Preparation; requests: Buffer[] } | undefined;

process.on("message", async (message: ToGenerator) => {
  if (message.kind === "prepare") {
    const { preparation } = message;
    const bodies = prepareBodies(makeWorkload(preparation.workload), preparation.batch);
    const requests = bodies.map((body) => requestOf("POST", `${preparation.url}/v1/events`, body));
    prepared = { preparation, requests };
    const bytes = bodies.reduce((sum, body) => sum + Buffer.byteLength(body), 0);
    report({ kind: "prepared", requests: requests.length, bytes });
  } else if (prepared) {
    report(await send(prepared.preparation, prepared.requests));
  }
});
