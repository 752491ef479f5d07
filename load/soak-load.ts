import { type Random, seededRandom, zipf } from "./random.ts";
import { ulid } from "./workload.ts";

export const SUBJECTS = 1_000;
const ZIPF_EXPONENT = 1;
const COPY_SHARE = 0.05;
/** How many events back a copy may lie: seconds, far less than any horizon. */
const COPIED_FROM = 5_000;

/** What a soak counts: short windows kept for a short time, so that buckets open, close, and leave Redis all along. */
export const SOAK_COUNTER = {
  name: "soak",
  event: "page.view",
  by: ["subject"],
  sum: "data.amount",
  windows: ["10s", "1m"],
  keep: { "10s": "2m", "1m": "2m" },
  lateness: "1m",
} as const;

/** What was sent without its copies: what the service must have counted in the end. */
export interface SoakTotals {
  readonly distinct: number;
  readonly copies: number;
  readonly sum: number;
  /** Counts by subject. */
  readonly subjects: readonly (readonly [subject: string, count: number])[];
}

/** Events of now without end, and the ledger of them. */
export class SoakLoad {
  readonly #random: Random;
  readonly #subject = zipf(SUBJECTS, ZIPF_EXPONENT);
  readonly #subjects = new Map<string, number>();
  readonly #recent: string[] = [];
  #distinct = 0;
  #copies = 0;
  #sum = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** The body of a request. */
  next(events: number, now: number): Buffer {
    return Buffer.from(`[${Array.from({ length: events }, () => this.#event(now)).join(",")}]`);
  }

  #event(now: number): string {
    const random = this.#random;
    if (this.#recent.length > 0 && random.unit() < COPY_SHARE) {
      this.#copies++;
      return this.#recent[random.below(this.#recent.length)] as string;
    }
    const subject = `/page/${this.#subject(random)}`;
    const amount = random.below(1_000);
    const id = ulid(now, Uint32Array.of(random.bits(), random.bits(), random.bits()));
    const text = `{"id":"${id}","source":"soak","type":"page.view","subject":"${subject}","data":{"amount":${amount}}}`;
    this.#recent[this.#distinct % COPIED_FROM] = text;
    this.#distinct++;
    this.#sum += amount;
    this.#subjects.set(subject, (this.#subjects.get(subject) ?? 0) + 1);
    return text;
  }

  get totals(): SoakTotals {
    return { distinct: this.#distinct, copies: this.#copies, sum: this.#sum, subjects: [...this.#subjects] };
  }
}
