import type { Counter } from "../../core/counter.ts";
import { decodeKey } from "../../core/key.ts";
import { QUERIES_MAX, TIME_MAX_MS } from "../../core/limits.ts";
import { formatTime } from "../../core/time.ts";
import type { Json, Service, ValueQuery } from "../service.ts";
import type { Owner } from "./expected.ts";
import type { ExpectedNumbers, Report } from "./report.ts";

/** Requests of lookups in flight. */
const REQUESTS_IN_FLIGHT = 4;

/** What a counter is compared with, and how. */
export interface Comparison {
  readonly service: Service;
  readonly report: Report;
  /** The service holds more than was recounted. */
  readonly subset: boolean;
  readonly onProgress: () => void;
}

/** One lookup and what it should answer. */
export interface Check {
  readonly query: ValueQuery;
  readonly expected: ExpectedNumbers;
  readonly place: () => string;
  /** The query is for one bucket, so a wider answer is not to it. */
  readonly isBucket?: boolean;
  /** The bucket may rightly be deleted. */
  readonly mayBeGone?: boolean;
}

/** Whose numbers are asked for; `total`: those of all keys. */
export type Subject = { readonly owner: Owner } | "total";

/** Asks for a subject's numbers over `[from, to)`. */
export function spanQuery(counter: Counter, subject: Subject, from: number, to: number): ValueQuery {
  return { counter: counter.name, feed: "value", ...subjectQuery(counter, subject), ...spanParameters(from, to) };
}

function subjectQuery(counter: Counter, subject: Subject): Pick<ValueQuery, "key" | "other"> {
  if (subject === "total") return {};
  return subject.owner === null ? { other: true } : { key: decodeKey(subject.owner, counter.by.length) };
}

/** The last bucket of the year 9999 ends after the last time that can be written; the service widens it again. */
export function spanParameters(from: number, to: number): { from: string; to: string } {
  return { from: formatTime(Math.max(0, from)), to: formatTime(Math.min(TIME_MAX_MS, to)) };
}

/** Names a lookup in the way a reader can repeat it. */
export function placeOf({ counter, key, other, from, to, last }: ValueQuery): string {
  const subject = other ? "other keys" : key ? `key ${JSON.stringify(key)}` : "total";
  return `${counter}, ${subject}, ${last ? `last ${last}` : `${from} to ${to}`}`;
}

/** Asks for all the checks and reports what differs. */
export async function runChecks(checks: Iterable<Check>, { service, report, onProgress }: Comparison): Promise<void> {
  await askAll(checks, service, (check, answer) => {
    const { query, place, expected, isBucket, mayBeGone } = check;
    const widened = isBucket && answer.from !== undefined && (answer.from !== query.from || answer.to !== query.to);
    if (!widened) report.numbers(place, expected, answer);
    else if (!mayBeGone) report.same(false, () => `${place()}: answered for ${answer.from} to ${answer.to}`);
    onProgress();
  });
}

/** Asks in full requests, a few of them in flight. */
export async function askAll<Asked extends { readonly query: ValueQuery }>(
  asked: Iterable<Asked>,
  service: Service,
  onAnswer: (asked: Asked, answer: Json) => void,
): Promise<void> {
  const pages = pagesOf(asked);
  const worker = async () => {
    // The workers share one iterator, so each page is taken once.
    for (const page of { [Symbol.iterator]: () => pages }) {
      const answers = await service.query(page.map(({ query }) => query));
      for (const [i, one] of page.entries()) onAnswer(one, answers[i] as Json);
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_IN_FLIGHT }, worker));
}

function* pagesOf<Item>(items: Iterable<Item>): Generator<Item[], undefined, undefined> {
  let page: Item[] = [];
  for (const item of items) {
    page.push(item);
    if (page.length === QUERIES_MAX) {
      yield page;
      page = [];
    }
  }
  if (page.length > 0) yield page;
}
