import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Connections, type RedisClient } from "../src/redis/client.ts";
import { type Service, startService } from "./service.ts";
import { findSoakFaults } from "./soak-check.ts";
import type { FromSoakGenerator, SoakOrder, ToSoakGenerator } from "./soak-generator.ts";
import { SOAK_COUNTER } from "./soak-load.ts";
import { printHead, printMinute, printSummary, summarize } from "./soak-report.ts";
import { type Sample, takeSample } from "./soak-sample.ts";

/** How to run this and read what it prints: README.md beside it. */

const GENERATOR = fileURLToPath(new URL("soak-generator.ts", import.meta.url));
const SAMPLE_MS = 10_000;
const SAMPLES_PER_MINUTE = 60_000 / SAMPLE_MS;
const HORIZON = "2m";
/** A horizon, the margin of dropping behind it, and what warms up. */
const STEADY_AFTER_S = 240;

/** A generator process under way. */
class Sender {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Extract<FromSoakGenerator, { kind: "done" }>>;
  sent = 0;

  constructor(order: SoakOrder) {
    this.#child = fork(GENERATOR, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on("message", (message: FromSoakGenerator) => {
        if (message.kind === "progress") this.sent = message.sent;
        else if (message.kind === "done") resolve(message);
        else reject(new Error(`sending failed: ${message.reason}`));
      });
      this.#child.on("exit", (code) => reject(new Error(`the generator ended with ${code}`)));
    });
    // Whoever waits for the end is told; until then there is nobody to tell.
    this.#ended.catch(() => undefined);
    this.#tell({ kind: "start", order });
  }

  #tell(message: ToSoakGenerator): void {
    this.#child.send(message);
  }

  /** Sends what is under way, and answers what was sent in all. */
  async finish() {
    this.#tell({ kind: "stop" });
    return this.#ended;
  }

  /** Rejects when the sending fails meanwhile. */
  async whileSending(ms: number): Promise<void> {
    await Promise.race([pause(ms), this.#ended]);
  }

  kill(): void {
    this.#child.kill();
  }
}

async function soak(service: Service, client: RedisClient, sender: Sender, minutes: number): Promise<Sample[]> {
  const began = performance.now();
  const samples: Sample[] = [];
  printHead();
  for (let number = 0; number <= minutes * SAMPLES_PER_MINUTE; number++) {
    await sender.whileSending(Math.max(0, number * SAMPLE_MS - (performance.now() - began)));
    const isMinute = number % SAMPLES_PER_MINUTE === 0;
    const at = (performance.now() - began) / 1_000;
    const sample = await takeSample(service, client, at, sender.sent, isMinute);
    if (isMinute) printMinute(sample, samples.at(-SAMPLES_PER_MINUTE));
    samples.push(sample);
  }
  return samples;
}

function positive(text: string | undefined, fallback: number, name: string): number {
  const value = Number(text ?? fallback);
  if (!(value > 0)) throw new Error(`--${name}: must be a number above 0`);
  return value;
}

async function main(): Promise<boolean> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { minutes: text, rate: text, seed: text } });
  const minutes = positive(values.minutes, 20, "minutes");
  const order = { rate: positive(values.rate, 2_000, "rate"), seed: positive(values.seed, 1, "seed") };
  const env = { TALLYMARK_DEDUPE_HORIZON: HORIZON };
  const service = await startService({ partitions: 1, profileDir: null, counters: [SOAK_COUNTER], env });
  const connections = new Connections({ kind: "single", options: { path: service.redisSocket } }, () => {});
  const began = Date.now();
  const sender = new Sender({ ...order, url: service.url });
  try {
    const samples = await soak(service, await connections.open("prompt"), sender, minutes);
    const { totals, retries } = await sender.finish();
    const faults = await findSoakFaults(service.url, began, totals);
    printSummary(summarize(samples, STEADY_AFTER_S, faults, retries));
    return faults.length === 0;
  } finally {
    sender.kill();
    connections.closeAll();
    await service.stop();
  }
}

if (!(await main())) process.exitCode = 1;
