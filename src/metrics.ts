import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Defaults of prom-client that are gauges called `_total`; the same by type stand beside them. */
const MISNAMED = ["handles", "requests", "resources"].map((what) => `tallymark_nodejs_active_${what}_total`);

/**
 * The process's metrics; names follow https://prometheus.io/docs/practices/naming. What describes the deployment and not
 * the process is told by each process with the role that looks at it, so it is to be taken as a maximum, not added up.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #to = { registers: [this.registry] };

  readonly httpSeconds = new Histogram({
    name: "tallymark_http_request_seconds",
    help: "Time from a request's head to the end of its answer, by method, route pattern and class of status; without feeds",
    labelNames: ["method", "route", "status"] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    ...this.#to,
  });

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
  readonly ingestRefused = new Counter({
    name: "tallymark_ingest_refused_total",
    help: "Requests answered 503 because too much waited or Redis was too full",
    ...this.#to,
  });
  /** What ingest's gate saw last: bytes by partition, and of Redis's memory the sum and the largest share of a maxmemory. */
  gateView = (): { backlogBytes: readonly number[]; memoryBytes: number; memoryShare: number } | null => null;
  readonly backlogBytes: Gauge<"partition"> = new Gauge({
    name: "tallymark_stream_bytes",
    help: "Memory of the entries on the stream that are not applied, or not archived, yet, as ingest sees it",
    labelNames: ["partition"] as const,
    collect: () => {
      for (const [partition, bytes] of (this.gateView()?.backlogBytes ?? []).entries()) {
        this.backlogBytes.set({ partition }, bytes);
      }
    },
    ...this.#to,
  });
  readonly redisMemory: Gauge = new Gauge({
    name: "tallymark_redis_memory_bytes",
    help: "Memory in use by Redis, all primaries together, as ingest sees it",
    collect: () => this.redisMemory.set(this.gateView()?.memoryBytes ?? 0),
    ...this.#to,
  });
  readonly redisMemoryShare: Gauge = new Gauge({
    name: "tallymark_redis_memory_ratio",
    help: "Memory in use by Redis over its maxmemory, of the primary where it is most; 0 without a maxmemory",
    collect: () => this.redisMemoryShare.set(this.gateView()?.memoryShare ?? 0),
    ...this.#to,
  });
  readonly refused = new Counter({
    name: "tallymark_http_refused_total",
    help: "Requests refused for want of a key, a scope or a quota, by the code of the problem",
    labelNames: ["code"] as const,
    ...this.#to,
  });
  readonly partitions = new Gauge({
    name: "tallymark_partitions",
    help: "Partitions of the deployment",
    ...this.#to,
  });

  readonly archivedEvents = new Counter({
    name: "tallymark_archive_events_total",
    help: "Events written to the lake, repeats included",
    ...this.#to,
  });
  readonly archivedSegments = new Counter({
    name: "tallymark_archive_segments_total",
    help: "Segments written to the lake, merged ones not included",
    ...this.#to,
  });
  readonly archivedBytes = new Counter({
    name: "tallymark_archive_bytes_total",
    help: "Bytes of the segments written to the lake",
    ...this.#to,
  });
  readonly archiveFailures = new Counter({
    name: "tallymark_archive_failures_total",
    help: "Rounds of archiving that failed; each is made again",
    ...this.#to,
  });
  readonly lakeSegmentsMerged = new Counter({
    name: "tallymark_archive_segments_merged_total",
    help: "Small segments of the lake that were merged into larger ones",
    ...this.#to,
  });
  readonly lakeSegmentsDropped = new Counter({
    name: "tallymark_archive_segments_dropped_total",
    help: "Segments of the lake that were past their time",
    ...this.#to,
  });
  readonly archiveWaiting = new Gauge({
    name: "tallymark_archive_entries_waiting",
    help: "Entries on the stream that are not in the lake yet",
    labelNames: ["partition"] as const,
    ...this.#to,
  });
  readonly archiveLag = new Gauge({
    name: "tallymark_archive_lag_seconds",
    help: "How long the oldest entry that is not in the lake yet has waited, of the partition where it is most",
    ...this.#to,
  });
  readonly archiveKept = new Gauge({
    name: "tallymark_archive_entries_kept",
    help: "Entries on the stream that are applied and kept for the archive alone",
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
  readonly ledgerArchived = new Counter({
    name: "tallymark_ledger_archived_total",
    help: "Late events and dead letters copied to cold storage, by ledger",
    labelNames: ["ledger"] as const,
    ...this.#to,
  });
  readonly bucketsFolded = new Counter({
    name: "tallymark_buckets_folded_total",
    help: "Buckets that were made up of those of the next finer window",
    ...this.#to,
  });
  readonly bucketsForgotten = new Counter({
    name: "tallymark_buckets_forgotten_total",
    help: "Buckets that have left Redis for cold storage",
    ...this.#to,
  });
  readonly jobSeconds = new Histogram({
    name: "tallymark_job_seconds",
    help: "Time of one run of a job, failed ones included",
    // Not `job`, which Prometheus takes for itself.
    labelNames: ["queue"] as const,
    buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600],
    ...this.#to,
  });
  readonly jobRetries = new Counter({
    name: "tallymark_job_retries_total",
    help: "Runs of jobs that had failed before",
    labelNames: ["queue"] as const,
    ...this.#to,
  });
  readonly jobsQueued = new Gauge({
    name: "tallymark_jobs",
    help: "Jobs in BullMQ's queues, by state",
    labelNames: ["queue", "state"] as const,
    ...this.#to,
  });
  readonly ledgerEntries = new Gauge({
    name: "tallymark_ledger_entries",
    help: "Late events and dead letters in Redis; those in cold storage are not counted",
    labelNames: ["ledger"] as const,
    ...this.#to,
  });
  readonly watermarkLag = new Gauge({
    name: "tallymark_watermark_lag_seconds",
    help: "How far a counter's watermark is behind wall time",
    labelNames: ["counter"] as const,
    ...this.#to,
  });
  readonly keysShare = new Gauge({
    name: "tallymark_keys_admitted_ratio",
    help: "Keys admitted over keysMax, of a counter's newest bucket of its widest window",
    labelNames: ["counter"] as const,
    ...this.#to,
  });
  readonly redisKeys = new Gauge({
    name: "tallymark_redis_keys",
    help: "Keys in Redis by kind, counted by the last whole pass",
    labelNames: ["kind"] as const,
    ...this.#to,
  });
  readonly redisKindBytes = new Gauge({
    name: "tallymark_redis_kind_bytes",
    help: "Memory of Redis's keys by kind, estimated from samples by the last whole pass",
    labelNames: ["kind"] as const,
    ...this.#to,
  });
  readonly coldBytes = new Gauge({
    name: "tallymark_cold_bytes",
    help: "Size of cold storage with its indexes, by table",
    labelNames: ["table"] as const,
    ...this.#to,
  });
  readonly coldUnavailable = new Gauge({
    name: "tallymark_cold_unavailable",
    help: "1 while the last try to reach cold storage from this process has failed",
    ...this.#to,
  });
  readonly jobFailures = new Counter({
    name: "tallymark_job_failures_total",
    help: "Failed runs of jobs; each is tried again",
    labelNames: ["queue"] as const,
    ...this.#to,
  });

  readonly liveClients = new Gauge({ name: "tallymark_live_clients", help: "Connections of live feeds", ...this.#to });
  /** What the live feeds hold when metrics are asked for. */
  liveHoldings = () => ({ subscriptions: 0, bufferedBytes: 0 });
  readonly liveSubscriptions: Gauge = new Gauge({
    name: "tallymark_live_subscriptions",
    help: "Subscriptions of all connections",
    collect: () => this.liveSubscriptions.set(this.liveHoldings().subscriptions),
    ...this.#to,
  });
  readonly liveTopics = new Gauge({
    name: "tallymark_live_topics",
    help: "Distinct subscriptions, each read once per tick",
    ...this.#to,
  });
  readonly liveReadSeconds = new Histogram({
    name: "tallymark_live_read_seconds",
    help: "Time of one read for a live feed",
    labelNames: ["feed"] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1],
    ...this.#to,
  });
  readonly liveFrames = new Counter({
    name: "tallymark_live_frames_total",
    help: "Frames sent to viewers",
    ...this.#to,
  });
  readonly liveBuffered: Gauge = new Gauge({
    name: "tallymark_live_buffered_bytes",
    help: "Bytes that wait for viewers which do not keep up",
    collect: () => this.liveBuffered.set(this.liveHoldings().bufferedBytes),
    ...this.#to,
  });
  readonly liveTooSlow = new Counter({
    name: "tallymark_live_too_slow_total",
    help: "Connections closed because the viewer did not keep up",
    ...this.#to,
  });

  readonly alertRules = new Gauge({ name: "tallymark_alert_rules", help: "Alert rules", ...this.#to });
  readonly alertInstances = new Gauge({
    name: "tallymark_alert_instances",
    help: "Instances of alert rules that are not inactive, and stale rules, in the process that evaluates",
    labelNames: ["state"] as const,
    ...this.#to,
  });
  readonly alertOverflow = new Gauge({
    name: "tallymark_alert_rules_overflowing",
    help: 'Rules on "*" with more keys than they can watch',
    ...this.#to,
  });
  readonly alertSeconds = new Histogram({
    name: "tallymark_alert_evaluation_seconds",
    help: "Time to evaluate all alert rules once",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    ...this.#to,
  });
  readonly alertFailures = new Counter({
    name: "tallymark_alert_evaluation_failures_total",
    help: "Evaluations of a counter's rules that failed; they are made again a second later",
    ...this.#to,
  });
  readonly alertTransitions = new Counter({
    name: "tallymark_alert_transitions_total",
    help: "Transitions recorded, by type",
    labelNames: ["type"] as const,
    ...this.#to,
  });
  readonly alertOutboxLag = new Gauge({
    name: "tallymark_alert_outbox_lag_seconds",
    help: "Age of the oldest transition that is to be delivered and no job yet",
    ...this.#to,
  });
  readonly webhookAttempts = new Counter({
    name: "tallymark_webhook_attempts_total",
    help: "Attempts to deliver a webhook, by outcome: delivered, failed, dead (failed and given up)",
    labelNames: ["outcome"] as const,
    ...this.#to,
  });
  readonly webhookSeconds = new Histogram({
    name: "tallymark_webhook_attempt_seconds",
    help: "Time of one attempt to deliver a webhook",
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15],
    ...this.#to,
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry, prefix: "tallymark_" });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    // A rule on the increase of what is not there yet would miss its first one.
    for (const outcome of ["delivered", "failed", "dead"]) this.webhookAttempts.inc({ outcome }, 0);
  }
}
