import type { GeneratedRun } from "../../src/cli/verify/generated.ts";
import { BATCH, MANIFEST, SEED } from "./settings.ts";

interface Summary {
  readonly state: { readonly testRunDurationMs: number };
  readonly metrics: Readonly<
    Record<
      string,
      { readonly values: Readonly<Record<string, number>>; readonly thresholds?: Record<string, { ok: boolean }> }
    >
  >;
}

/** For `handleSummary`: the manifest in its file, and the figures as the last line. */
export function summarize(data: Summary, copies = 0): Record<string, string> {
  const value = (metric: string, field: string) => data.metrics[metric]?.values[field] ?? 0;
  const iterations: Record<string, number> = {};
  for (const [name, { values }] of Object.entries(data.metrics)) {
    const sender = /^batches_answered\{sender:(\d+)\}$/.exec(name)?.[1];
    if (sender !== undefined && (values.count ?? 0) > 0) iterations[sender] = values.count as number;
  }
  const run: GeneratedRun = {
    seed: SEED,
    startedAt: value("run_started_at", "value"),
    batch: BATCH,
    copies,
    iterations,
    unknown: value("batches_begun", "count") - Object.values(iterations).reduce((sum, count) => sum + count, 0),
  };
  const seconds = data.state.testRunDurationMs / 1_000;
  const missed = Object.entries(data.metrics).filter(([, { thresholds }]) =>
    Object.values(thresholds ?? {}).some(({ ok }) => !ok),
  );
  const figures = {
    seconds: round(seconds),
    events: value("batches_answered", "count") * BATCH,
    eventsPerSecond: round((value("batches_answered", "count") * BATCH) / seconds),
    resent: value("batches_resent", "count"),
    unknown: run.unknown,
    dropped: value("dropped_iterations", "count"),
    requests: value("http_reqs", "count"),
    p50Ms: round(value("http_req_duration", "med")),
    p95Ms: round(value("http_req_duration", "p(95)")),
    lookupP95Ms: round(value("http_req_duration{name:lookup}", "p(95)")),
    frames: value("live_frames", "count"),
    wrong: value("wrong_answers", "count"),
    missed: missed.map(([name]) => name),
  };
  return { [MANIFEST]: JSON.stringify(run), stdout: `${JSON.stringify(figures)}\n` };
}

const round = (value: number) => Math.round(value * 100) / 100;
