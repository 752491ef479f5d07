import type { Redis } from "ioredis";
import type { CounterModel } from "../model.ts";
import { type Line, nameOf, type SeriesAnswer } from "./buckets.ts";
import type { Finding } from "./invariant.ts";

const KEY = "torture:reference";
/** Sketches of one round trip. */
const AT_ONCE = 500;

interface Question {
  readonly name: string;
  readonly members: readonly string[];
  readonly found: number | undefined;
}

/** What Redis's own HyperLogLog says of the same members: the only right answer, since the estimator is its. */
export class Reference {
  readonly #redis: Redis;
  readonly #questions: Question[] = [];

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Every bucket of a series, and all of them together. */
  add(model: CounterModel, line: Line, answer: SeriesAnswer): void {
    const cells = model.buckets(line.window, line.key);
    const all = new Set<string>();
    for (const { start, unique } of answer.buckets) {
      const members = [...(cells.get(Date.parse(start))?.members ?? [])];
      for (const member of members) all.add(member);
      this.#questions.push({ name: nameOf(model, line, start), members, found: unique });
    }
    this.#questions.push({ name: nameOf(model, line, "united"), members: [...all], found: answer.unique });
  }

  async compare(finding: Finding): Promise<void> {
    const empty = this.#questions.filter(({ members }) => members.length === 0);
    for (const { name, found } of empty) finding.same(name, found, 0);
    const filled = this.#questions.filter(({ members }) => members.length > 0);
    for (let from = 0; from < filled.length; from += AT_ONCE) {
      const part = filled.slice(from, from + AT_ONCE);
      const estimates = await this.#estimate(part);
      for (const [i, { name, found }] of part.entries()) finding.same(name, found, estimates[i]);
    }
  }

  async #estimate(questions: readonly Question[]): Promise<unknown[]> {
    const commands = questions.flatMap(({ members }) => [
      ["pfadd", KEY, ...members],
      ["pfcount", KEY],
      ["del", KEY],
    ]);
    const replies = (await this.#redis.pipeline(commands).exec()) ?? [];
    return questions.map((_, i) => {
      const [error, estimate] = replies[3 * i + 1] as [Error | null, unknown];
      if (error) throw error;
      return estimate;
    });
  }
}
