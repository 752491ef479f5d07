import { type Random, seededRandom, zipf } from "./random.ts";

/**
 * The reference workload: page views, Zipf over their subjects, uniform over their visitors, some of them sent again.
 * A pure function of its options, so that sender and checker make the same events without talking to each other.
 */
export interface WorkloadOptions {
  readonly seed: number;
  /** Events on the wire, copies included. */
  readonly events: number;
  /** Time in the id of the last event, epoch milliseconds. */
  readonly endsAt: number;
}

export interface Workload {
  readonly events: number;
  /** Events that are copies of an earlier one. */
  readonly copies: number;
  /** The event as JSON, about 120 bytes. */
  text(event: number): string;
  id(event: number): string;
  subject(event: number): string;
  visitor(event: number): string;
  /** Whether an earlier event had the same id. */
  isCopy(event: number): boolean;
  /** Time in the id, epoch milliseconds. */
  time(event: number): number;
}

export const SUBJECTS = 10_000;
export const VISITORS = 100_000;
const ZIPF_EXPONENT = 1;
const COPY_SHARE = 0.05;
/** Most copies are resends after a while, some come at once, as a client makes them that retries too eagerly. */
const CLOSE_COPY_SHARE = 0.1;
const CLOSE = 200;
/** How dense ids lie in time, events/s. */
export const RATE = 20_000;

/** The counter that all of this is counted by. */
export const COUNTER = {
  name: "views",
  event: "page.view",
  by: ["subject"],
  unique: "data.visitor",
  windows: ["1m", "1h", "1d"],
  top: true,
} as const;

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export function makeWorkload({ seed, events, endsAt }: WorkloadOptions): Workload {
  const random = seededRandom(seed);
  const original = drawOriginals(random, events);
  const subjects = new Uint16Array(events);
  const visitors = new Uint32Array(events);
  const salts = new Uint32Array(events * 3);
  const drawSubject = zipf(SUBJECTS, ZIPF_EXPONENT);
  for (let event = 0; event < events; event++) {
    subjects[event] = drawSubject(random);
    visitors[event] = random.below(VISITORS);
    for (let i = 0; i < 3; i++) salts[event * 3 + i] = random.bits();
  }
  const of = (event: number) => original[event] as number;
  const timeOf = (event: number) => endsAt - Math.floor(((events - 1 - of(event)) * 1_000) / RATE);
  const id = (event: number) => ulid(timeOf(event), salts.subarray(of(event) * 3, of(event) * 3 + 3));
  const subject = (event: number) => `/page/${subjects[of(event)]}`;
  const visitor = (event: number) => `v${visitors[of(event)]}`;
  return {
    events,
    copies: original.reduce((copies, from, event) => copies + (from === event ? 0 : 1), 0),
    id,
    subject,
    visitor,
    time: timeOf,
    isCopy: (event) => of(event) !== event,
    text: (event) =>
      `{"id":"${id(event)}","source":"web","type":"page.view","subject":"${subject(event)}","data":{"visitor":"${visitor(event)}"}}`,
  };
}

/** For every event the number of the one it repeats, its own if it is new. */
function drawOriginals(random: Random, events: number): Uint32Array {
  const original = new Uint32Array(events);
  for (let event = 0; event < events; event++) {
    if (event === 0 || random.unit() >= COPY_SHARE) {
      original[event] = event;
    } else {
      const back = random.unit() < CLOSE_COPY_SHARE ? Math.min(CLOSE, event) : event;
      original[event] = original[event - 1 - random.below(back)] as number;
    }
  }
  return original;
}

/** A ULID (https://github.com/ulid/spec): 10 digits of time, 16 of randomness. */
export function ulid(time: number, salts: Uint32Array): string {
  let text = "";
  for (let rest = time, i = 0; i < 10; i++) {
    text = CROCKFORD.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  // 6 digits of 5 bits from each number of 32 bits, and from the last one the four that are still needed.
  for (let i = 0; i < 16; i++) {
    text += CROCKFORD.charAt(((salts[Math.floor(i / 6)] as number) >>> ((i % 6) * 5)) & 31);
  }
  return text;
}

/** What the service must answer for a workload. */
export interface Expected {
  /** Distinct events. */
  readonly count: number;
  /** Largest first, ties by subject. */
  readonly top: readonly { readonly subject: string; readonly count: number }[];
}

export function recount(workload: Workload, limit: number): Expected {
  const counts = new Map<string, number>();
  let count = 0;
  for (let event = 0; event < workload.events; event++) {
    if (workload.isCopy(event)) continue;
    const subject = workload.subject(event);
    counts.set(subject, (counts.get(subject) ?? 0) + 1);
    count++;
  }
  const top = [...counts]
    .map(([subject, n]) => ({ subject, count: n }))
    .sort((a, b) => b.count - a.count || (a.subject < b.subject ? -1 : 1))
    .slice(0, limit);
  return { count, top };
}
