/** Standard error of a HyperLogLog of 2^14 registers. */
const STANDARD_ERROR = 0.0081;
/** Added to three standard errors, so that a set of a few members has room for a collision. */
const SMALL_SET_SLACK = 2;

/** Compares figures and keeps what differs. */
export class Comparison {
  checked = 0;
  readonly differences: string[] = [];

  exact(what: string, expected: unknown, actual: unknown): void {
    this.checked++;
    if (expected !== actual) this.#differ(what, expected, actual);
  }

  /** A sum, given as decimal text: a JSON number up to the largest exact one of micro-units, beyond it the text. */
  sum(what: string, expected: string, actual: number | string | undefined): void {
    const isNumber = Math.abs(Number(expected)) * 1e6 <= Number.MAX_SAFE_INTEGER;
    this.exact(what, isNumber ? Number(expected) : expected, actual);
  }

  /** An estimate of a number of distinct values. */
  estimate(what: string, expected: number, actual: number | undefined): void {
    this.checked++;
    const allowed = 3 * STANDARD_ERROR * expected + SMALL_SET_SLACK;
    const holds = actual !== undefined && Number.isInteger(actual) && Math.abs(actual - expected) <= allowed;
    // No event adds nobody, and nobody is not an estimate.
    if (!holds || (expected === 0) !== (actual === 0)) this.#differ(what, `${expected} ± ${allowed}`, actual);
  }

  #differ(what: string, expected: unknown, actual: unknown): void {
    this.differences.push(`${what}: expected ${text(expected)}, the service says ${text(actual)}`);
  }
}

function text(value: unknown): string {
  return JSON.stringify(value) ?? "nothing";
}

/**
 * Code-point order, which is the order of UTF-8 bytes. JavaScript's `<` compares UTF-16 units and differs from it. Two
 * texts that first differ in a low surrogate share the high one, so the units there are in the order of the code points.
 */
export function byCodePoints(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return a.codePointAt(i)! - b.codePointAt(i)!;
  }
  return a.length - b.length;
}
