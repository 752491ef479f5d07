import { startApp } from "../../app.ts";
import { Tallymark } from "../../client/index.ts";
import type { Config } from "../../config.ts";
import type { CounterDefinition } from "../../core/counter.ts";
import { parseCounter } from "../../core/counter-parse.ts";
import type { Logger } from "../../log.ts";
import type { CliIo } from "../replay/io.ts";
import { SHOP_COUNTERS } from "./shop.ts";
import { Traffic } from "./traffic.ts";

/** What a second start sends again of the time before it: the copies change nothing. */
const OVERLAP_MS = 60_000;

export interface DemoOptions {
  readonly config: Config;
  readonly seed: number;
  /** How much of a past to make up, ms. */
  readonly backfillMs: number;
  /** Of the shop, where the service needs one: it sends and looks up. */
  readonly apiKey?: string | undefined;
}

/**
 * Runs the service and a made-up shop that sends to it, until `io.signal` is aborted. `fail` is called when the service
 * cannot go on. Throws as `startApp` does.
 */
export async function runDemo(
  { config, seed, backfillMs, apiKey }: DemoOptions,
  log: Logger,
  io: CliIo,
  fail: (reason: string) => void,
): Promise<void> {
  const app = await startApp({ ...config, counters: withShopCounters(config.counters) }, log, fail);
  try {
    io.stdout.write(welcome(app.url));
    const client = new Tallymark({
      url: app.url,
      ...(apiKey && { apiKey }),
      onDrop: ({ reason, events, detail }) => log.warn({ reason, events: events.length, detail }, "events dropped"),
    });
    const traffic = new Traffic({ client, seed, clock: io.clock, signal: io.signal });
    const from = Math.max(io.clock.now() - backfillMs, (await lastSeen(client)) - OVERLAP_MS);
    const firstSlot = await traffic.catchUp(from);
    if (!io.signal.aborted) io.stdout.write(`${traffic.sent} events of the past are in; from now on it is live.\n`);
    await traffic.live(firstSlot);
    await client.close();
    io.stdout.write(`${traffic.sent} events were sent, ${traffic.copies} of them copies.\n`);
  } finally {
    await app.stop();
  }
}

/** The shop's own definitions win over ones of the same name. */
function withShopCounters(configured: readonly CounterDefinition[] | null): CounterDefinition[] {
  const shop = SHOP_COUNTERS.map((counter) => parseCounter(counter) as CounterDefinition);
  const others = (configured ?? []).filter(({ name }) => shop.every((own) => own.name !== name));
  return [...others, ...shop];
}

/** Epoch ms; 0 on a first start. */
async function lastSeen(client: Tallymark): Promise<number> {
  const { watermark } = await client.value("views", { last: "1h" });
  return watermark === null ? 0 : Date.parse(watermark);
}

function welcome(url: string): string {
  const counters = SHOP_COUNTERS.map(({ name }) => name).join(", ");
  return `Tallymark is ready at ${url}

A made-up shop is sending events. Open the address above to see it live, or look from another terminal:

  npx tallymark top views --url ${url}
  npx tallymark tail sales --window 1m --url ${url}
  curl '${url}/v1/counters/sales/top?last=5m&by=sum'

Counters: ${counters}. Some events come twice and count once; some come late and are listed at
${url}/v1/late?counter=views. Ctrl-C ends it.
`;
}
