import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import type { SeriesQuery } from "../client/index.ts";
import { parseDuration } from "../core/duration.ts";
import type { CounterDefinition, CounterLag, Key, Measure, SeriesAnswer } from "./api.ts";
import { Chart } from "./chart.tsx";
import { alignSeries, describeChart, type Line, pickWindow } from "./chart-data.ts";
import { ChartTable } from "./chart-table.tsx";
import { formatAge, formatAmount, formatKey, formatMoment, spellDuration } from "./format.ts";
import { useFeeds } from "./hooks.ts";
import { KeySearch } from "./key-search.tsx";
import { Legend } from "./legend.tsx";
import { Ranking } from "./ranking.tsx";
import { KEYS_MAX, type PanelState, sameKey } from "./url-state.ts";

export interface PanelProps {
  readonly panel: PanelState;
  readonly definition: CounterDefinition;
  readonly last: string;
  readonly lag: CounterLag | null;
  readonly onChange: (fields: Partial<PanelState>) => void;
  readonly onRemove: () => void;
}

/** Buckets drawn in one chart: more than pixels can show help nobody. */
const DRAWN_MAX = 400;
const MEASURE_NAMES: Record<Measure, string> = { count: "Count", sum: "Sum", unique: "Unique" };

/** A long span changes slowly, and costs more to read. */
const everyFor = (spanMs: number): string => (spanMs <= 15 * 60_000 ? "1s" : spanMs <= 6 * 3_600_000 ? "2s" : "5s");

/** One counter: its numbers over the span, their course, and who leads. */
export function Panel({ panel, definition, last, lag, onChange, onRemove }: PanelProps) {
  const { name, windows, by } = definition;
  const spanMs = parseDuration(last) ?? 0;
  const automatic = pickWindow(windows, spanMs, DRAWN_MAX);
  const window = panel.window !== null && windows.includes(panel.window) ? panel.window : automatic;
  const measure = measuresOf(definition).includes(panel.measure) ? panel.measure : "count";
  const every = everyFor(spanMs);
  const subscription = { feed: "series" as const, counter: name, last, window, every };
  const feeds = useFeeds<SeriesQuery & { every: string }>([
    subscription,
    ...panel.keys.map((key) => ({ ...subscription, key })),
  ]);
  const failure = feeds.find((feed) => feed.failure)?.failure;
  const onToggle = (key: Key) => {
    const isChosen = panel.keys.some((other) => sameKey(other, key));
    const others = panel.keys.filter((other) => !sameKey(other, key));
    if (isChosen) onChange({ keys: others });
    else if (others.length < KEYS_MAX) onChange({ keys: [...others, key] });
  };
  return (
    <article class="panel" aria-labelledby={`panel-${name}`}>
      <header class="panel-head">
        <h2 id={`panel-${name}`}>{name}</h2>
        <Lag lag={lag} />
        <div class="controls">
          <Choice
            label={`Measure of ${name}`}
            value={measure}
            options={measuresOf(definition).map((value) => [value, MEASURE_NAMES[value]])}
            onChoose={(value) => onChange({ measure: value as Measure })}
          />
          <Choice
            label={`Window of ${name}`}
            value={panel.window ?? ""}
            options={[
              ["", `auto (${automatic})`],
              ...windows.map((label): [string, string] => [label, `per ${label}`]),
            ]}
            onChoose={(value) => onChange({ window: value === "" ? null : value })}
          />
          <button type="button" class="icon" aria-label={`Remove ${name} from the page`} onClick={onRemove}>
            ✕
          </button>
        </div>
      </header>
      {failure && <p class="fault">{failure.message}</p>}
      <div class={by.length > 0 ? "panel-body" : "panel-body single"}>
        <div>
          <Headline answer={feeds[0]?.data ?? null} last={last} />
          <Course {...{ panel, name, measure, window, last }} answers={feeds.map(({ data }) => data)}>
            <Legend panel={panel} onToggle={onToggle} onTotal={(total) => onChange({ total })} />
          </Course>
        </div>
        {by.length > 0 && (
          <div>
            {definition.top && <Ranking {...{ definition, last, measure, every, onToggle }} chosen={panel.keys} />}
            <KeySearch {...{ definition, onToggle }} chosen={panel.keys} />
          </div>
        )}
      </div>
    </article>
  );
}

