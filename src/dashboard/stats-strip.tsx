import { useRef } from "preact/hooks";
import type { Stats } from "./api.ts";
import { formatAge, formatAmount, formatRate } from "./format.ts";
import { Sparkline } from "./sparkline.tsx";

/** Seconds of throughput that are remembered. */
const COURSE_MAX = 120;

export interface StatsStripProps {
  readonly stats: Stats | null;
  /** Alerts that fire; `null` where there are none at all. */
  readonly firing: number | null;
}

/** How the service is doing as a whole. */
export function StatsStrip({ stats, firing }: StatsStripProps) {
  const course = useRef<{ time: string | null; rates: number[] }>({ time: null, rates: [] });
  if (stats && course.current.time !== stats.time) {
    course.current = { time: stats.time, rates: [...course.current.rates, stats.eventsPerSecond].slice(-COURSE_MAX) };
  }
  const { rates } = course.current;
  const slowest = stats && findSlowest(stats);
  return (
    <section class="stats" aria-label="Service">
      <dl>
        <div>
          <dt>Events per second</dt>
          <dd>
            <span>{stats ? formatRate(stats.eventsPerSecond) : "–"}</span>
            {rates.length > 1 && (
              <Sparkline values={rates} label={`highest ${formatRate(Math.max(...rates))} in two minutes`} />
            )}
          </dd>
        </div>
        <div>
          <dt>Backlog</dt>
          <dd>{stats ? formatAmount(stats.backlog) : "–"}</dd>
        </div>
        <div>
          <dt>Watermark lag{slowest && `, ${slowest.counter}`}</dt>
          <dd>{slowest ? formatAge(slowest.lagMs) : "–"}</dd>
        </div>
        <div>
          <dt>Counters with events</dt>
          <dd>
            {stats ? `${stats.counters.filter(({ watermark }) => watermark).length} of ${stats.counters.length}` : "–"}
          </dd>
        </div>
        {firing !== null && (
          <div>
            <dt>Alerts firing</dt>
            <dd>{firing > 0 ? <a href="#alerts-title">{formatAmount(firing)}</a> : "0"}</dd>
          </div>
        )}
      </dl>
    </section>
  );
}

/** The counter whose event time is furthest behind. */
function findSlowest({ counters }: Stats): { counter: string; lagMs: number } | null {
  let slowest: { counter: string; lagMs: number } | null = null;
  for (const { counter, lagMs } of counters) {
    if (lagMs !== null && lagMs > (slowest?.lagMs ?? -1)) slowest = { counter, lagMs };
  }
  return slowest;
}
