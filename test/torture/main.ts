import { parseArgs } from "node:util";
import { CONTROL, MUTANTS } from "./mutants.ts";
import { fullPlan, type Plan } from "./plan.ts";
import { describe } from "./report.ts";
import { differencesOf, torture } from "./run.ts";

/** How to run this: the section on the torture test in docs/guarantees.md. */

const say = (text: string) => process.stderr.write(`  ${new Date().toISOString().slice(11, 19)} ${text}\n`);

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: { seed: text, seeds: text, events: text, mutant: text, mutants: { type: "boolean" } },
});

function whole(name: string, value: string | undefined): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} must be a whole number from 1`);
  return number;
}

function seeds(): number[] {
  const [first, last] = (values.seeds ?? values.seed ?? "1").split("-");
  const [from, to] = [whole("the seed", first), whole("the last seed", last ?? first)];
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** True when the run ended as it should: with differences for a mutant, without for anything else. */
async function runOne(title: string, plan: Plan, wantsDifferences: boolean): Promise<boolean> {
  process.stderr.write(`${title}\n`);
  const result = await torture(plan, say);
  process.stdout.write(`${title}, ${describe(result)}\n\n`);
  const isRight = differencesOf(result).length > 0 === wantsDifferences;
  if (wantsDifferences) process.stdout.write(isRight ? `${title}: caught\n\n` : `${title}: NOT CAUGHT\n\n`);
  return isRight;
}

async function runMutants(name: string | undefined): Promise<boolean> {
  const chosen = MUTANTS.filter((mutant) => name === undefined || mutant.name === name);
  if (chosen.length === 0) throw new Error(`--mutant: is one of ${MUTANTS.map((mutant) => mutant.name).join(", ")}`);
  let isRight = await runOne("control", CONTROL, false);
  for (const mutant of chosen) isRight = (await runOne(`without ${mutant.removes}`, mutant.plan, true)) && isRight;
  return isRight;
}

async function runSeeds(): Promise<boolean> {
  let isRight = true;
  for (const seed of seeds()) {
    const plan = fullPlan(seed, whole("--events", values.events ?? "200000"));
    isRight = (await runOne(`torture with seed ${seed}`, plan, false)) && isRight;
  }
  return isRight;
}

const isRight = await (values.mutants || values.mutant ? runMutants(values.mutant) : runSeeds());
process.exitCode = isRight ? 0 : 1;