function measuresOf({ sum, unique }: CounterDefinition): Measure[] {
  return ["count", ...(sum ? (["sum"] as const) : []), ...(unique ? (["unique"] as const) : [])];
}

function Lag({ lag }: { readonly lag: CounterLag | null }) {
  if (!lag?.watermark) return <span class="quiet">no event yet</span>;
  const behind = lag.lagMs === null ? "" : ` · ${formatAge(lag.lagMs)} behind`;
  return (
    <span class="quiet" title="How far event time has come for this counter">
      watermark <time dateTime={lag.watermark}>{formatMoment(lag.watermark)}</time>
      {behind}
    </span>
  );
}

/** The numbers of the whole span; `unique` is that of the span, never a sum of buckets. */
function Headline({ answer, last }: { readonly answer: SeriesAnswer | null; readonly last: string }) {
  return (
    <dl class="headline">
      <div>
        <dt>
          Count, last {spellDuration(parseDuration(last) ?? 0)}{" "}
          {answer && <span class={answer.final ? "tag final" : "tag open"}>{answer.final ? "final" : "open"}</span>}
        </dt>
        <dd>{answer ? formatAmount(answer.count) : "–"}</dd>
      </div>
      {answer?.sum !== undefined && (
        <div>
          <dt>Sum</dt>
          <dd>{formatAmount(answer.sum)}</dd>
        </div>
      )}
      {answer?.unique !== undefined && (
        <div>
          <dt>
            Unique <abbr title="estimate, standard error 0.81 %">≈</abbr>
          </dt>
          <dd>{formatAmount(answer.unique)}</dd>
        </div>
      )}
    </dl>
  );
}

interface CourseProps {
  readonly panel: PanelState;
  readonly name: string;
  readonly measure: Measure;
  readonly window: string;
  readonly last: string;
  /** The total's series, then those of the chosen keys. */
  readonly answers: readonly (SeriesAnswer | null)[];
  /** What stands between the chart and its table. */
  readonly children: ComponentChildren;
}

function Course({ panel, name, measure, window, last, answers, children }: CourseProps) {
  const drawn: { line: Line; answer: SeriesAnswer }[] = [];
  for (const [i, answer] of answers.entries()) {
    const label = i === 0 ? "total" : formatKey(panel.keys[i - 1] as Key);
    if (answer && (i > 0 || panel.total || panel.keys.length === 0)) drawn.push({ line: { label, colour: i }, answer });
  }
  const series = drawn.map(({ answer }) => answer);
  // The length varies with the lines; an answer is a new object only when something changed.
  const data = useMemo(() => alignSeries(series, measure), [measure, ...series]);
  if (drawn.length === 0) {
    return (
      <>
        <div class="plot waiting">Waiting for numbers…</div>
        {children}
      </>
    );
  }
  const lines = drawn.map(({ line }) => line);
  const windowMs = parseDuration(window) ?? 0;
  const title = `${name}: ${measure} per ${spellDuration(windowMs)} over the last ${spellDuration(parseDuration(last) ?? 0)}`;
  const watermark = series[0]?.watermark ? Date.parse(series[0].watermark) : null;
  return (
    <>
      <Chart {...{ lines, data, windowMs, watermark }} description={describeChart(title, lines, data, windowMs)} />
      {children}
      <ChartTable {...{ lines, data, windowMs }} caption={title} />
    </>
  );
}

export interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, label: string])[];
  readonly onChoose: (value: string) => void;
}

/** A native select: works with every keyboard, finger and screen reader. */
export function Choice({ label, value, options, onChoose }: ChoiceProps) {
  return (
    <select aria-label={label} value={value} onChange={({ currentTarget }) => onChoose(currentTarget.value)}>
      {options.map(([option, text]) => (
        <option key={option} value={option}>
          {text}
        </option>
      ))}
    </select>
  );
}
