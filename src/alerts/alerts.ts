import { randomUUID } from "node:crypto";
import type { Queue } from "bullmq";
import { pause } from "../pause.ts";
import type { Connections } from "../redis/client.ts";
import { holdLease } from "../redis/commands/alerts.ts";
import { Deliveries, type DeliveriesDependencies } from "./deliver.ts";
import { Evaluator, type EvaluatorDependencies } from "./evaluator.ts";

const TICK_MS = 1_000;
/** How long the lease outlives its holder's last sign of life, ms. */
const LEASE_MS = 5_000;
/** How often messages that have no job are looked for, ms. */
const SWEEP_MS = 15_000;
/** A tick that takes longer than its second is followed by a rest all the same, ms. */
const REST_MIN_MS = 50;

export type AlertsDependencies = Omit<EvaluatorDependencies, "client"> & Omit<DeliveriesDependencies, "client">;

/**
 * Evaluates all rules once a second and delivers what comes of it. One process evaluates, by lease, and others stand by;
 * that spares work and no more: what must happen once is decided by compare-and-set.
 */
export class Alerts {
  readonly #deps: AlertsDependencies;
  readonly #client: EvaluatorDependencies["client"];
  readonly #evaluator: Evaluator;
  readonly #deliveries: Deliveries;
  readonly #token = randomUUID();
  readonly #stopping = new AbortController();
  #sweepAt = 0;
  #loop: Promise<void> = Promise.resolve();

  private constructor(deps: AlertsDependencies, client: EvaluatorDependencies["client"], deliveries: Deliveries) {
    this.#deps = deps;
    this.#client = client;
    this.#evaluator = new Evaluator({ ...deps, client });
    this.#deliveries = deliveries;
  }

  static async start(deps: AlertsDependencies): Promise<Alerts> {
    const { connections }: { connections: Connections } = deps;
    // Thousands of reads a second would hold up whoever shares the connection.
    const client = await connections.open("prompt");
    const alerts = new Alerts(deps, client, await Deliveries.start({ ...deps, client }));
    alerts.#loop = alerts.#run();
    return alerts;
  }

  get queue(): Queue {
    return this.#deliveries.queue;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const began = performance.now();
      try {
        if (await holdLease(this.#client, this.#deps.scripts, this.#token, LEASE_MS)) await this.#tick();
        else this.#standBy();
      } catch (error) {
        // Whoever was not reached may have changed hands meanwhile.
        this.#evaluator.forget();
        this.#deps.log.warn({ err: error }, "cannot evaluate alerts; trying again");
      }
      const rest = Math.max(REST_MIN_MS, TICK_MS - (performance.now() - began));
      await pause(rest, this.#stopping.signal);
    }
  }

  /** Whoever evaluates now says how it stands. */
  #standBy(): void {
    this.#evaluator.forget();
    const { alertInstances, alertOutboxLag, alertOverflow, alertRules } = this.#deps.metrics;
    for (const gauge of [alertInstances, alertOutboxLag, alertOverflow, alertRules]) gauge.reset();
  }

  async #tick(): Promise<void> {
    await this.#evaluator.tick();
    await this.#deliveries.relay(await this.#deps.now());
    if (performance.now() < this.#sweepAt) return;
    this.#sweepAt = performance.now() + SWEEP_MS;
    await this.#deliveries.sweep();
  }

  /** Ends the tick under way, then the deliveries; a standby may go on at once. Never throws. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await holdLease(this.#client, this.#deps.scripts, this.#token, 0).catch(() => undefined);
    await this.#deliveries.stop();
    this.#deps.connections.close(this.#client);
  }
}
