import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { Comparison } from "./compare.ts";
import { Model, type ModelEvent } from "./model.ts";
import { ask, askAll, listKeys } from "./questions.ts";
import { batchesOf, noOutcomes, type Outcomes, postAll, postBatch, seededRandom, shuffled } from "./replay.ts";
import { COUNTERS, PREFIXES, type SyntheticLine, syntheticLog } from "./synthetic.ts";
import { compareAnswers, questionsOf } from "./synthetic-questions.ts";

const SEED = 4_711;
const BATCH = 250;
const SHOWN = 20;

const log = syntheticLog(SEED);
const events = log.map(({ event }) => event).filter((event): event is ModelEvent => event !== null);
const distinct = new Set(events.map(({ source, id }) => JSON.stringify([source ?? "", id]))).size;
const model = new Model(COUNTERS, events);

describe.each([1, 3])("a synthetic log and its recount, %i partitions", (partitions) => {
  let service: Service;
  const outcomes: Outcomes[] = [];

  beforeAll(async () => {
    service = await startService({
      env: { TALLYMARK_PARTITIONS: String(partitions) },
      config: { counters: COUNTERS },
    });
    for (const batch of batchesOf(texts(log), BATCH)) outcomes.push(await postBatch(service.url, batch));
  });

  afterAll(async () => {
    await service?.stop();
    await removeTemporaryDirectories();
  });

  it("says of every line what became of it", () => {
    const added = (of: Exclude<keyof Outcomes, "rejected">) => outcomes.reduce((sum, outcome) => sum + outcome[of], 0);
    expect(added("accepted")).toBe(events.length);
    expect(added("applied")).toBe(distinct);
    expect(added("duplicates")).toBe(events.length - distinct);
    expect([added("late"), added("dead")]).toEqual([0, 0]);
    const rejected = outcomes.flatMap((outcome, i) =>
      outcome.rejected.map(({ index, code }) => ({ line: i * BATCH + index, code })),
    );
    const malformed = log.map(({ code }, line) => ({ line, code })).filter(({ code }) => code !== undefined);
    expect(rejected).toEqual(malformed);
  });

  it("answers every lookup as the recount does", { timeout: 180_000 }, async () => {
    await expectAsModel(service);
  });

  it("lists keys in code-point order, by prefix and page by page", async () => {
    for (const { name, by } of COUNTERS) {
      if (by.length === 0) continue;
      for (const prefix of PREFIXES) {
        const expected = model.keys(name, prefix);
        for (const limit of [7, 1_000]) {
          expect(await listKeys(service.url, name, prefix, limit), `${name}, ${prefix}, ${limit}`).toEqual(expected);
        }
      }
    }
  });

  it("writes a sum beyond 2^53 micro-units as a decimal string", async () => {
    const whole = { from: "2021-03-04T00:00:00Z", to: "2021-03-06T00:00:00Z" };
    const expected = model.answer({ counter: "views", feed: "value", ...whole }).sum;
    expect(Number(expected) * 1e6).toBeGreaterThan(Number.MAX_SAFE_INTEGER);
    const { sum } = await ask(service.url, { counter: "views", feed: "value", ...whole });
    expect(sum).toBe(expected);
  });

  it("counts nothing of it again, in whatever order it comes", async () => {
    const valid = texts(log.filter(({ event }) => event));
    const again = await postAll(service.url, batchesOf(shuffled(valid, seededRandom(SEED)), BATCH), 3);
    expect(again).toEqual({ ...noOutcomes(), accepted: valid.length, duplicates: valid.length });
    await expectAsModel(service);
  });
});

function texts(lines: readonly SyntheticLine[]): string[] {
  return lines.map(({ text }) => text);
}

async function expectAsModel({ url }: Service): Promise<void> {
  const comparison = new Comparison();
  const questions = COUNTERS.flatMap((counter) => questionsOf(counter, model));
  const answers = await askAll(url, questions);
  for (const [i, question] of questions.entries()) {
    compareAnswers(question, model.answer(question), answers[i]!, comparison);
  }
  const { checked, differences } = comparison;
  expect(differences.slice(0, SHOWN), `${differences.length} of ${checked} figures differ`).toEqual([]);
  expect(checked).toBeGreaterThan(10_000);
}
