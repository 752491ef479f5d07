import { Agent } from "node:http";
import { post } from "./post.ts";
import { makeWorkload, type Workload, type WorkloadOptions } from "./workload.ts";

/**
 * The sender, a process of its own: prepares all requests, says so, and sends them when told to. Its CPU time between
 * `go` and `done` is that of sending alone.
 */

export interface Preparation {
  readonly workload: WorkloadOptions;
  readonly url: string;
  /** Events in a request. */
  readonly batch: number;
  /** Requests in flight. */
  readonly connections: number;
}

export type ToGenerator = { readonly kind: "prepare"; readonly preparation: Preparation } | { readonly kind: "go" };

export type FromGenerator =
  | { readonly kind: "prepared"; readonly requests: number; readonly bytes: number }
  /** Times are epoch milliseconds with fractions, comparable between processes of one machine. */
  | { readonly kind: "done"; readonly startedAt: number; readonly endedAt: number }
  | { readonly kind: "failed"; readonly reason: string };

const clock = () => performance.timeOrigin + performance.now();
const report = (message: FromGenerator) => process.send?.(message);

function prepareBodies(workload: Workload, batch: number): Buffer[] {
  const bodies: Buffer[] = [];
  for (let from = 0; from < workload.events; from += batch) {
    const size = Math.min(batch, workload.events - from);
    const texts = Array.from({ length: size }, (_, i) => workload.text(from + i));
    bodies.push(Buffer.from(`[${texts.join(",")}]`));
  }
  return bodies;
}

async function send({ url, connections }: Preparation, bodies: readonly Buffer[]): Promise<FromGenerator> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const startedAt = clock();
  let next = 0;
  const sendInTurn = async () => {
    while (next < bodies.length) await post(`${url}/v1/events`, agent, bodies[next++] as Buffer);
  };
  try {
    await Promise.all(Array.from({ length: connections }, sendInTurn));
    return { kind: "done", startedAt, endedAt: clock() };
  } catch (error) {
    return { kind: "failed", reason: (error as Error).message };
  } finally {
    agent.destroy();
  }
}

let prepared: { preparation: Preparation; bodies: Buffer[] } | undefined;

process.on("message", async (message: ToGenerator) => {
  if (message.kind === "prepare") {
    const { preparation } = message;
    const bodies = prepareBodies(makeWorkload(preparation.workload), preparation.batch);
    prepared = { preparation, bodies };
    const bytes = bodies.reduce((sum, body) => sum + body.length, 0);
    report({ kind: "prepared", requests: bodies.length, bytes });
  } else if (prepared) {
    report(await send(prepared.preparation, prepared.bodies));
  }
});
