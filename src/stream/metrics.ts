import { Counter, Gauge, Histogram, Registry } from "prom-client";

/**
 * What workers tell of themselves. Apart from the process's other metrics, since workers run in a thread of their own; the
 * names differ from all others, so that both texts together are one exposition.
 */
export class StreamMetrics {
  readonly registry = new Registry();
  readonly #to = { registers: [this.registry] };

  readonly ingestLag = new Histogram({
    name: "tallymark_ingest_lag_seconds",
    help: "Time from an entry's arrival, by Redis's clock, until it is applied, by this process's clock",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300],
    ...this.#to,
  });
  readonly keysOverflowing = new Counter({
    name: "tallymark_keys_refused_total",
    help: "Events counted, or sent again, under `other` because their key was beyond keysMax, once for each counter",
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
  readonly batchSeconds = new Histogram({
    name: "tallymark_apply_batch_seconds",
    help: "Time to match, plan and apply a batch, with its script and every further try",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
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

  constructor() {
    // A rule on the increase of what is not there yet would miss its first one.
    for (const outcome of ["applied", "duplicates", "late", "dead"]) this.events.inc({ outcome }, 0);
  }
}
