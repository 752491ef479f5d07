/**
 * Events that are a function of a run's numbers alone, so that who sends them and who recounts them need not talk to
 * each other. The load scripts of k6 import this very file: it imports nothing, and uses no floating-point function
 * whose last digit could differ between JavaScript engines.
 */

/** What a load script writes about itself when it ends: all that its events depend on. */
export interface GeneratedRun {
  /** 32 bits. */
  readonly seed: number;
  /** When it began, epoch ms; event times lie in the hour before. */
  readonly startedAt: number;
  /** Events in one iteration, which is one request. */
  readonly batch: number;
  /** Copies of events sent by this or another virtual user, in per cent. */
  readonly copies: number;
  /** Virtual user → its iterations, all of them answered. */
  readonly iterations: Readonly<Record<string, number>>;
  /** Iterations that were begun, and not known to be accepted in the end: they make a recount impossible. */
  readonly unknown: number;
}

/** What one iteration's events depend on, besides its numbers. */
export type Recipe = Pick<GeneratedRun, "seed" | "startedAt" | "batch" | "copies">;

export interface GeneratedEvent {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly time: number;
  readonly subject: string;
  readonly data: { readonly visitor: string; readonly amount: number };
}

const HOUR_MS = 3_600_000;
const VISITORS = 5_000;
/** Subjects are drawn below a power of two that is itself drawn up to this one: few are frequent, most are rare. */
const SUBJECT_BITS = 10;
const AMOUNT_MAX = 100_000;
/** How many iterations back a copied event may lie; far within any horizon. */
const COPY_BACK = 20;

/** The events of one iteration. */
export function generateBatch(run: Recipe, vu: number, iteration: number): GeneratedEvent[] {
  return Array.from({ length: run.batch }, (_, index) => {
    const salt = hash(run.seed, vu, iteration, index);
    if (mix(salt + 1) % 100 >= run.copies) return original(run, vu, iteration, index);
    const back = mix(salt + 2) % (Math.min(iteration, COPY_BACK) + 1);
    return original(run, 1 + (mix(salt + 3) % Math.max(1, vu)), iteration - back, mix(salt + 4) % run.batch);
  });
}

function original({ seed, startedAt }: Recipe, vu: number, iteration: number, index: number): GeneratedEvent {
  const salt = hash(seed, vu, iteration, index);
  const subjects = 2 ** (mix(salt + 5) % (SUBJECT_BITS + 1));
  return {
    id: `${seed}-${vu}-${iteration}-${index}`,
    source: "load",
    type: "load.event",
    time: startedAt - (mix(salt + 6) % HOUR_MS),
    subject: `/page/${mix(salt + 7) % subjects}`,
    data: { visitor: `v${mix(salt + 8) % VISITORS}`, amount: ((mix(salt + 9) % AMOUNT_MAX) - AMOUNT_MAX / 10) / 100 },
  };
}

/** Every event of a run, in no particular order, copies included. */
export function* generateEvents(run: GeneratedRun): Generator<GeneratedEvent> {
  for (const [vu, iterations] of Object.entries(run.iterations)) {
    for (let iteration = 0; iteration < iterations; iteration++) yield* generateBatch(run, Number(vu), iteration);
  }
}

function hash(...numbers: readonly number[]): number {
  return numbers.reduce((state, number) => mix(state ^ mix(number)), 0x9e3779b9);
}

/** The finalizer of MurmurHash3 (Austin Appleby, public domain): 32 bits → 32 bits, one to one. */
function mix(number: number): number {
  let bits = number | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
