import { once } from "node:events";
import { WebSocket } from "ws";

/** The viewers of the live benchmark, a process of their own: they note when each probe was first to be seen. */

export interface ViewersOrder {
  readonly url: string;
  readonly viewers: number;
  readonly subscriptions: readonly object[];
}
export type ToViewers =
  | { readonly kind: "open"; readonly order: ViewersOrder }
  /** The time, in ms of the epoch, at which each probe had been applied, oldest first. */
  | { readonly kind: "report"; readonly appliedAt: readonly number[] };
export type FromViewers =
  | { readonly kind: "opened" }
  | { readonly kind: "report"; readonly delays: readonly number[]; readonly frames: number; readonly missed: number }
  | { readonly kind: "failed"; readonly reason: string };

const OPENED_AT_ONCE = 100;
/** How many probes an answer holds: each adds one to the sum, and nothing else does. */
const SUM = /"sum":(\d+)/;

const now = () => performance.timeOrigin + performance.now();
const report = (message: FromViewers) => process.send?.(message);
let frames = 0;

class Viewer {
  /** When the probe of that number was first in a frame, ms of the epoch. */
  readonly seenAt: number[] = [];
  readonly #socket: WebSocket;

  constructor(url: string) {
    this.#socket = new WebSocket(url);
    this.#socket.on("message", (data: Buffer) => this.#look(data));
  }

  async subscribe(subscription: object): Promise<void> {
    await once(this.#socket, "open");
    this.#socket.send(JSON.stringify({ op: "subscribe", id: "a", ...subscription }));
    await once(this.#socket, "message");
  }

  #look(data: Buffer): void {
    frames++;
    const probes = Number(SUM.exec(data.toString("latin1"))?.[1] ?? 0);
    if (probes <= this.seenAt.length) return;
    const at = now();
    while (this.seenAt.length < probes) this.seenAt.push(at);
  }

  /** Reads nothing from here on, as a page on a suspended machine. */
  freeze(): void {
    this.#socket.pause();
  }
}

const viewers: Viewer[] = [];

async function open({ url, viewers: count, subscriptions }: ViewersOrder): Promise<void> {
  const address = `${url.replace("http", "ws")}/v1/live`;
  for (let first = 0; first < count; first += OPENED_AT_ONCE) {
    const some = Array.from({ length: Math.min(OPENED_AT_ONCE, count - first) }, () => new Viewer(address));
    await Promise.all(
      some.map((viewer, i) => viewer.subscribe(subscriptions[(first + i) % subscriptions.length] ?? {})),
    );
    viewers.push(...some);
  }
  viewers.pop()?.freeze();
}

function delays(appliedAt: readonly number[]): { delays: number[]; missed: number } {
  const seen = viewers.flatMap(({ seenAt }) => appliedAt.map((at, probe) => (seenAt[probe] ?? Number.NaN) - at));
  const known = seen.filter((delay) => !Number.isNaN(delay));
  return { delays: known.sort((a, b) => a - b), missed: seen.length - known.length };
}

process.on("message", (message: ToViewers) => {
  if (message.kind === "report") report({ kind: "report", ...delays(message.appliedAt), frames });
  else {
    open(message.order)
      .then(() => report({ kind: "opened" }))
      .catch((error: Error) => report({ kind: "failed", reason: error.message }));
  }
});
