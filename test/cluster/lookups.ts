import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import { call } from "../support/app.ts";
import { type Question, questionsOf } from "./traffic.ts";

const SETTLED_WITHIN_MS = 90_000;

/** Waits until every lookup of an hour gives what it must. */
export async function expectCounted(url: string, from: number, count: number): Promise<void> {
  for (const question of questionsOf(from, count)) {
    const read = async () => {
      const { status, body } = await call(url, "GET", `/v1/counters/${question.path}`);
      return status === 200 ? question.figures(body) : body;
    };
    await expect.poll(read, { timeout: SETTLED_WITHIN_MS, interval: 200 }).toEqual(question.expected);
  }
}

/** What a lookup answered: a status that is not 200, or whether its figures are right. */
export type Verdict = number | "right" | "wrong";

/** Answers to all questions about an hour whose events were all counted before. */
export function judge(url: string, from: number, count: number): Promise<Verdict[]> {
  return Promise.all(questionsOf(from, count).map((question) => judgeOne(url, question)));
}

async function judgeOne(url: string, { path, figures, expected }: Question): Promise<Verdict> {
  const { status, body } = await call(url, "GET", `/v1/counters/${path}`);
  if (status !== 200) return status;
  return isDeepStrictEqual(figures(body), expected) ? "right" : "wrong";
}
