import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** The process's metrics; names follow https://prometheus.io/docs/practices/naming. */
export class Metrics {
  readonly registry = new Registry();
  readonly #to = { registers: [this.registry] };

  readonly accepted = new Counter({
    name: "tallymark_ingest_events_accepted_total",
    help: "Events queued on a stream",
    ...this.#to,
  });
  readonly rejected = new Counter({
    name: "tallymark_ingest_events_rejected_total",
    help: "Events refused, by rejection code",
    labelNames: ["code"] as const,
    ...this.#to,
  });
  readonly unavailable = new Counter({
    name: "tallymark_ingest_unavailable_total",
    help: "Requests answered 503 because the outcome of a write was unknown",
    ...this.#to,
  });
  readonly events = new Counter({
    name: "tallymark_events_total",
    help: "Events taken off the stream, by outcome",
    labelNames: ["outcome"] as const,
    ...this.#to,
  });
  readonly entriesSkipped = new Counter({
    name: "tallymark_entries_skipped_total",
    help: "Stream entries that the fence found applied by somebody else",
    ...this.#to,
  });
  readonly entriesGivenUp = new Counter({
    name: "tallymark_entries_given_up_total",
    help: "Stream entries whose events became dead letters because their workers kept ending",
    ...this.#to,
  });
  readonly batchEvents = new Histogram({
    name: "tallymark_apply_batch_events",
    help: "Events per applied batch",
    buckets: [1, 10, 50, 100, 250, 500, 1000, 2000],
    ...this.#to,
  });
  readonly applySeconds = new Histogram({
    name: "tallymark_apply_seconds",
    help: "Time from sending a batch's script to its reply",
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1],
    ...this.#to,
  });
  readonly partitionsOwned = new Gauge({
    name: "tallymark_partitions_owned",
    help: "Partitions whose lease this process holds",
    ...this.#to,
  });
  readonly partitionsStopped = new Gauge({
    name: "tallymark_partitions_stopped",
    help: "Partitions stopped by an error that needs a person",
    ...this.#to,
  });
  readonly waiting = new Gauge({
    name: "tallymark_stream_entries_waiting",
    help: "Entries on the stream that are not applied yet",
    labelNames: ["partition"] as const,
    ...this.#to,
  });
  readonly missing = new Gauge({
    name: "tallymark_stream_entries_missing",
    help: "Entries added but neither applied nor waiting; anything but 0 means that data was lost",
    labelNames: ["partition"] as const,
    ...this.#to,
  });

  readonly exportedRows = new Counter({
    name: "tallymark_export_rows_total",
    help: "Rows written to cold storage",
    ...this.#to,
  });
  readonly exportLag = new Gauge({
    name: "tallymark_export_lag_seconds",
    help: "Event time that is closed and not exported, of the counter and partition where it is most",
    ...this.#to,
  });
  readonly exportDiffering = new Counter({
    name: "tallymark_export_rows_differing_total",
    help: "Rows that cold storage held with other content; anything but 0 means that data was lost or changed",
    ...this.#to,
  });
  readonly bucketsForgotten = new Counter({
    name: "tallymark_buckets_forgotten_total",
    help: "Buckets that have left Redis for cold storage",
    ...this.#to,
  });
  readonly jobFailures = new Counter({
    name: "tallymark_job_failures_total",
    help: "Failed runs of jobs; each is tried again",
    labelNames: ["job"] as const,
    ...this.#to,
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry, prefix: "tallymark_" });
  }
}
