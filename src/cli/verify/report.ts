import { showCount, showSum, toMicro } from "../../core/decimal.ts";
import { isObject } from "../../core/event.ts";
import type { Json } from "../service.ts";

/** Differences that are printed one by one; all are counted. */
export const DIFFERENCES_SHOWN = 50;
/** Standard error of a HyperLogLog of 2^14 registers. */
const UNIQUE_ERROR = 0.0081;

export interface ExpectedNumbers {
  readonly count: bigint;
  /** `null`: not compared. */
  readonly micro: bigint | null;
  readonly unique: number | null;
}

/** Compares numbers with what the service answered, and tells what differs. */
export class Report {
  compared = 0;
  differences = 0;
  /** Places where the service counted less than it should. */
  less = 0;
  readonly #subset: boolean;
  readonly #print: (line: string) => void;

  /** @param subset the service counted more than was recounted: counts may be larger, the rest says nothing */
  constructor(subset: boolean, print: (line: string) => void) {
    this.#subset = subset;
    this.#print = print;
  }

  /** @param place names what the numbers are of */
  numbers(place: () => string, expected: ExpectedNumbers, answer: unknown): void {
    if (!isObject(answer) || answer.count === undefined) {
      this.same(false, () => `${place()}: ${problemOf(answer)}`);
      return;
    }
    this.#count(place, expected.count, answer);
    if (this.#subset) return;
    if (expected.micro !== null) this.#sum(place, expected.micro, answer.sum);
    if (expected.unique !== null) this.#unique(place, expected.unique, answer.unique);
  }

  /** Notes that something was compared which is no number. */
  same(isSame: boolean, difference: () => string): void {
    this.compared++;
    if (!isSame) this.difference(difference());
  }

  difference(line: string): void {
    if (this.differences++ < DIFFERENCES_SHOWN) this.#print(line);
  }

  #count(place: () => string, expected: bigint, { count }: Json): void {
    this.compared++;
    const given = parseCount(count);
    if (given !== null && (this.#subset ? given >= expected : given === expected)) return;
    if (given !== null && given < expected) this.less++;
    this.difference(
      `${place()}: count is ${count}, should be ${this.#subset ? "at least " : ""}${showCount(expected)}`,
    );
  }

  #sum(place: () => string, expected: bigint, given: unknown): void {
    this.compared++;
    // Near 2^53 millionths a JSON number no longer tells two neighbours apart, so the number that stands for the
    // expected sum is as good as the sum itself.
    const isSame = given === showSum(expected) || parseSum(given) === expected;
    if (!isSame) this.difference(`${place()}: sum is ${given}, should be ${showSum(expected)}`);
  }

  #unique(place: () => string, expected: number, given: unknown): void {
    this.compared++;
    const slack = uniqueSlack(expected);
    if (typeof given === "number" && Math.abs(given - expected) <= slack) return;
    this.difference(`${place()}: unique is ${given}, should be ${expected} give or take ${Math.floor(slack)}`);
  }
}

/** How far an estimate may lie off: three standard errors, and a little for small numbers. */
export function uniqueSlack(exact: number): number {
  return 3 * UNIQUE_ERROR * exact + 3;
}

function parseCount(value: unknown): bigint | null {
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  return typeof value === "string" && /^\d+$/.test(value) ? BigInt(value) : null;
}

/** A number of units, or its decimal text → micro-units. */
export function parseSum(value: unknown): bigint | null {
  if (typeof value === "number" && Number.isFinite(value)) return BigInt(toMicro(value));
  const match = typeof value === "string" ? /^(-?)(\d+)(?:\.(\d{1,6}))?$/.exec(value) : null;
  if (!match) return null;
  const [, sign, whole = "", fraction = ""] = match;
  const magnitude = BigInt(whole + fraction.padEnd(6, "0"));
  return sign ? -magnitude : magnitude;
}

function problemOf(answer: unknown): string {
  const { status, code, detail } = isObject(answer) ? answer : {};
  return code === undefined ? "the answer has no count" : `answered ${status} ${code} (${detail})`;
}
