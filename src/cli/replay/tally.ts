import type { Batch } from "./batches.ts";

/** Rejections that the summary lists; all are counted. */
export const REJECTIONS_SHOWN = 20;

export interface ReplayRejection {
  /** Only where several files are replayed. */
  readonly file?: string;
  readonly line: number;
  readonly code: string;
  readonly detail: string;
}

/** The last line of a replay's output. */
export interface ReplaySummary {
  /** Lines read, without blank ones. */
  readonly lines: number;
  /** Lines that the service gave its answer to: `accepted` and what it rejected of them. */
  readonly sent: number;
  /** `applied`, `duplicates`, `late`, `dead` and `pending` add up to it. */
  readonly accepted: number;
  readonly applied: number;
  readonly duplicates: number;
  readonly late: number;
  readonly dead: number;
  /** Queued, and not known to be applied when the service answered. */
  readonly pending: number;
  readonly rejected: number;
  /** Requests that were sent again. */
  readonly retries: number;
  readonly seconds: number;
  /** The first of them. */
  readonly rejections: readonly ReplayRejection[];
}

/** What the service did with the events of one request. */
export interface Outcome {
  readonly accepted: number;
  readonly applied: number;
  readonly duplicates: number;
  readonly late: number;
  readonly dead: number;
  readonly pending: number;
  readonly rejected: readonly { readonly index: number; readonly code: string; readonly detail: string }[];
}

export const NOTHING_ACCEPTED = { accepted: 0, applied: 0, duplicates: 0, late: 0, dead: 0, pending: 0 } as const;

/** Adds up what happens in a replay. */
export class Tally {
  readonly #showFile: boolean;
  readonly #numbers = {
    lines: 0,
    sent: 0,
    accepted: 0,
    applied: 0,
    duplicates: 0,
    late: 0,
    dead: 0,
    pending: 0,
    rejected: 0,
  };
  readonly #rejections: ReplayRejection[] = [];
  retries = 0;

  constructor(showFile: boolean) {
    this.#showFile = showFile;
  }

  get sent(): number {
    return this.#numbers.sent;
  }

  addLine(): void {
    this.#numbers.lines++;
  }

  addOutcome(batch: Batch, outcome: Outcome): void {
    this.#numbers.sent += batch.length;
    for (const name of ["accepted", "applied", "duplicates", "late", "dead", "pending"] as const) {
      this.#numbers[name] += outcome[name];
    }
    for (const { index, code, detail } of outcome.rejected) {
      const line = batch[index];
      if (line) this.reject(line.input, line.number, code, detail);
    }
  }

  reject(file: string, line: number, code: string, detail: string): void {
    this.#numbers.rejected++;
    if (this.#rejections.length < REJECTIONS_SHOWN) {
      this.#rejections.push({ ...(this.#showFile && { file }), line, code, detail });
    }
  }

  summary(seconds: number): ReplaySummary {
    return { ...this.#numbers, retries: this.retries, seconds, rejections: [...this.#rejections] };
  }
}
