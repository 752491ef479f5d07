import { useRef } from "preact/hooks";
import { parseDuration } from "../core/duration.ts";
import type { CounterDefinition, Key, Measure, Ranked, SeriesAnswer, TopAnswer } from "./api.ts";
import { pickWindow } from "./chart-data.ts";
import { columnFormat, formatCompact, formatKey, formatStart, spellDuration } from "./format.ts";
import { type Feed, useFeed, useLoaded, usePage } from "./hooks.ts";
import { type Movement, movements } from "./movement.ts";
import { request } from "./rest.ts";
import { Sparkline } from "./sparkline.tsx";
import { sameKey } from "./url-state.ts";

const PLACES = 10;
/** Places of the earlier ranking that are looked at; a key beyond them counts as new. */
const EARLIER_PLACES = 100;
const COURSES_EVERY_MS = 5_000;
const COURSE_BUCKETS_MAX = 60;

export interface RankingProps {
  readonly definition: CounterDefinition;
  readonly last: string;
  readonly measure: Measure;
  readonly every: string;
  readonly chosen: readonly Key[];
  readonly onToggle: (key: Key) => void;
}

/** The largest keys of the span, how they moved, and their course. */
export function Ranking({ definition, last, measure, every, chosen, onToggle }: RankingProps) {
  const by = measure === "sum" ? "sum" : "count";
  const { name } = definition;
  const feed = useFeed({ feed: "top", counter: name, last, limit: PLACES, by, every });
  const top = feed.data?.counter === name ? feed.data.top : null;
  const { courses, earlier } = useCourses(definition, last, by, feed);
  const format = columnFormat((top ?? []).map((ranked) => ranked[by] ?? 0));
  const moves = earlier && top ? movements(top, earlier.keys) : null;
  return (
    <section class="ranking" aria-label={`Ranking of ${name}`}>
      {feed.failure && <p class="fault">{feed.failure.message}</p>}
      <table>
        <caption>
          Top {PLACES} by {by}, last {spellDuration(parseDuration(last) ?? 0)}
          {earlier && <small> · moves against {earlier.label}</small>}
        </caption>
        <thead>
          <tr>
            <th scope="col" class="number">
              #
            </th>
            <th scope="col">Move</th>
            <th scope="col">{definition.by.join(" · ")}</th>
            <th scope="col" class="number">
              {by === "sum" ? "Sum" : "Count"}
            </th>
            <th scope="col">Course</th>
          </tr>
        </thead>
        <tbody>
          {(top ?? []).map((ranked, place) => (
            <Row
              key={JSON.stringify(ranked.key)}
              {...{ ranked, place, onToggle }}
              amount={format(ranked[by] ?? 0)}
              move={moves?.[place] ?? null}
              course={courses.get(JSON.stringify(ranked.key)) ?? null}
              isChosen={chosen.some((key) => sameKey(key, ranked.key))}
            />
          ))}
        </tbody>
      </table>
      {top?.length === 0 && <p class="quiet">No key in this span.</p>}
    </section>
  );
}

interface RowProps {
  readonly ranked: Ranked;
  readonly place: number;
  readonly amount: string;
  readonly move: Movement | null;
  readonly course: readonly number[] | null;
  readonly isChosen: boolean;
  readonly onToggle: (key: Key) => void;
}

function Row({ ranked, place, amount, move, course, isChosen, onToggle }: RowProps) {
  const peak = course && Math.max(...course);
  return (
    <tr>
      <td class="number">{place + 1}</td>
      <td>{move && <Move move={move} />}</td>
      <th scope="row" class="key">
        <button
          type="button"
          class="link"
          aria-pressed={isChosen}
          title="Show in the chart"
          onClick={() => onToggle(ranked.key)}
        >
          {formatKey(ranked.key)}
        </button>
      </th>
      <td class="number">{amount}</td>
      <td>
        {course && (
          <Sparkline
            values={course}
            label={`latest ${formatCompact(course.at(-1) ?? 0)}, highest ${formatCompact(peak ?? 0)}`}
          />
        )}
      </td>
    </tr>
  );
}

function Move({ move }: { readonly move: Movement }) {
  if (move.kind === "same")
    return (
      <span class="move same">
        =<span class="unseen"> unchanged</span>
      </span>
    );
  if (move.kind === "new") return <span class="move new">new</span>;
  return (
    <span class={`move ${move.kind}`}>
      <span aria-hidden="true">{move.kind === "up" ? "▲" : "▼"}</span>
      <span class="unseen">{move.kind} </span>
      {move.places}
    </span>
  );
}

interface Earlier {
  readonly keys: readonly Key[];
  readonly label: string;
}

/**
 * The course of each ranked key, and the ranking to compare with: that of the span before, so that every viewer sees
 * the same moves. Where nothing happened in it, the first ranking this page saw.
 */
function useCourses(
  definition: CounterDefinition,
  last: string,
  by: "count" | "sum",
  { data: answer }: Feed<TopAnswer>,
) {
  const { paused } = usePage();
  const { name: counter, windows } = definition;
  const window = pickWindow(windows, parseDuration(last) ?? 0, COURSE_BUCKETS_MAX);
  const subject = JSON.stringify([counter, last, by]);
  const keys = (answer?.top ?? []).map(({ key }) => JSON.stringify(key));
  const first = useRef<{ subject: string; earlier: Earlier } | null>(null);
  if (answer && answer.top.length > 0 && first.current?.subject !== subject) {
    const label = `this page's first at ${formatStart(Date.now(), 1_000)}`;
    first.current = { subject, earlier: { keys: answer.top.map(({ key }) => key), label } };
  }

  const load = async (signal: AbortSignal) => {
    const { from, to } = answer as TopAnswer;
    const before = new Date(2 * Date.parse(from) - Date.parse(to)).toISOString();
    const queries = [
      { feed: "top", counter, from: before, to: from, by, limit: EARLIER_PLACES },
      ...keys.map((key) => ({ feed: "series", counter, key: JSON.parse(key), last, window })),
    ];
    const { results } = await request<{ results: [TopAnswer, ...SeriesAnswer[]] }>("/v1/query", {
      method: "POST",
      body: { queries },
      signal,
    });
    return { keys, results };
  };
  const { answer: loaded } = useLoaded(
    keys.length > 0 ? JSON.stringify([subject, [...keys].sort()]) : null,
    load,
    paused ? null : COURSES_EVERY_MS,
  );

  const [before, ...series] = loaded?.results ?? [];
  const courses = new Map(
    loaded?.keys.map((key, i) => [key, series[i]?.buckets?.map((b) => Number(b[by] ?? 0)) ?? []]),
  );
  const isComparable = before?.counter === counter && before.top.length > 0;
  const spanBefore = `the ${spellDuration(parseDuration(last) ?? 0)} before`;
  const earlier: Earlier | null = isComparable
    ? { keys: before.top.map(({ key }) => key), label: spanBefore }
    : (first.current?.earlier ?? null);
  return { courses, earlier };
}
