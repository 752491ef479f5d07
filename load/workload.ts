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
  /** How dense ids lie in time, events/s; absent: as in the reference workload. */
  readonly rate?: number;
  /** How many countries visitors come from, Zipf as well; absent or 0: events do not say. */
  readonly countries?: number;
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
  /** What a counter's `by` finds there, as key text. */
  field(event: number, path: Path): string;
  /** Whether an earlier event had the same id. */
  isCopy(event: number): boolean;
  /** Time in the id, epoch milliseconds. */
  time(event: number): number;
}

export const SUBJECTS = 10_000;
export const VISITORS = 100_000;
export const ZIPF_EXPONENT = 1;
const COPY_SHARE = 0.05;
/** Most copies are resends after a while, some come at once, as a client makes them that retries too eagerly. */
const CLOSE_COPY_SHARE = 0.1;
const CLOSE = 200;
const RATE = 20_000;

export type Path = "type" | "subject" | "data.country";

export type WorkloadCounter = ReturnType<typeof viewsBy>;

function viewsBy(name: string, by: readonly Path[]) {
  return {
    name,
    event: "page.view",
    by,
    unique: "data.visitor",
    windows: ["1m", "1h", "1d"],
    top: true,
  } as const;
}

/** The counter of the reference workload. */
export const COUNTER = viewsBy("views", ["subject"]);

/** What is sent, and all that it is counted by. */
export interface Load {
  readonly counters: readonly WorkloadCounter[];
  readonly countries: number;
}

/** The reference workload. */
export const W1: Load = { counters: [COUNTER], countries: 0 };
/** Each event counts three times: in one key that is always busy, in 10,000, and in up to 300,000. */
export const W2: Load = {
  counters: [viewsBy("types", ["type"]), COUNTER, viewsBy("places", ["subject", "data.country"])],
  countries: 30,
};

const TYPE = "page.view";
const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export function makeWorkload(options: WorkloadOptions): Workload {
  const { seed, events, endsAt, rate = RATE, countries: countryCount = 0 } = options;
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
  const countries = drawCountries(seed, events, countryCount);
  const of = (event: number) => original[event] as number;
  const timeOf = (event: number) => endsAt - Math.floor(((events - 1 - of(event)) * 1_000) / rate);
  const id = (event: number) => ulid(timeOf(event), salts.subarray(of(event) * 3, of(event) * 3 + 3));
  const subject = (event: number) => `/page/${subjects[of(event)]}`;
  const visitor = (event: number) => `v${visitors[of(event)]}`;
  const country = (event: number) => (countryCount > 0 ? `C${countries[of(event)]}` : "");
  const data = (event: number) =>
    countryCount > 0
      ? `{"visitor":"${visitor(event)}","country":"${country(event)}"}`
      : `{"visitor":"${visitor(event)}"}`;
  return {
    events,
    copies: original.reduce((copies, from, event) => copies + (from === event ? 0 : 1), 0),
    id,
    subject,
    visitor,
    field: (event, path) => (path === "type" ? TYPE : path === "subject" ? subject(event) : country(event)),
    time: timeOf,
    isCopy: (event) => of(event) !== event,
    text: (event) =>
      `{"id":"${id(event)}","source":"web","type":"${TYPE}","subject":"${subject(event)}","data":${data(event)}}`,
  };
}

/** From numbers of their own, so that everything else of an event is the same with and without a country. */
function drawCountries(seed: number, events: number, count: number): Uint8Array {
  if (count === 0) return new Uint8Array();
  const random = seededRandom(seed + 1);
  const draw = zipf(count, ZIPF_EXPONENT);
  return Uint8Array.from({ length: events }, () => draw(random));
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

/** What the service must answer for one counter. */
export interface Expected {
  readonly counter: string;
  /** Distinct events. */
  readonly count: number;
  /** Largest first, ties by key. */
  readonly top: readonly { readonly key: readonly string[]; readonly count: number }[];
}

/** Between the fields of a key, below every character that they have, so that keys sort field by field. */
const SEPARATOR = "\0";

export function recount(workload: Workload, { name, by }: WorkloadCounter, limit: number): Expected {
  const counts = new Map<string, number>();
  let count = 0;
  for (let event = 0; event < workload.events; event++) {
    if (workload.isCopy(event)) continue;
    const key = by.map((path) => workload.field(event, path)).join(SEPARATOR);
    counts.set(key, (counts.get(key) ?? 0) + 1);
    count++;
  }
  const top = [...counts]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, limit)
    .map(([key, n]) => ({ key: key.split(SEPARATOR), count: n }));
  return { counter: name, count, top };
}
